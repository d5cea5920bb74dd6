//! Reading a config file's JSON without losing what a lenient reader would hide: duplicates, order,
//! the kind of every value.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// An object's members in file order, duplicates and all.
#[derive(Debug)]
pub(super) struct Members<V>(pub(super) Vec<(String, V)>);

/// What stands where an entry should be.
#[derive(Debug)]
pub(super) enum RawEntry {
    /// An object: the fields of a config.
    Object(Members<RawValue>),
    /// Something else, in words.
    Other(&'static str),
}

/// What stands where a field's value should be.
#[derive(Debug)]
pub(super) enum RawValue {
    /// A whole number above or at 0.
    Whole(u64),
    /// `true` or `false`.
    Boolean(bool),
    /// Something else, in words.
    Other(String),
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Members<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor<V>(std::marker::PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for MembersVisitor<V> {
            type Value = Members<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor(std::marker::PhantomData))
    }
}

/// Take a sequence without keeping it: nesting costs no stack, as ignored values are skipped in a loop.
fn skip<'de, A: SeqAccess<'de>>(mut sequence: A) -> Result<(), A::Error> {
    while sequence.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

impl<'de> Deserialize<'de> for RawEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;

        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = RawEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawEntry, A::Error> {
                Members::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(RawEntry::Object)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<RawEntry, A::Error> {
                skip(sequence).map(|()| RawEntry::Other("an array"))
            }

            fn visit_bool<E>(self, _: bool) -> Result<RawEntry, E> {
                Ok(RawEntry::Other("a boolean"))
            }

            fn visit_i64<E>(self, _: i64) -> Result<RawEntry, E> {
                Ok(RawEntry::Other("a number"))
            }

            fn visit_u64<E>(self, _: u64) -> Result<RawEntry, E> {
                Ok(RawEntry::Other("a number"))
            }

            fn visit_f64<E>(self, _: f64) -> Result<RawEntry, E> {
                Ok(RawEntry::Other("a number"))
            }

            fn visit_str<E>(self, _: &str) -> Result<RawEntry, E> {
                Ok(RawEntry::Other("a string"))
            }

            fn visit_unit<E>(self) -> Result<RawEntry, E> {
                Ok(RawEntry::Other("null"))
            }
        }

        deserializer.deserialize_any(EntryVisitor)
    }
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = RawValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
                Ok(RawValue::Boolean(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
                Ok(RawValue::Whole(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
                Ok(RawValue::Other(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<RawValue, E> {
                // Debug keeps the `.0` that makes a float of a whole number.
                Ok(RawValue::Other(format!("{value:?}")))
            }

            fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
                let shown: String = value.chars().take(40).collect();
                Ok(RawValue::Other(format!("\"{shown}\"")))
            }

            fn visit_unit<E>(self) -> Result<RawValue, E> {
                Ok(RawValue::Other("null".into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<RawValue, A::Error> {
                skip(sequence).map(|()| RawValue::Other("an array".into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawValue, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(RawValue::Other("an object".into()))
            }
        }

        deserializer.deserialize_any(ValueVisitor)
    }
}
