//! LightGBM's C interface, as its `include/LightGBM/c_api.h` documents it.

/// Growing trees.
mod train;

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;
use std::sync::Arc;

use super::library::Shared;
use super::{ForeignError, c_text, row_count, text_of};

pub use train::{LightGbmDataset, LightGbmTrainer};

type Handle = *mut c_void;

/// `C_API_DTYPE_FLOAT64`
const DOUBLE: c_int = 1;
/// `C_API_PREDICT_RAW_SCORE`
const RAW_SCORE: c_int = 1;
/// All iterations: the best one if the training was stopped early.
const ALL: c_int = -1;

/// LightGBM's library, `lib_lightgbm.so`.
#[derive(Clone)]
pub struct LightGbm(Arc<Functions>);

struct Functions {
    library: Shared,
    last_error: unsafe extern "C" fn() -> *const c_char,
    load: unsafe extern "C" fn(*const c_char, *mut c_int, *mut Handle) -> c_int,
    free: unsafe extern "C" fn(Handle) -> c_int,
    features: unsafe extern "C" fn(Handle, *mut c_int) -> c_int,
    results: unsafe extern "C" fn(Handle, *mut c_int) -> c_int,
    predict: PredictForMat,
    row_init: RowInit,
    row: unsafe extern "C" fn(Handle, *const c_void, *mut i64, *mut f64) -> c_int,
    row_free: unsafe extern "C" fn(Handle) -> c_int,
    log: unsafe extern "C" fn(unsafe extern "C" fn(*const c_char)) -> c_int,
    dataset: CreateFromMat,
    dataset_field: unsafe extern "C" fn(Handle, *const c_char, *const c_void, c_int, c_int) -> c_int,
    dataset_free: unsafe extern "C" fn(Handle) -> c_int,
    create: unsafe extern "C" fn(Handle, *const c_char, *mut Handle) -> c_int,
    add_validation: unsafe extern "C" fn(Handle, Handle) -> c_int,
    update: unsafe extern "C" fn(Handle, *mut c_int) -> c_int,
    evaluate: unsafe extern "C" fn(Handle, c_int, *mut c_int, *mut f64) -> c_int,
    save: unsafe extern "C" fn(Handle, c_int, c_int, c_int, i64, *mut i64, *mut c_char) -> c_int,
}

/// Values, their type, number of rows, of columns, whether row-major, parameters, a dataset whose bins to take; a dataset
/// comes out.
type CreateFromMat =
    unsafe extern "C" fn(*const c_void, c_int, i32, i32, c_int, *const c_char, Handle, *mut Handle) -> c_int;

/// Booster, rows, their type, number of rows, of columns, whether row-major, kind, first iteration, iterations, parameters;
/// number of results and results come out.
type PredictForMat = unsafe extern "C" fn(
    Handle,
    *const c_void,
    c_int,
    i32,
    i32,
    c_int,
    c_int,
    c_int,
    c_int,
    *const c_char,
    *mut i64,
    *mut f64,
) -> c_int;

/// Booster, kind, first iteration, iterations, type of a row, number of columns, parameters; a configuration comes out.
type RowInit =
    unsafe extern "C" fn(Handle, c_int, c_int, c_int, c_int, i32, *const c_char, *mut Handle) -> c_int;

impl LightGbm {
    /// Opens the library.
    ///
    /// # Errors
    /// If it cannot be opened or is older than 3.0.
    pub fn open(path: &Path) -> Result<LightGbm, ForeignError> {
        let library = Shared::open(path)?;
        // SAFETY: the types are those of c_api.h; `library` lives as long as the functions.
        let functions = unsafe {
            Functions {
                last_error: library.function("LGBM_GetLastError")?,
                load: library.function("LGBM_BoosterLoadModelFromString")?,
                free: library.function("LGBM_BoosterFree")?,
                features: library.function("LGBM_BoosterGetNumFeature")?,
                results: library.function("LGBM_BoosterNumModelPerIteration")?,
                predict: library.function("LGBM_BoosterPredictForMat")?,
                row_init: library.function("LGBM_BoosterPredictForMatSingleRowFastInit")?,
                row: library.function("LGBM_BoosterPredictForMatSingleRowFast")?,
                row_free: library.function("LGBM_FastConfigFree")?,
                log: library.function("LGBM_RegisterLogCallback")?,
                dataset: library.function("LGBM_DatasetCreateFromMat")?,
                dataset_field: library.function("LGBM_DatasetSetField")?,
                dataset_free: library.function("LGBM_DatasetFree")?,
                create: library.function("LGBM_BoosterCreate")?,
                add_validation: library.function("LGBM_BoosterAddValidData")?,
                update: library.function("LGBM_BoosterUpdateOneIter")?,
                evaluate: library.function("LGBM_BoosterGetEval")?,
                save: library.function("LGBM_BoosterSaveModelToString")?,
                library,
            }
        };
        Ok(LightGbm(Arc::new(functions)))
    }

    /// Loads a model from its text.
    ///
    /// # Errors
    /// If LightGBM refuses it, or it has several results a row.
    pub fn load(&self, model: &str) -> Result<LightGbmBooster, ForeignError> {
        let text = c_text(&self.0.library.path, model)?;
        let (mut iterations, mut handle) = (0, std::ptr::null_mut());
        // SAFETY: the text ends with a zero; what comes out outlives the call.
        let status = unsafe { (self.0.load)(text.as_ptr(), &raw mut iterations, &raw mut handle) };
        self.0.check("LGBM_BoosterLoadModelFromString", status)?;
        let mut booster = LightGbmBooster { lightgbm: self.clone(), handle, columns: 0 };
        let (mut columns, mut results) = (0, 0);
        // SAFETY: the handle is valid.
        let status = unsafe { (self.0.features)(handle, &raw mut columns) };
        self.0.check("LGBM_BoosterGetNumFeature", status)?;
        // SAFETY: as above.
        let status = unsafe { (self.0.results)(handle, &raw mut results) };
        self.0.check("LGBM_BoosterNumModelPerIteration", status)?;
        if results != 1 {
            let message = format!("the model gives {results} results a row, expected one");
            return Err(ForeignError::argument(&self.0.library.path, message));
        }
        booster.columns = usize::try_from(columns).unwrap_or(0);
        Ok(booster)
    }
}

impl Functions {
    fn check(&self, function: &'static str, status: c_int) -> Result<(), ForeignError> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the library keeps the text until this thread's next error.
        Err(self.library.failed(function, unsafe { text_of((self.last_error)()) }))
    }
}

/// A model in LightGBM's hands.
pub struct LightGbmBooster {
    lightgbm: LightGbm,
    handle: Handle,
    columns: usize,
}

impl LightGbmBooster {
    /// The margins of row-major `rows`, put into `out`.
    ///
    /// # Errors
    /// If the rows do not have as many values as the model's, or LightGBM refuses them.
    pub fn margins(&mut self, rows: &[f64], out: &mut Vec<f64>) -> Result<(), ForeignError> {
        let functions = &self.lightgbm.0;
        let count = row_count(&functions.library.path, rows.len(), self.columns)?;
        out.clear();
        out.resize(count, 0.0);
        let mut results = 0;
        // SAFETY: `rows` and `out` have `count` rows and results, and the model has one result a row; all outlive
        // the call.
        let status = unsafe {
            (functions.predict)(
                self.handle,
                rows.as_ptr().cast(),
                DOUBLE,
                count as i32,
                self.columns as i32,
                1,
                RAW_SCORE,
                0,
                ALL,
                c"num_threads=1".as_ptr(),
                &raw mut results,
                out.as_mut_ptr(),
            )
        };
        functions.check("LGBM_BoosterPredictForMat", status)
    }

    /// Prepares for single rows: the quickest that LightGBM has for them.
    ///
    /// # Errors
    /// If LightGBM refuses.
    pub fn single_rows(self) -> Result<LightGbmRow, ForeignError> {
        let functions = &self.lightgbm.0;
        let mut configuration = std::ptr::null_mut();
        // SAFETY: the handle is valid, and the text ends with a zero.
        let status = unsafe {
            (functions.row_init)(
                self.handle,
                RAW_SCORE,
                0,
                ALL,
                DOUBLE,
                self.columns as i32,
                c"num_threads=1".as_ptr(),
                &raw mut configuration,
            )
        };
        functions.check("LGBM_BoosterPredictForMatSingleRowFastInit", status)?;
        Ok(LightGbmRow { configuration, booster: self })
    }
}

impl Drop for LightGbmBooster {
    fn drop(&mut self) {
        // SAFETY: the handle is valid and not used again.
        unsafe { (self.lightgbm.0.free)(self.handle) };
    }
}

/// A model in LightGBM's hands, prepared for single rows.
pub struct LightGbmRow {
    configuration: Handle,
    booster: LightGbmBooster,
}

impl LightGbmRow {
    /// The margin of a row.
    ///
    /// # Errors
    /// If it does not have as many values as the model's, or LightGBM refuses it.
    pub fn margin(&mut self, row: &[f64]) -> Result<f64, ForeignError> {
        let functions = &self.booster.lightgbm.0;
        if row.len() != self.booster.columns {
            let message = format!("a row of {} values, expected {}", row.len(), self.booster.columns);
            return Err(ForeignError::argument(&functions.library.path, message));
        }
        let (mut results, mut margin) = (0, 0.0);
        // SAFETY: the row is as long as was said in the configuration, and a row has one result.
        let status = unsafe {
            (functions.row)(self.configuration, row.as_ptr().cast(), &raw mut results, &raw mut margin)
        };
        functions.check("LGBM_BoosterPredictForMatSingleRowFast", status)?;
        Ok(margin)
    }
}

impl Drop for LightGbmRow {
    fn drop(&mut self) {
        // SAFETY: the configuration is valid and not used again; the booster that it refers to is freed after it.
        unsafe { (self.booster.lightgbm.0.row_free)(self.configuration) };
    }
}
