//! The reader of XGBoost's JSON.
#![no_main]

mod model;

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus { model::check(bytes, b"\"learner\"") });
