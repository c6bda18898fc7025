//! One line being put together.

use core::{fmt, time::Duration};

/// The longest line, with its end, in bytes.
pub(super) const LINE: usize = 256;

/// What a line that was too long ends with.
const CUT: &[u8] = "…\n".as_bytes();

/// A line without control characters; what does not fit is replaced by an ellipsis.
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

    /// Ends the line and returns it.
    pub(super) fn finish(&mut self) -> &[u8] {
        let end: &[u8] = if self.cut { CUT } else { b"\n" };
        if let Some(room) = self.bytes.get_mut(self.len..self.len + end.len()) {
            room.copy_from_slice(end);
            self.len += end.len();
        }
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Writes a number right-aligned; several times cheaper than `core::fmt`.
    fn push_number(&mut self, number: u64, width: usize, fill: u8) {
        let mut digits = [fill; 20];
        let mut rest = number;
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            used += 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let start = digits.len() - used.max(width);
        self.push(digits.get(start..).unwrap_or_default());
    }

    /// Appends what fits of UTF-8 text, up to a character boundary.
    pub(super) fn push(&mut self, text: &[u8]) {
        let room = LINE - CUT.len() - self.len;
        let mut len = text.len();
        if self.cut {
            return;
        }
        if len > room {
            self.cut = true;
            len = room;
            while len > 0 && text.get(len).is_some_and(|byte| byte & 0xC0 == 0x80) {
                len -= 1;
            }
        }
        if let Some(target) = self.bytes.get_mut(self.len..self.len + len) {
            for (to, from) in target.iter_mut().zip(text) {
                *to = match *from {
                    b'\n' => b' ',
                    0..0x20 | 0x7F => b'?',
                    byte => byte,
                };
            }
            self.len += len;
        }
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}
