//! Crashes that can be asked for, to see what is reported of them.

/// A way to crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provocation {
    /// A panic in the task that runs the shell.
    Here,
    /// Recursion without end in a task.
    Stack,
    /// Memory used up, to the last block.
    Heap,
    /// A panic in an interrupt handler.
    Irq,
    /// Recursion without end in an interrupt handler.
    IrqStack,
    /// A read through a null pointer.
    Null,
    /// A panic whose message cannot be made without another crash.
    Nested,
}

impl Provocation {
    /// All, with the words for them.
    pub const ALL: [(&'static str, Self); 7] = [
        ("here", Self::Here),
        ("stack", Self::Stack),
        ("heap", Self::Heap),
        ("irq", Self::Irq),
        ("irq-stack", Self::IrqStack),
        ("null", Self::Null),
        ("nested", Self::Nested),
    ];

    /// The provocation with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, provocation)| *provocation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        assert_eq!(Provocation::from_name("irq-stack"), Some(Provocation::IrqStack));
        assert_eq!(Provocation::from_name("irq"), Some(Provocation::Irq));
        assert_eq!(Provocation::from_name(""), None);
    }
}
