//! The guest's ELF file as a flat arm64 boot image, checked before it boots.
//!
//! The header's fields are those of the arm64 boot protocol: `text_offset` at 8, `image_size` at
//! 16, the magic at 56.

use anyhow::{Context, Result, bail, ensure};
use object::LittleEndian;
use object::elf::{EM_AARCH64, ET_DYN, FileHeader64, PF_X, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

const MAGIC: &[u8] = b"ARM\x64";
const HEADER: usize = 64;
/// Far more than the image may ever have: a wrong address must not become a giant file.
const LARGEST: u64 = 64 << 20;

/// The file contents of all PT_LOAD segments, from the lowest address on, gaps as zeroes. What
/// follows the last file byte in memory (BSS) is not in it.
///
/// # Errors
/// The file is not a position-independent AArch64 ELF file, needs relocations that are not in RELR
/// form, or does not start with the header of an arm64 image.
pub fn flatten(elf: &[u8]) -> Result<Vec<u8>> {
    let endian = LittleEndian;
    let header = FileHeader64::<LittleEndian>::parse(elf).context("reading the ELF file")?;
    ensure!(
        header.e_machine(endian) == EM_AARCH64 && header.e_type(endian) == ET_DYN,
        "no position-independent AArch64 program"
    );
    let segments = header.program_headers(endian, elf)?;
    let loads = || {
        let segments = segments.iter();
        segments.filter(|segment| segment.p_type(endian) == PT_LOAD)
    };
    let base = loads().map(|load| load.p_vaddr(endian)).min();
    let base = base.context("no PT_LOAD segment")?;
    let mut image = Vec::new();
    let mut memory_end = 0;
    for load in loads() {
        let offset = load.p_vaddr(endian) - base;
        let data = load.data(endian, elf).ok().context("segment beyond the file")?;
        memory_end = memory_end.max(offset.saturating_add(load.p_memsz(endian)));
        ensure!(
            memory_end <= LARGEST,
            "segment at {:#x} makes the image larger than {} MiB",
            load.p_vaddr(endian),
            LARGEST >> 20
        );
        if data.is_empty() {
            continue;
        }
        let start = offset as usize;
        let end = start + data.len();
        if image.len() < end {
            image.resize(end, 0);
        }
        image[start..end].copy_from_slice(data);
    }
    let first = loads().find(|load| load.p_vaddr(endian) == base);
    ensure!(
        first.is_some_and(|load| load.p_flags(endian).contains(PF_X)),
        "the first segment is not executable"
    );
    check_header(&image, memory_end)?;
    check_relocations(header, elf)?;
    Ok(image)
}

/// Bytes that the image takes in memory, as its header says; its length, without a header.
pub fn size_in_memory(image: &[u8]) -> u64 {
    let field = image.get(16..24).and_then(|field| field.try_into().ok());
    field.map_or(0, u64::from_le_bytes).max(image.len() as u64)
}

fn check_header(image: &[u8], memory_end: u64) -> Result<()> {
    ensure!(image.len() >= HEADER, "too short for an arm64 image header");
    ensure!(&image[56..60] == MAGIC, "no arm64 magic at offset 56 but {:02x?}", &image[56..60]);
    ensure!(image[..4] != [0; 4], "the first word is no instruction");
    let field = |at: usize| {
        let bytes = image[at..at + 8].try_into().unwrap_or_default();
        u64::from_le_bytes(bytes)
    };
    ensure!(field(8) == 0, "text_offset is {:#x}, not 0", field(8));
    ensure!(
        field(16) >= memory_end,
        "image_size {:#x} is less than the {memory_end:#x} bytes it takes in memory",
        field(16)
    );
    Ok(())
}

/// The entry code applies RELR relocations, which are RELATIVE ones; any other would be left undone.
fn check_relocations(header: &FileHeader64<LittleEndian>, elf: &[u8]) -> Result<()> {
    let endian = LittleEndian;
    let sections = header.sections(endian, elf)?;
    for section in sections.iter() {
        let Some((relocations, _)) = section.rela(endian, elf)? else {
            continue;
        };
        if let Some(relocation) = relocations.first() {
            let kind = relocation.r_type(endian, false);
            let place = relocation.r_offset.get(endian);
            bail!("relocation of type {kind:?} at {place:#x}: only those in RELR are applied");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file of one executable PT_LOAD segment at `address` with `data` and `bss` bytes.
    fn elf(kind: u16, flags: u32, address: u64, data: &[u8], bss: u64) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend(kind.to_le_bytes());
        file.extend(183_u16.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        for word in [0_u64, 64, 0] {
            file.extend(word.to_le_bytes());
        }
        file.extend(0_u32.to_le_bytes());
        for half in [64_u16, 56, 1, 64, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        file.extend(1_u32.to_le_bytes());
        file.extend(flags.to_le_bytes());
        let size = data.len() as u64;
        for word in [120, address, address, size, size + bss, 0x1000] {
            file.extend(word.to_le_bytes());
        }
        file.extend(data);
        file
    }

    fn header(image_size: u64) -> Vec<u8> {
        let mut image = vec![0; 80];
        image[..4].copy_from_slice(&0x1400_0010_u32.to_le_bytes());
        image[16..24].copy_from_slice(&image_size.to_le_bytes());
        image[56..60].copy_from_slice(MAGIC);
        image
    }

    fn error(elf: &[u8]) -> String {
        format!("{:#}", flatten(elf).unwrap_err())
    }

    #[test]
    fn the_image_is_the_file_part_of_the_segment() {
        let data = header(80 + 0x100);
        assert_eq!(flatten(&elf(3, 5, 0x20_0000, &data, 0x100)).unwrap(), data);
    }

    #[test]
    fn what_could_not_boot_is_refused() {
        let good = header(0x1000);
        assert!(error(&elf(2, 5, 0, &good, 0)).contains("position-independent"));
        assert!(error(&elf(3, 6, 0, &good, 0)).contains("not executable"));
        assert!(error(&elf(3, 5, 0, &good[..60], 0)).contains("too short"));
        assert!(error(&elf(3, 5, 0, &header(0x10), 0)).contains("image_size 0x10"));
        assert!(error(&elf(3, 5, 0, &good, 1 << 40)).contains("larger than"));
        let mut no_magic = good.clone();
        no_magic[56] = 0;
        assert!(error(&elf(3, 5, 0, &no_magic, 0)).contains("no arm64 magic"));
        assert!(error(b"not an ELF file").contains("ELF"));
    }
}
