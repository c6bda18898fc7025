//! Payloads in postcard encoding, with errors that name the field.

mod fields;

use core::marker::PhantomData;
use fields::Fields;
use postcard::Deserializer;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a value is not in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The buffer is too small.
    #[error("no room for the message")]
    Room,
    /// A value of a kind that has no encoding, such as a sequence of unknown length.
    #[error("the value cannot be encoded")]
    Value,
}

/// Why a payload is no such value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// It ends too early.
    #[error("the payload ends before {field} does")]
    Ends {
        /// In which field.
        field: &'static str,
    },
    /// Bytes that stand for no value of the field.
    #[error("{field} has no such value")]
    Value {
        /// Which field.
        field: &'static str,
    },
    /// Bytes are left over.
    #[error("{bytes} bytes follow behind the last field")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

impl DecodeError {
    /// The field that is wrong.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Ends { field } | Self::Value { field } => field,
            Self::Trailing { .. } => "payload",
        }
    }

    /// What is wrong with it, in words.
    pub fn detail(&self) -> &'static str {
        match self {
            Self::Ends { .. } => "the payload ends in it",
            Self::Value { .. } => "no such value",
            Self::Trailing { .. } => "bytes follow behind the last field",
        }
    }

    fn new(field: &'static str, error: &postcard::Error) -> Self {
        match error {
            postcard::Error::DeserializeUnexpectedEnd => Self::Ends { field },
            _ => Self::Value { field },
        }
    }
}

/// Puts `value` into `buffer`. Returns how many bytes it takes.
///
/// # Errors
///
/// See [`EncodeError`].
#[inline]
pub fn encode<T: Serialize + ?Sized>(value: &T, buffer: &mut [u8]) -> Result<usize, EncodeError> {
    match postcard::to_slice(value, buffer) {
        Ok(bytes) => Ok(bytes.len()),
        Err(postcard::Error::SerializeBufferFull) => Err(EncodeError::Room),
        Err(_) => Err(EncodeError::Value),
    }
}

/// Reads a struct, which must take the whole payload. Its text and bytes stay where they are.
///
/// # Errors
///
/// See [`DecodeError`]. What is no struct has no field to name: it is called `payload`.
#[inline]
pub fn decode<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, DecodeError> {
    let mut inner = Deserializer::from_bytes(payload);
    let mut field = "payload";
    let value = T::deserialize(Fields { inner: &mut inner, field: &mut field })
        .map_err(|error| DecodeError::new(field, &error))?;
    match inner.finalize() {
        Ok([]) => Ok(value),
        Ok(rest) => Err(DecodeError::Trailing { bytes: rest.len() }),
        Err(error) => Err(DecodeError::new("payload", &error)),
    }
}

/// Values one behind the other, as lists come: each payload of a reply holds as many as fit.
#[derive(Clone, Debug)]
pub struct Entries<'a, T> {
    rest: &'a [u8],
    values: PhantomData<T>,
}

impl<'a, T: Deserialize<'a>> Entries<'a, T> {
    /// The values in a payload.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload, values: PhantomData }
    }
}

impl<'a, T: Deserialize<'a>> Iterator for Entries<'a, T> {
    type Item = Result<T, DecodeError>;

    /// The next value; after an error there is none.
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let before = core::mem::take(&mut self.rest);
        let mut inner = Deserializer::from_bytes(before);
        let mut field = "entry";
        let value = T::deserialize(Fields { inner: &mut inner, field: &mut field });
        Some(match (value, inner.finalize()) {
            // What takes no bytes would come without end.
            (Ok(_), Ok(rest)) if rest.len() == before.len() => Err(DecodeError::Value { field }),
            (Ok(value), Ok(rest)) => {
                self.rest = rest;
                Ok(value)
            }
            (Err(error), _) | (_, Err(error)) => Err(DecodeError::new(field, &error)),
        })
    }
}
