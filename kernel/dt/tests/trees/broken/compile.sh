#!/bin/sh
# Compiles every tree in this folder again; needs the device-tree compiler.
cd "$(dirname "$0")" || exit 1
for source in *.dts *.dtso; do
	case $source in
	*.dts) out=${source%.dts}.dtb ;;
	*) out=${source%.dtso}.dtbo ;;
	esac
	dtc -q -f -I dts -O dtb -o "$out" "$source" || exit 1
done
