//! XGBoost's C interface, as its `include/xgboost/c_api.h` documents it.

/// Growing trees.
mod train;

use std::ffi::{c_char, c_int, c_void};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use super::library::Shared;
use super::{ForeignError, c_text, row_count, text_of};

pub use train::{XgBoostMatrix, XgBoostTrainer};

type Handle = *mut c_void;

/// XGBoost's library, `libxgboost.so`.
#[derive(Clone)]
pub struct XgBoost(Arc<Functions>);

struct Functions {
    library: Shared,
    last_error: unsafe extern "C" fn() -> *const c_char,
    version: unsafe extern "C" fn(*mut c_int, *mut c_int, *mut c_int),
    create: unsafe extern "C" fn(*const Handle, u64, *mut Handle) -> c_int,
    free: unsafe extern "C" fn(Handle) -> c_int,
    set: unsafe extern "C" fn(Handle, *const c_char, *const c_char) -> c_int,
    load: unsafe extern "C" fn(Handle, *const c_void, u64) -> c_int,
    features: unsafe extern "C" fn(Handle, *mut u64) -> c_int,
    predict: PredictFromDense,
    log: unsafe extern "C" fn(unsafe extern "C" fn(*const c_char)) -> c_int,
    matrix: unsafe extern "C" fn(*const c_char, *const c_char, *mut Handle) -> c_int,
    matrix_numbers: unsafe extern "C" fn(Handle, *const c_char, *const f32, u64) -> c_int,
    matrix_texts: unsafe extern "C" fn(Handle, *const c_char, *mut *const c_char, u64) -> c_int,
    matrix_free: unsafe extern "C" fn(Handle) -> c_int,
    update: unsafe extern "C" fn(Handle, c_int, Handle) -> c_int,
    evaluate: EvalOneIter,
    save: unsafe extern "C" fn(Handle, *const c_char, *mut u64, *mut *const c_char) -> c_int,
}

/// Booster, round, matrices, their names, their number; a line of figures comes out.
type EvalOneIter =
    unsafe extern "C" fn(Handle, c_int, *mut Handle, *mut *const c_char, u64, *mut *const c_char) -> c_int;

/// Booster, array interface, configuration, proxy matrix; shape, its length, and result come out.
type PredictFromDense = unsafe extern "C" fn(
    Handle,
    *const c_char,
    *const c_char,
    Handle,
    *mut *const u64,
    *mut u64,
    *mut *const f32,
) -> c_int;

impl XgBoost {
    /// Opens the library.
    ///
    /// # Errors
    /// If it cannot be opened or is older than 1.7.
    pub fn open(path: &Path) -> Result<XgBoost, ForeignError> {
        let library = Shared::open(path)?;
        // SAFETY: the types are those of c_api.h; `library` lives as long as the functions.
        let functions = unsafe {
            Functions {
                last_error: library.function("XGBGetLastError")?,
                version: library.function("XGBoostVersion")?,
                create: library.function("XGBoosterCreate")?,
                free: library.function("XGBoosterFree")?,
                set: library.function("XGBoosterSetParam")?,
                load: library.function("XGBoosterLoadModelFromBuffer")?,
                features: library.function("XGBoosterGetNumFeature")?,
                predict: library.function("XGBoosterPredictFromDense")?,
                log: library.function("XGBRegisterLogCallback")?,
                matrix: library.function("XGDMatrixCreateFromDense")?,
                matrix_numbers: library.function("XGDMatrixSetFloatInfo")?,
                matrix_texts: library.function("XGDMatrixSetStrFeatureInfo")?,
                matrix_free: library.function("XGDMatrixFree")?,
                update: library.function("XGBoosterUpdateOneIter")?,
                evaluate: library.function("XGBoosterEvalOneIter")?,
                save: library.function("XGBoosterSaveModelToBuffer")?,
                library,
            }
        };
        Ok(XgBoost(Arc::new(functions)))
    }

    /// Its version.
    pub fn version(&self) -> String {
        let (mut major, mut minor, mut patch) = (0, 0, 0);
        // SAFETY: the three outlive the call.
        unsafe { (self.0.version)(&raw mut major, &raw mut minor, &raw mut patch) };
        format!("{major}.{minor}.{patch}")
    }

    /// Loads a model, as JSON or UBJSON.
    ///
    /// # Errors
    /// If XGBoost refuses it.
    pub fn load(&self, model: &[u8]) -> Result<XgBoostBooster, ForeignError> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: no matrices are given, and the handle outlives the call.
        let status = unsafe { (self.0.create)(std::ptr::null(), 0, &raw mut handle) };
        self.0.check("XGBoosterCreate", status)?;
        let mut booster = XgBoostBooster { xgboost: self.clone(), handle, columns: 0, array: String::new() };
        booster.set("nthread", "1")?;
        // SAFETY: the buffer is as long as is said.
        let status = unsafe { (self.0.load)(handle, model.as_ptr().cast(), model.len() as u64) };
        self.0.check("XGBoosterLoadModelFromBuffer", status)?;
        // Loading may bring the number of threads that the model was trained with.
        booster.set("nthread", "1")?;
        let mut columns = 0;
        // SAFETY: the handle is valid and the number outlives the call.
        let status = unsafe { (self.0.features)(handle, &raw mut columns) };
        self.0.check("XGBoosterGetNumFeature", status)?;
        booster.columns = columns as usize;
        Ok(booster)
    }
}

impl Functions {
    fn check(&self, function: &'static str, status: c_int) -> Result<(), ForeignError> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the library keeps the text until this thread's next error.
        let message = unsafe { text_of((self.last_error)()) };
        // What follows the first line is a trace of the stack.
        Err(self.library.failed(function, message.lines().next().unwrap_or_default().to_owned()))
    }
}

/// A model in XGBoost's hands.
pub struct XgBoostBooster {
    xgboost: XgBoost,
    handle: Handle,
    columns: usize,
    /// The array interface of the rows of a call, kept for its memory.
    array: String,
}

impl XgBoostBooster {
    /// Sets a parameter by XGBoost's name for it.
    ///
    /// # Errors
    /// If XGBoost refuses it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ForeignError> {
        let functions = &self.xgboost.0;
        let (name, value) = (c_text(&functions.library.path, name)?, c_text(&functions.library.path, value)?);
        // SAFETY: the handle is valid, the texts end with zeros and outlive the call.
        let status = unsafe { (functions.set)(self.handle, name.as_ptr(), value.as_ptr()) };
        functions.check("XGBoosterSetParam", status)
    }

    /// The margins of row-major `rows`, NaN for missing, put into `out`: prediction in place, the quickest that XGBoost
    /// has for few rows.
    ///
    /// # Errors
    /// If the rows do not have as many values as the model's, or XGBoost refuses them.
    pub fn margins(&mut self, rows: &[f32], out: &mut Vec<f64>) -> Result<(), ForeignError> {
        const CONFIGURATION: &std::ffi::CStr =
            c"{\"type\":1,\"iteration_begin\":0,\"iteration_end\":0,\"strict_shape\":false,\"missing\":NaN,\"cache_id\":0}";
        let functions = &self.xgboost.0;
        let count = row_count(&functions.library.path, rows.len(), self.columns)?;
        self.array.clear();
        write!(
            self.array,
            "{{\"data\":[{},true],\"shape\":[{count},{}],\"typestr\":\"<f4\",\"version\":3}}\0",
            rows.as_ptr() as usize,
            self.columns
        )
        .expect("text can be written to");
        let (mut shape, mut dimensions, mut result) = (std::ptr::null(), 0, std::ptr::null());
        // SAFETY: both texts end with zeros; the array interface describes `rows`, which outlive the call.
        let status = unsafe {
            (functions.predict)(
                self.handle,
                self.array.as_ptr().cast(),
                CONFIGURATION.as_ptr(),
                std::ptr::null_mut(),
                &raw mut shape,
                &raw mut dimensions,
                &raw mut result,
            )
        };
        functions.check("XGBoosterPredictFromDense", status)?;
        // SAFETY: on success `shape` has `dimensions` numbers.
        let results: u64 = unsafe { std::slice::from_raw_parts(shape, dimensions as usize) }.iter().product();
        if results != count as u64 {
            let message = format!("gave {results} results for {count} rows");
            return Err(functions.library.failed("XGBoosterPredictFromDense", message));
        }
        out.clear();
        // SAFETY: the shape says how many results there are; they live until the next prediction.
        out.extend(
            unsafe { std::slice::from_raw_parts(result, count) }.iter().map(|margin| f64::from(*margin)),
        );
        Ok(())
    }
}

impl Drop for XgBoostBooster {
    fn drop(&mut self) {
        // SAFETY: the handle is valid and not used again. Freeing cannot fail in a way that anyone could act upon.
        unsafe { (self.xgboost.0.free)(self.handle) };
    }
}
