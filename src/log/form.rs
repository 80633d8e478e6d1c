//! How fields are read that another version may write in another form, and hostile lines.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::zst::Engine;

/// Elements of a list that are read; no list that is written has more.
const LISTED: usize = 1024;

/// A value; the default of its type where it is of another form, as another version may write it.
pub fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

/// Whether a count is left out where it would say nothing.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How an archive was read, by its word; the default one where that is not known.
pub mod engine {
    use super::{Cow, Deserialize, Deserializer, Engine, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub fn serialize<S: Serializer>(engine: &Engine, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(engine.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Engine, D::Error> {
        let word = Cow::<str>::deserialize(deserializer)?;
        let engines = [Engine::Auto, Engine::Skip, Engine::Decode];
        Ok(engines.into_iter().find(|engine| engine.as_str() == word).unwrap_or_default())
    }
}

/// A field that is there, be it null.
#[allow(clippy::option_option)]
pub fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<bool>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The first elements of a list, without those of another form: an element can become a hundred times as
/// large.
pub fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct List<T>(PhantomData<T>);

    impl<'de, T: DeserializeOwned> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while list.len() < LISTED {
                match elements.next_element::<&RawValue>()? {
                    Some(raw) => list.extend(serde_json::from_str::<T>(raw.get())),
                    None => return Ok(list),
                }
            }
            while elements.next_element::<IgnoredAny>()?.is_some() {}
            Ok(list)
        }
    }

    deserializer.deserialize_seq(List(PhantomData))
}

pub fn optional_list<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    list(deserializer).map(Some)
}

#[allow(clippy::trivially_copy_pass_by_ref)]
pub fn milliseconds<S: Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((seconds * 1000.0).round() / 1000.0)
}
/// The same of what may not be known.
#[allow(clippy::ref_option)]
pub fn optional_milliseconds<S: Serializer>(seconds: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match seconds {
        Some(seconds) => milliseconds(seconds, serializer),
        None => serializer.serialize_none(),
    }
}
