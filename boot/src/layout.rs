//! Where the linker put the parts of the image.
//!
//! On the target the addresses come from the symbols of `linker.ld`; elsewhere they are made up,
//! so that what is built on them can be tested on the host.

use core::ops::Range;

/// Addresses of the parts of the running image. The map is the identity, so these are IPAs too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Code and vectors: read and execute.
    pub text: Range<usize>,
    /// Constants and relocations: read only.
    pub rodata: Range<usize>,
    /// Data, BSS, stacks and first heap: read and write.
    pub data: Range<usize>,
    /// The page below the main stack, never mapped.
    pub stack_guard: Range<usize>,
    /// The main stack.
    pub stack: Range<usize>,
    /// The page below the exception stack, never mapped.
    pub exception_stack_guard: Range<usize>,
    /// The stack that exceptions and interrupts are taken on.
    pub exception_stack: Range<usize>,
    /// The stack of exceptions inside handlers, which are fatal.
    pub emergency_stack: Range<usize>,
}

impl Layout {
    /// The whole image, from its first instruction to the end of what it reserves.
    pub fn image(&self) -> Range<usize> {
        self.text.start..self.data.end
    }

    /// The layout of the running image.
    #[cfg(target_os = "none")]
    pub fn current() -> Self {
        macro_rules! symbol {
            ($name:ident) => {{
                unsafe extern "C" {
                    safe static $name: u8;
                }
                &raw const $name as usize
            }};
        }
        let start = symbol!(_image_start);
        // As the header says: the end may be farther away than an instruction reaches.
        // SAFETY: the image begins with its header of 64 bytes, whose third double word is this.
        let size = unsafe { core::ptr::with_exposed_provenance::<usize>(start + 16).read() };
        let (text_end, rodata_end) = (symbol!(_text_end), symbol!(_rodata_end));
        Self {
            text: start..text_end,
            rodata: text_end..rodata_end,
            data: rodata_end..start + size,
            stack_guard: symbol!(_stack_guard)..symbol!(_stack_bottom),
            stack: symbol!(_stack_bottom)..symbol!(_stack_top),
            exception_stack_guard: symbol!(_exception_stack_guard)
                ..symbol!(_exception_stack_bottom),
            exception_stack: symbol!(_exception_stack_bottom)..symbol!(_exception_stack_top),
            emergency_stack: symbol!(_emergency_stack_bottom)..symbol!(_emergency_stack_top),
        }
    }

    /// What the linker identified this build by, if it was told to: the descriptor of the ELF note
    /// `NT_GNU_BUILD_ID`, which follows a header of three words and the name `GNU`.
    #[cfg(target_os = "none")]
    pub fn build_id() -> Option<&'static [u8]> {
        unsafe extern "C" {
            safe static _build_id_start: u8;
            safe static _build_id_end: u8;
        }
        let start = &raw const _build_id_start;
        let len = &raw const _build_id_end as usize - start as usize;
        // SAFETY: constants of the image, from the one symbol to the other.
        let note = unsafe { core::slice::from_raw_parts(start, len) };
        note.get(16..)
    }

    /// A layout of the shape that `linker.ld` makes, for tests.
    #[cfg(not(target_os = "none"))]
    pub fn fake(base: usize) -> Self {
        Self {
            text: base..base + 0x10_000,
            rodata: base + 0x10_000..base + 0x14_000,
            data: base + 0x14_000..base + 0x40_000,
            emergency_stack: base + 0x16_000..base + 0x18_000,
            exception_stack_guard: base + 0x18_000..base + 0x19_000,
            exception_stack: base + 0x19_000..base + 0x1d_000,
            stack_guard: base + 0x1d_000..base + 0x1e_000,
            stack: base + 0x1e_000..base + 0x2e_000,
        }
    }
}
