//! Output on its way to the terminal: collected, with CR LF at line ends.

use alloc::string::String;
use core::fmt::{self, Write as _};
use embedded_io_async::Write;

/// How much is collected before it is worth writing.
const FULL: usize = 4096;

/// Collected output.
pub struct Page {
    text: String,
}

impl Page {
    /// An empty page.
    pub fn new() -> Self {
        Self { text: String::new() }
    }

    /// Appends text whose line ends are as the terminal wants them already.
    pub fn raw(&mut self) -> &mut String {
        &mut self.text
    }

    /// Appends a line.
    pub fn line(&mut self, arguments: fmt::Arguments<'_>) {
        let _ = writeln!(self, "{arguments}");
    }

    /// Appends bytes; those that are not UTF-8 are replaced.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            let _ = self.write_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                self.text.push('\u{fffd}');
            }
        }
    }

    /// Whether it is time to write.
    pub fn is_full(&self) -> bool {
        self.text.len() >= FULL
    }

    /// Writes what was collected, all of it.
    pub async fn write_to<T: Write>(&mut self, terminal: &mut T) -> Result<(), T::Error> {
        if !self.text.is_empty() {
            terminal.write_all(self.text.as_bytes()).await?;
            self.text.clear();
        }
        Ok(())
    }
}

impl fmt::Write for Page {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut lines = text.split('\n');
        self.text.push_str(lines.next().unwrap_or_default());
        for line in lines {
            self.text.push_str("\r\n");
            self.text.push_str(line);
        }
        Ok(())
    }
}
