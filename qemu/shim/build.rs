//! Links the shim at its fixed address, by the one linker script.

/// Above QEMU's own device tree, which lies at the beginning of RAM (0x4000_0000).
const LINK_BASE: &str = "0x40100000";

fn main() {
    println!("cargo:rerun-if-changed=../../linker.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    for argument in [
        format!("-T{folder}/../../linker.ld"),
        format!("--defsym=link_base={LINK_BASE}"),
        "--no-pie".into(),
        "--build-id=none".into(),
    ] {
        println!("cargo:rustc-link-arg-bin=shim={argument}");
    }
}
