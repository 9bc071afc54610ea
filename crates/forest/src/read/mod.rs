//! Readers for models as their libraries save them.
//!
//! Each becomes the one [`Forest`] whose margins are those of the library: to the last bit of its own arithmetic for XGBoost
//! and LightGBM. A file is trusted in nothing: memory stays in proportion to its length, and a truncated or
//! inconsistent one gets an error that says where. What a forest cannot say is refused by name.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};

use crate::ensemble::Forest;

/// What is wrong with a file.
mod error;
/// Nodes in any order to a tree.
mod link;
/// UBJSON, the binary form of JSON.
mod ubjson;
mod xgboost;
mod lightgbm;
mod catboost;
mod onnx;

pub use error::ReadError;

/// A model from a file, and what the file says of it.
#[derive(Clone, Debug)]
pub struct NativeModel {
    /// The model.
    pub forest: Forest,
    /// Who made it.
    pub library: Library,
    /// Format of the file, as it is called.
    pub format: &'static str,
    /// The version that the file names, of the library or of the format.
    pub version: Option<String>,
    /// What it was trained for, in the library's words.
    pub objective: Option<String>,
    /// Trees in the file. The forest has fewer where training was stopped early.
    pub trees_in_file: usize,
    /// Whether the names of the features are the model's own. If not, they were made up: f0, f1 and so on.
    pub named: bool,
}

/// Whose model it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// redflag itself.
    Redflag,
    /// XGBoost.
    XgBoost,
    /// LightGBM.
    LightGbm,
    /// CatBoost.
    CatBoost,
    /// Any that writes ONNX: scikit-learn, most often.
    Onnx,
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Library::Redflag => "redflag",
            Library::XgBoost => "xgboost",
            Library::LightGbm => "lightgbm",
            Library::CatBoost => "catboost",
            Library::Onnx => "onnx",
        })
    }
}

/// How to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Use the trees after the best iteration too, where training was stopped early.
    pub all_trees: bool,
}

/// Reads a model, whatever its format: the content tells.
///
/// # Errors
/// If it is no such model, is damaged, or means what a [`Forest`] cannot.
pub fn read(bytes: &[u8]) -> Result<NativeModel, ReadError> {
    read_with(bytes, &Options::default())
}

/// [`read`], with options.
///
/// # Errors
/// As [`read`].
pub fn read_with(bytes: &[u8], options: &Options) -> Result<NativeModel, ReadError> {
    match detect(bytes)? {
        Format::Redflag => redflag(text(bytes)?),
        Format::XgBoostJson => xgboost::read_json(bytes, options),
        Format::XgBoostUbj => xgboost::read_ubjson(bytes, options),
        Format::LightGbm => lightgbm::read(text(bytes)?),
        Format::CatBoost => catboost::read(bytes),
        Format::Onnx => onnx::read(bytes),
    }
}

#[derive(Clone, Copy)]
enum Format {
    Redflag,
    XgBoostJson,
    XgBoostUbj,
    LightGbm,
    CatBoost,
    Onnx,
}

fn text(bytes: &[u8]) -> Result<&str, ReadError> {
    std::str::from_utf8(bytes).map_err(|error| ReadError::Unknown(format!("expected text in UTF-8: {error}")))
}

fn redflag(text: &str) -> Result<NativeModel, ReadError> {
    let forest = Forest::from_json(text)?;
    Ok(NativeModel {
        library: Library::Redflag,
        format: "redflag forest",
        version: None,
        objective: None,
        trees_in_file: forest.tree_count(),
        named: true,
        forest,
    })
}

/// Beginnings of files that are models, but none that can be read, and what to do about it.
const ADVICE: [(&[u8], &str); 9] = [
    (b"binf", "XGBoost's old binary format; load it and save it as .json or .ubj"),
    (b"bs64", "XGBoost's old binary format; load it and save it as .json or .ubj"),
    (b"CBM1", "CatBoost's binary format; save it with save_model(path, format=\"json\")"),
    (b"\x80\x02", PICKLE),
    (b"\x80\x03", PICKLE),
    (b"\x80\x04", PICKLE),
    (b"\x80\x05", PICKLE),
    (b"booster[", "a text dump of XGBoost, which is rounded; save the model with save_model"),
    (b"<", "XML (PMML?); save the model in its library's own format, or as ONNX"),
];

const PICKLE: &str =
    "a Python pickle, which is a program; save the model in its library's own format, or as ONNX";

fn detect(bytes: &[u8]) -> Result<Format, ReadError> {
    if let Some((_, advice)) = ADVICE.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Err(ReadError::Unknown((*advice).to_owned()));
    }
    let content = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    match content {
        // A name's length and that it is one comes first in UBJSON, a quotation mark or white space in JSON.
        [b'{', b'i' | b'U' | b'I' | b'l' | b'L' | b'$' | b'#' | b'N', ..] => Ok(Format::XgBoostUbj),
        [b'{', ..] => json(content),
        [b'[', ..] => {
            Err(ReadError::Unknown("a list; is it a dump? save the model with save_model".to_owned()))
        }
        _ if content.starts_with(b"tree") || content.starts_with(b"version=v") => Ok(Format::LightGbm),
        // The first field of an ONNX model is a small number, the version of the format.
        [0x08, 1..=127, ..] => Ok(Format::Onnx),
        [] => Err(ReadError::Unknown("the file is empty".to_owned())),
        _ => Err(ReadError::Unknown("the content is of no format that is read".to_owned())),
    }
}

/// Which of the models that are JSON objects: told by the name of a member. Libraries write them in a fixed order, so the
/// first one mostly does.
fn json(content: &[u8]) -> Result<Format, ReadError> {
    let mut found = None;
    let mut deserializer = serde_json::Deserializer::from_slice(content);
    let outcome = KeySearch(&mut found).deserialize(&mut deserializer);
    match (found, outcome) {
        (Some(found), _) => found,
        (None, Err(error)) => Err(ReadError::Syntax { format: "JSON", problem: error.to_string() }),
        (None, Ok(())) => Err(ReadError::Unknown("JSON, but without the members of a model".to_owned())),
    }
}

fn json_format(key: &str) -> Option<Result<Format, ReadError>> {
    let advice = |text: &str| Some(Err(ReadError::Unknown(text.to_owned())));
    match key {
        "learner" => Some(Ok(Format::XgBoostJson)),
        "oblivious_trees" | "features_info" | "scale_and_bias" => Some(Ok(Format::CatBoost)),
        "format" | "output" => Some(Ok(Format::Redflag)),
        "tree_info" | "num_tree_per_iteration" => {
            advice("a JSON dump of LightGBM; save the model with save_model, as text")
        }
        _ => None,
    }
}

/// Looks through the members of an object until one tells the format; the rest is not read.
struct KeySearch<'a>(&'a mut Option<Result<Format, ReadError>>);

impl<'de> DeserializeSeed<'de> for KeySearch<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for KeySearch<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a model")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(key) = members.next_key::<String>()? {
            *self.0 = json_format(&key);
            if self.0.is_some() {
                return Ok(());
            }
            members.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}
