//! Billy's one tool for people.
fn main() {}
