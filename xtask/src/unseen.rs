//! What a guest logged but its console never showed, from the shim's log.

use std::collections::HashSet;

/// How the shim's log marks a line of the guest's.
const MARK: &str = "] guest: ";

/// The lines of the guest's log that are not on `console`, each with a newline.
pub fn guest_lines(shim_log: &str, console: &[u8]) -> String {
    let console = String::from_utf8_lossy(console);
    let seen: HashSet<&str> = console.lines().map(shown).collect();
    let logged = shim_log.lines().filter_map(|line| Some(line.split_once(MARK)?.1.trim_end()));
    let mut text = String::new();
    for line in logged.filter(|line| !line.is_empty() && !seen.contains(line)) {
        text += line;
        text.push('\n');
    }
    text
}

/// The last line that the shim logged on its own behalf: why the run failed.
pub fn last_own_line(shim_log: &str) -> Option<&str> {
    let mut own = shim_log.lines().filter(|line| !line.contains(MARK) && !line.is_empty());
    own.rfind(|line| !line.ends_with("the guest's log:"))
}

/// What a console line shows in the end: what follows the last return and escape sequence.
fn shown(line: &str) -> &str {
    let line = line.trim_end();
    let line = line.rsplit_once('\r').map_or(line, |(_, last)| last);
    match line.rsplit_once("\x1b[") {
        Some((_, rest)) => rest.split_once(char::is_alphabetic).map_or("", |(_, text)| text),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_shown_is_left() {
        let log = "[    0.000001] run: starts\n\
                   [    0.400000] run: error: the run failed\n\
                   [    0.400001] run: the guest's log:\n\
                   [    0.500000] guest: [    0.000123] hyp: Gunyah\n\
                   [    0.500001] guest: \n\
                   [    0.500002] guest: *** panicked\n";
        assert_eq!(last_own_line(log), Some("[    0.400000] run: error: the run failed"));
        assert_eq!(guest_lines(log, b""), "[    0.000123] hyp: Gunyah\n*** panicked\n");
        for console in [
            &b"[    0.000123] hyp: Gunyah\r\nbilly> \r\n"[..],
            b"billy> ab\r\x1b[K[    0.000123] hyp: Gunyah\r\n",
        ] {
            assert_eq!(guest_lines(log, console), "*** panicked\n");
        }
    }
}
