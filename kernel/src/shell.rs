//! The shell: a line editor, and the commands a person can type.

pub mod history;
pub mod line;
