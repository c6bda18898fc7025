//! The report's text, in a place that a crash of its writer does not take away.

use core::{
    cell::UnsafeCell,
    fmt,
    mem::MaybeUninit,
    ptr, slice, str,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Text that only grows, up to `N` bytes; what does not fit is cut off. Lives in a `static`.
///
/// Whoever crashes while writing leaves what was written so far, and the next one goes on behind.
pub struct ReportText<const N: usize> {
    len: AtomicUsize,
    bytes: UnsafeCell<MaybeUninit<[u8; N]>>,
}

// SAFETY: bytes below `len` never change, and those above are written by the one writer that
// `writer` demands.
unsafe impl<const N: usize> Sync for ReportText<N> {}

impl<const N: usize> ReportText<N> {
    /// Makes an empty text.
    pub const fn new() -> Self {
        Self { len: AtomicUsize::new(0), bytes: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Starts over. For a `static` whose memory is not cleared at boot.
    pub fn clear(&self) {
        self.len.store(0, Relaxed);
    }

    /// The text from byte `from` on.
    pub fn since(&self, from: usize) -> &str {
        let len = self.len();
        let start = self.bytes.get().cast::<u8>();
        // SAFETY: so many bytes are initialised and stay as they are.
        let text = unsafe { slice::from_raw_parts(start, len) };
        // SAFETY: whole strings or parts cut at character boundaries were appended.
        let text = unsafe { str::from_utf8_unchecked(text) };
        text.get(from..).unwrap_or_default()
    }

    /// Bytes written.
    pub fn len(&self) -> usize {
        self.len.load(Relaxed).min(N)
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets text be appended.
    ///
    /// # Safety
    ///
    /// Nobody else writes: another writer, if there was one, never runs again.
    pub unsafe fn writer(&self) -> Writer<'_, N> {
        Writer(self)
    }
}

impl<const N: usize> Default for ReportText<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for ReportText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReportText").field(&self.since(0)).finish()
    }
}

/// Appends to a [`ReportText`].
#[derive(Debug)]
pub struct Writer<'a, const N: usize>(&'a ReportText<N>);

impl<const N: usize> fmt::Write for Writer<'_, N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let len = self.0.len();
        let part = text.get(..text.floor_char_boundary(N - len)).unwrap_or_default();
        // SAFETY: the part fits behind `len`, where only this writer writes; `len` follows after.
        unsafe {
            let end = self.0.bytes.get().cast::<u8>().add(len);
            ptr::copy_nonoverlapping(part.as_ptr(), end, part.len());
        }
        self.0.len.store(len + part.len(), Relaxed);
        if part.len() == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;

    #[test]
    fn a_second_writer_goes_on_where_the_first_was_stopped() {
        let text = ReportText::<64>::new();
        // SAFETY: one at a time.
        unsafe { text.writer() }.write_str("first,").unwrap();
        let reported = text.len();
        // SAFETY: the first is gone.
        write!(unsafe { text.writer() }, " then {}", 2).unwrap();
        assert_eq!(text.since(0), "first, then 2");
        assert_eq!(text.since(reported), " then 2");
        assert_eq!(text.since(100), "");
        text.clear();
        assert!(text.is_empty());
    }

    #[test]
    fn too_much_is_cut_between_characters() {
        let text = ReportText::<8>::new();
        // SAFETY: the only one.
        let mut writer = unsafe { text.writer() };
        assert!(writer.write_str("1234567ä9").is_err());
        assert_eq!(text.since(0), "1234567");
        assert!(writer.write_str("x").is_ok());
        assert!(writer.write_str("y").is_err());
        assert_eq!(text.since(0), "1234567x");
    }
}
