//! Error replies.

use core::fmt;
use serde::{Deserialize, Serialize};

/// Why a request was refused. Unknown codes are kept.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorCode(pub u8);

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $name:ident = $code:literal, $text:literal;)*) => {
        #[allow(non_upper_case_globals)]
        impl ErrorCode {
            $($(#[$doc])* pub const $variant: Self = Self($code);)*

            /// The code in words, if it is a known one.
            pub fn words(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some($text),)*
                    _ => None,
                }
            }

            /// The code's name, for lists and scripts.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// The message is no request that can be read: version, kind, or payload.
    Malformed malformed = 1, "malformed";
    /// No service with that number is bound to this channel.
    UnknownService unknown_service = 2, "no such service";
    /// As many requests as there may be are outstanding; ask again after a reply.
    Busy busy = 3, "too many requests outstanding";
    /// The request's id is that of a request still outstanding.
    RequestInUse request_in_use = 4, "request id in use";
    /// A value is out of its range.
    OutOfRange out_of_range = 5, "out of range";
    /// The answer does not fit into a message of this transport; or the request did not, whose field `payload` is named.
    TooLarge too_large = 6, "too large";
    /// This machine has nothing to answer with.
    Unavailable unavailable = 7, "not available";
    /// Whoever asked has cancelled the request.
    Cancelled cancelled = 8, "cancelled";
    /// The service ends.
    Ending ending = 9, "the service ends";
    /// It was tried and did not work.
    Failed failed = 10, "failed";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            Some(words) => f.write_str(words),
            None => write!(f, "error {}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self, self.0)
    }
}

/// The payload of an error reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply<'a> {
    /// What kind of refusal.
    pub code: ErrorCode,
    /// The field that is wrong; empty if none is to blame.
    pub field: &'a str,
    /// What is wrong with it, in words.
    pub detail: &'a str,
}

impl fmt::Display for ErrorReply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code.fmt(f)?;
        if !self.field.is_empty() {
            write!(f, ", field {}", self.field)?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}
