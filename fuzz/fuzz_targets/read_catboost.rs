//! The reader of CatBoost's JSON.
#![no_main]

mod model;

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus { model::check(bytes, b"features_info") });
