//! How the shim talks to QEMU itself (Arm semihosting specification 2.0).
//!
//! Only the shim does: the guest image has no semihosting in it.

use core::arch::asm;
use core::fmt;

const SYS_WRITE0: u64 = 0x04;
const SYS_GET_CMDLINE: u64 = 0x15;
const SYS_EXIT_EXTENDED: u64 = 0x20;
const STOPPED_APPLICATION_EXIT: u64 = 0x2_0026;

/// Calls the host.
///
/// # Safety
///
/// `parameter` is what the operation wants, and what it points to outlives the call.
unsafe fn call(operation: u64, parameter: *mut u8) -> u64 {
    let result;
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "hlt #0xf000",
            inout("x0") operation => result,
            in("x1") parameter,
            options(nostack, preserves_flags),
        );
    }
    result
}

/// Ends QEMU with `code` as its exit status.
pub fn exit(code: u8) -> ! {
    let mut block = [STOPPED_APPLICATION_EXIT, u64::from(code)];
    loop {
        // SAFETY: SYS_EXIT_EXTENDED takes a block of two words.
        unsafe { call(SYS_EXIT_EXTENDED, block.as_mut_ptr().cast()) };
    }
}

/// The command line that QEMU was given for the shim, written into `buffer`.
pub fn command_line(buffer: &mut [u8]) -> Option<&str> {
    let mut block = [buffer.as_mut_ptr() as u64, buffer.len() as u64];
    // SAFETY: SYS_GET_CMDLINE takes address and length of a buffer, which is exclusively ours.
    let status = unsafe { call(SYS_GET_CMDLINE, block.as_mut_ptr().cast()) };
    let [_, length] = block;
    if status != 0 {
        return None;
    }
    str::from_utf8(buffer.get(..usize::try_from(length).ok()?)?).ok()
}

/// The shim's log: a character device of QEMU, by convention a file. Written when dropped, or full.
pub struct HostLog {
    text: [u8; 512],
    length: usize,
}

impl HostLog {
    /// Nothing written yet.
    pub fn new() -> Self {
        Self { text: [0; 512], length: 0 }
    }

    fn write_out(&mut self) {
        // The place behind the text stays free for the zero that ends it.
        self.text[self.length] = 0;
        // SAFETY: SYS_WRITE0 takes a string that ends with a zero byte.
        unsafe { call(SYS_WRITE0, self.text.as_mut_ptr()) };
        self.length = 0;
    }
}

impl fmt::Write for HostLog {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.length == self.text.len() - 1 {
                self.write_out();
            }
            self.text[self.length] = byte;
            self.length += 1;
        }
        Ok(())
    }
}

impl Drop for HostLog {
    fn drop(&mut self) {
        self.write_out();
    }
}
