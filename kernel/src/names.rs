//! Names such as `bell 7`, for tasks and interrupts that come and go.
//!
//! A trace, a crash report or a debugger may show a name long after what bore it is gone. So names
//! stay for ever, each once; whoever gives out labels could make ever new ones, so there is a limit
//! to how many.

use alloc::{format, string::String, vec::Vec};
use core::cell::RefCell;
use critical_section::Mutex;

/// Names that are kept. What is named after that is called by what it is, without its label.
const MOST: usize = 512;

static NAMES: Mutex<RefCell<Names>> = Mutex::new(RefCell::new(Names(Vec::new())));

/// A name that lasts: `bell 7`, or `bell` without a label.
pub fn name(what: &'static str, label: Option<u32>) -> &'static str {
    let Some(label) = label else { return what };
    let wanted = format!("{what} {label}");
    critical_section::with(|cs| NAMES.borrow_ref_mut(cs).keep(wanted, MOST)).unwrap_or(what)
}

/// The names there are, in order.
struct Names(Vec<&'static str>);

impl Names {
    fn keep(&mut self, wanted: String, most: usize) -> Option<&'static str> {
        match self.0.binary_search_by(|known| (**known).cmp(&wanted)) {
            Ok(place) => self.0.get(place).copied(),
            Err(place) if self.0.len() < most => {
                let name: &'static str = wanted.leak();
                self.0.insert(place, name);
                Some(name)
            }
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once() {
        assert_eq!(name("bell", None), "bell");
        let first = name("bell", Some(70));
        assert_eq!(first, "bell 70");
        assert_eq!(name("bell", Some(70)).as_ptr(), first.as_ptr());
        assert_ne!(name("bell", Some(71)), first);
    }

    #[test]
    fn there_is_a_limit() {
        let mut names = Names(Vec::new());
        for text in ["b", "a", "b", "c", "a"] {
            assert_eq!(names.keep(text.into(), 3), Some(text));
        }
        assert_eq!(names.keep("d".into(), 3), None);
        assert_eq!(names.keep("c".into(), 3), Some("c"));
        assert_eq!(names.0, ["a", "b", "c"]);
    }
}
