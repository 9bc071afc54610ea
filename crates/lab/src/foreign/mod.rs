//! The shared libraries of others, opened at run time: the only unsafe code of this crate.
//!
//! Each library has a type that holds it open and the functions found in it, and hands out models whose methods are safe to
//! call. To open a library is to trust it: its functions must be what their names say. Models score on one thread; trees are
//! grown on as many as the library's own parameter says.

use std::ffi::{CStr, CString, c_char};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A library in memory.
mod library;
/// What libraries say while they work.
mod messages;
/// XGBoost's C interface.
mod xgboost;
/// LightGBM's C interface.
mod lightgbm;
/// ONNX Runtime's C interface.
mod onnx_runtime;
/// Models that became libraries themselves: by tl2cgen, lleaves and CatBoost.
mod compiled;

pub use compiled::{CatBoostCpp, CatBoostRow, Lleaves, Tl2cgen, Tl2cgenRows};
pub use lightgbm::{LightGbm, LightGbmBooster, LightGbmDataset, LightGbmRow, LightGbmTrainer};
pub use onnx_runtime::{OnnxModel, OnnxRuntime};
pub use xgboost::{XgBoost, XgBoostBooster, XgBoostMatrix, XgBoostTrainer};

/// What went wrong with the library of another.
#[derive(Debug, Error)]
pub enum ForeignError {
    /// It cannot be opened.
    #[error("{}: {source}", path.display())]
    Open {
        /// The library.
        path: PathBuf,
        /// The system's message.
        source: libloading::Error,
    },
    /// It is another library, or another version of it.
    #[error("{}: has no function {name}", path.display())]
    Function {
        /// The library.
        path: PathBuf,
        /// The function.
        name: &'static str,
    },
    /// It refused a call.
    #[error("{}: {function}: {message}", path.display())]
    Call {
        /// The library.
        path: PathBuf,
        /// The function.
        function: &'static str,
        /// The library's own message.
        message: String,
    },
    /// It does not know a parameter.
    #[error("{message}")]
    Unknown {
        /// The library's own message, which names the parameter.
        message: String,
    },
    /// It was given what it cannot take.
    #[error("{}: {message}", path.display())]
    Argument {
        /// The library.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

impl ForeignError {
    fn argument(path: &Path, message: impl Into<String>) -> ForeignError {
        ForeignError::Argument { path: path.to_path_buf(), message: message.into() }
    }
}

/// An error if a library has said on this thread that it does not know a parameter.
fn check_known() -> Result<(), ForeignError> {
    match messages::complaints().as_slice() {
        [] => Ok(()),
        complaints => Err(ForeignError::Unknown { message: complaints.join("; ") }),
    }
}

/// Text for a C function.
fn c_text(path: &Path, text: &str) -> Result<CString, ForeignError> {
    CString::new(text).map_err(|_| ForeignError::argument(path, "text with a zero byte"))
}

/// Text that a library owns.
///
/// # Safety
/// `text` is null or points to bytes that end with a zero.
unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return "no message".to_owned();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().trim().to_owned()
}

/// Rows of a matrix with so many columns.
fn row_count(path: &Path, length: usize, columns: usize) -> Result<usize, ForeignError> {
    if columns == 0 || !length.is_multiple_of(columns) {
        return Err(ForeignError::argument(path, format!("{length} values are no rows of {columns}")));
    }
    // Every library counts rows in 32 bits, one way or another.
    let rows = length / columns;
    if i32::try_from(rows).is_err() {
        return Err(ForeignError::argument(path, format!("{rows} rows are too many for one call")));
    }
    Ok(rows)
}
