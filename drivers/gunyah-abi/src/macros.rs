//! One macro: an enum of numbers that keeps unknown ones and knows its names.

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
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $( Self::$variant => Some($text), )+
                    Self::Unknown(_) => None,
                }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => write!(f, concat!("{} (", $format, ")"), name, self.code()),
                    None => write!(f, concat!("unknown (", $format, ")"), self.code()),
                }
            }
        }
    };
}

pub(crate) use named_enum;
