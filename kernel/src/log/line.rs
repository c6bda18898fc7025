//! One line being put together.

use core::{fmt, time::Duration};

/// The longest line, with its end, in bytes.
pub(super) const LINE: usize = 256;

/// What a line that was too long ends with.
const CUT: &[u8] = "…\n".as_bytes();

/// A line without control characters; what does not fit is replaced by an ellipsis.
///
/// Written byte by byte and without `core::fmt` where possible: a line of the boot log should
/// cost hundreds of instructions, not thousands.
pub(super) struct Line {
    bytes: [u8; LINE],
    len: usize,
    cut: bool,
}

impl Line {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; LINE], len: 0, cut: false }
    }

    /// Writes `[    0.000123] `: seconds and microseconds.
    pub(super) fn push_time(&mut self, time: Duration) {
        self.push(b"[");
        self.push_number(time.as_secs(), 5, b' ');
        self.push(b".");
        self.push_number(u64::from(time.subsec_micros()), 6, b'0');
        self.push(b"] ");
    }

    /// Appends what fits of UTF-8 text, up to a character boundary.
    pub(super) fn push(&mut self, text: &[u8]) {
        if self.cut {
            return;
        }
        let mut len = text.len();
        let room = (LINE - CUT.len()).saturating_sub(self.len);
        if len > room {
            self.cut = true;
            len = room;
            while len > 0 && text.get(len).is_some_and(|byte| byte & 0xC0 == 0x80) {
                len -= 1;
            }
        }
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(text).take(len) {
            *to = match *from {
                b'\n' => b' ',
                0..0x20 | 0x7F => b'?',
                byte => byte,
            };
        }
        self.len += len;
    }

    /// Ends the line and returns it.
    pub(super) fn finish(&mut self) -> &[u8] {
        let end: &[u8] = if self.cut { CUT } else { b"\n" };
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(end) {
            *to = *from;
        }
        self.len += end.len();
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Writes a number right-aligned; it must come where there is room for 20 digits.
    fn push_number(&mut self, number: u64, width: u32, fill: u8) {
        let digits = number.checked_ilog10().unwrap_or(0) + 1;
        let end = self.len + digits.max(width) as usize;
        let field = self.bytes.get_mut(self.len..end).unwrap_or_default();
        let mut rest = number;
        let mut left = digits;
        for byte in field.iter_mut().rev() {
            *byte = if left > 0 { b'0' + (rest % 10) as u8 } else { fill };
            rest /= 10;
            left = left.saturating_sub(1);
        }
        self.len = end;
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}
