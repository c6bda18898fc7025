//! A deserializer that remembers which field of a struct it is in.

use postcard::{Deserializer, Error, de_flavors::Slice};
use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};

type Inner<'de> = Deserializer<'de, Slice<'de>>;

/// Reads one struct; `field` is the one that is being read.
pub struct Fields<'a, 'de> {
    pub inner: &'a mut Inner<'de>,
    pub field: &'a mut &'static str,
}

impl<'de> de::Deserializer<'de> for Fields<'_, 'de> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Each { inner: self.inner, field: self.field, rest: fields.iter() })
    }

    /// Everything else is left to postcard where it needs no knowledge of the type, and refused where it does.
    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::WontImplement)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.inner.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit seq tuple
        tuple_struct map identifier ignored_any
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The fields of a struct, in order.
struct Each<'a, 'de> {
    inner: &'a mut Inner<'de>,
    field: &'a mut &'static str,
    rest: core::slice::Iter<'static, &'static str>,
}

impl<'de> SeqAccess<'de> for Each<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(field) = self.rest.next() else { return Ok(None) };
        *self.field = field;
        seed.deserialize(&mut *self.inner).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}
