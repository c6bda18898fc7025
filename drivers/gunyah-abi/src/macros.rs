//! Numbers with names: a macro for enums of them, and the table behind it.
//!
//! A table holds all its names in one string, and one function searches them all: less code in the image than a match and a
//! lookup table for each, and nobody is in a hurry for a name.

/// Codes, and their names in the same order, each followed by a zero.
pub(crate) struct Names<C: 'static> {
    pub codes: &'static [C],
    pub names: &'static str,
}

impl<C: Copy + PartialEq> Names<C> {
    /// Returns the name of a code.
    pub fn name(&self, code: C) -> Option<&'static str> {
        let index = self.codes.iter().position(|known| *known == code)?;
        nth(self.names, index)
    }

    /// Returns the code of a name.
    pub fn code(&self, name: &str) -> Option<C> {
        let index = self.names.split('\0').position(|known| known == name)?;
        self.codes.get(index).copied()
    }
}

fn nth(names: &'static str, index: usize) -> Option<&'static str> {
    names.split('\0').nth(index)
}

/// Defines an enum over a number, with the reference's name of each value and a variant that keeps unknown values.
///
/// `Display` prints `NAME (value)`, the value by the given format.
macro_rules! named_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident: $repr:ident as $format:literal {
            $( $(#[$variant_meta:meta])* $variant:ident = $value:literal => $text:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[$variant_meta])* $variant, )+
            /// A value this crate does not know, kept as it came.
            Unknown($repr),
        }

        impl From<$repr> for $name {
            #[inline]
            fn from(value: $repr) -> Self {
                match value {
                    $( $value => Self::$variant, )+
                    other => Self::Unknown(other),
                }
            }
        }

        impl $name {
            /// Returns the raw value.
            #[inline]
            pub const fn code(self) -> $repr {
                match self {
                    $( Self::$variant => $value, )+
                    Self::Unknown(value) => value,
                }
            }

            /// Returns the name in the interface's documents, `None` for an unknown value.
            pub fn name(self) -> Option<&'static str> {
                let codes = &[$($value),+];
                let names = concat!($($text, "\0"),+);
                crate::macros::Names { codes, names }.name(self.code())
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.name().unwrap_or("unknown"))?;
                write!(f, concat!(" (", $format, ")"), self.code())
            }
        }
    };
}

pub(crate) use named_enum;
