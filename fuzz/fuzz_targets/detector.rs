//! Any text is a detector or a list of mistakes, soon, and without exhausting the stack.
#![no_main]

use std::sync::Arc;

use engine::{Decisions, Detector, Engine, EventBatch, Value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Also the text as an expression: a random file rarely gets as far as its first one.
    let quoted = text.replace(['\\', '"'], "'").replace(|c: char| c.is_control() && c != '\n', " ");
    let in_place = format!(
        "name = \"f\"\n[event]\nid = \"id\"\ntime = \"t\"\namount = \"amount\"\nkey = \"card\"\n\
         fields = {{ kind = \"category\", risk = \"number\" }}\n[lists]\nbad = [\"a\"]\n\
         [[feature]]\nname = \"f\"\nexpression = \"\"\"{quoted}\"\"\"\n"
    );
    for text in [text, &in_place] {
        match Detector::parse(text) {
            Ok(detector) => decide_one(detector),
            Err(mistakes) => assert!(!mistakes.is_empty()),
        }
    }
});

fn decide_one(detector: Detector) {
    let schema = Arc::new(detector.schema.clone());
    let mut batch = EventBatch::new(Arc::clone(&schema));
    batch.begin_row();
    for field in 0..schema.fields.len() {
        batch.set(field, Value::Integer(1));
    }
    if batch.end_row().is_ok() {
        Engine::new(Arc::new(detector), None, 1).process(&batch, 0, &mut Decisions::default());
    }
}
