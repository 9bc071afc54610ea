//! What the libraries say while they work: kept from the terminal, where it would stand between results.

use std::cell::RefCell;
use std::ffi::c_char;

use super::text_of;

thread_local! {
    static COMPLAINTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// How XGBoost and LightGBM say that they do not know a parameter. They go on without it; we do not.
const UNKNOWN: [&str; 2] = ["are not used", "Unknown parameter"];

/// Takes a message of a library. Both libraries call it on the thread that registered it.
///
/// # Safety
/// `text` is null or points to bytes that end with a zero.
pub(super) unsafe extern "C" fn take(text: *const c_char) {
    // SAFETY: the caller's promise.
    let text = unsafe { text_of(text) };
    let complains = |line: &&str| UNKNOWN.iter().any(|words| line.contains(words));
    if let Some(line) = text.lines().find(complains) {
        COMPLAINTS.with_borrow_mut(|complaints| complaints.push(line.trim().to_owned()));
    }
}

/// What was said on this thread about parameters since the last call.
pub(super) fn complaints() -> Vec<String> {
    let mut complaints = COMPLAINTS.take();
    // LightGBM says it of its data and of its model.
    complaints.sort();
    complaints.dedup();
    complaints
}
