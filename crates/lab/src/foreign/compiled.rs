//! Models that became libraries themselves.

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;
use std::sync::Arc;

use super::library::Shared;
use super::{ForeignError, row_count, text_of};

/// A model that tl2cgen 1.0 turned into C, compiled. Its results are margins.
pub struct Tl2cgen {
    library: Shared,
    predict: Predict,
    columns: usize,
    results: usize,
}

/// Values of a row, whether to give the margin, and room for results, to which is added.
#[derive(Clone, Copy)]
enum Predict {
    Single(unsafe extern "C" fn(*mut u32, c_int, *mut f32)),
    Double(unsafe extern "C" fn(*mut u64, c_int, *mut f64)),
}

/// Rows in the form that a model made by tl2cgen reads: each value a union of the number, and -1 for a missing one.
pub struct Tl2cgenRows {
    entries: Entries,
    count: usize,
}

enum Entries {
    Single(Vec<u32>),
    Double(Vec<u64>),
}

impl Tl2cgen {
    /// Opens the library.
    ///
    /// # Errors
    /// If it cannot be opened, or has thresholds and leaves of two types.
    pub fn open(path: &Path) -> Result<Tl2cgen, ForeignError> {
        let library = Shared::open(path)?;
        // SAFETY: the types are those of the header that tl2cgen generates.
        let (columns, results, thresholds, leaves) = unsafe {
            let count: unsafe extern "C" fn() -> i32 = library.function("get_num_feature")?;
            let targets: unsafe extern "C" fn() -> i32 = library.function("get_num_target")?;
            let classes: unsafe extern "C" fn(*mut i32) = library.function("get_num_class")?;
            let thresholds: unsafe extern "C" fn() -> *const c_char =
                library.function("get_threshold_type")?;
            let leaves: unsafe extern "C" fn() -> *const c_char = library.function("get_leaf_output_type")?;
            let mut sizes = vec![0; targets().max(0) as usize];
            classes(sizes.as_mut_ptr());
            let results: i32 = sizes.iter().sum();
            (count().max(0) as usize, results.max(1) as usize, text_of(thresholds()), text_of(leaves()))
        };
        // SAFETY: as above; the type of the function follows from the two names.
        let predict = match (thresholds.as_str(), leaves.as_str()) {
            ("float32", "float32") => Predict::Single(unsafe { library.function("predict")? }),
            ("float64", "float64") => Predict::Double(unsafe { library.function("predict")? }),
            _ => {
                let message = format!("thresholds are {thresholds} and leaves {leaves}");
                return Err(ForeignError::argument(path, message));
            }
        };
        Ok(Tl2cgen { library, predict, columns, results })
    }

    /// Row-major `rows`, NaN for missing, in the form that this model reads.
    ///
    /// # Errors
    /// If the rows do not have as many values as the model's.
    pub fn rows(&self, rows: &[f64]) -> Result<Tl2cgenRows, ForeignError> {
        let count = row_count(&self.library.path, rows.len(), self.columns)?;
        let missing = u32::MAX;
        let single = |x: &f64| if x.is_nan() { missing } else { (*x as f32).to_bits() };
        let double = |x: &f64| if x.is_nan() { u64::from(missing) } else { x.to_bits() };
        let entries = match self.predict {
            Predict::Single(_) => Entries::Single(rows.iter().map(single).collect()),
            Predict::Double(_) => Entries::Double(rows.iter().map(double).collect()),
        };
        Ok(Tl2cgenRows { entries, count })
    }

    /// The margin of one of the rows; the last result, if the model has several. The model may use the row as scratch.
    ///
    /// # Panics
    /// If there is no such row, or the rows were made for a model of another shape.
    pub fn margin(&self, rows: &mut Tl2cgenRows, row: usize) -> f64 {
        let values = row * self.columns..(row + 1) * self.columns;
        match (self.predict, &mut rows.entries) {
            (Predict::Single(predict), Entries::Single(entries)) => {
                // One result is by far the usual case, and needs no memory.
                let (mut one, mut many) = ([0.0], vec![0.0; self.spare_results()]);
                let results = if many.is_empty() { &mut one[..] } else { &mut many[..] };
                // SAFETY: the row has the model's number of values, and there is room for its results.
                unsafe { predict(entries[values].as_mut_ptr(), 1, results.as_mut_ptr()) };
                f64::from(results[self.results - 1])
            }
            (Predict::Double(predict), Entries::Double(entries)) => {
                let (mut one, mut many) = ([0.0], vec![0.0; self.spare_results()]);
                let results = if many.is_empty() { &mut one[..] } else { &mut many[..] };
                // SAFETY: as above.
                unsafe { predict(entries[values].as_mut_ptr(), 1, results.as_mut_ptr()) };
                results[self.results - 1]
            }
            _ => panic!("the rows are of another model's type"),
        }
    }

    fn spare_results(&self) -> usize {
        if self.results == 1 { 0 } else { self.results }
    }
}

impl Tl2cgenRows {
    /// Number of rows.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// A model of LightGBM that lleaves compiled.
pub struct Lleaves {
    library: Shared,
    /// Values, room for results, first row, and the one after the last.
    forest_root: unsafe extern "C" fn(*const f64, *mut f64, i32, i32),
    columns: usize,
}

impl Lleaves {
    /// Opens the library of a model with rows of `columns` values and one result.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path, columns: usize) -> Result<Lleaves, ForeignError> {
        let library = Shared::open(path)?;
        // SAFETY: lleaves documents this type, for models that it compiled in double precision.
        let forest_root = unsafe { library.function("forest_root")? };
        Ok(Lleaves { library, forest_root, columns })
    }

    /// The results for row-major `rows`, put into `out`: margins, if it was compiled for raw scores.
    ///
    /// # Errors
    /// If the rows do not have as many values as the model's.
    pub fn results(&self, rows: &[f64], out: &mut Vec<f64>) -> Result<(), ForeignError> {
        let count = row_count(&self.library.path, rows.len(), self.columns)?;
        // Trees are added to what is there.
        out.clear();
        out.resize(count, 0.0);
        // SAFETY: there are as many rows and results as is said.
        unsafe { (self.forest_root)(rows.as_ptr(), out.as_mut_ptr(), 0, count as i32) };
        Ok(())
    }
}

/// A model of CatBoost that it exported as C++, with the three functions that `scripts/peers_models.py` puts beside it.
pub struct CatBoostCpp(Arc<CppFunctions>);

struct CppFunctions {
    library: Shared,
    score: unsafe extern "C" fn(*const c_void) -> f64,
    row_new: unsafe extern "C" fn(*const f32, usize) -> *mut c_void,
    row_free: unsafe extern "C" fn(*mut c_void),
    columns: usize,
}

/// A row as the exported code reads it: a `std::vector<float>`.
pub struct CatBoostRow {
    functions: Arc<CppFunctions>,
    vector: *mut c_void,
}

impl CatBoostCpp {
    /// Opens the library of a model with rows of `columns` values.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path, columns: usize) -> Result<CatBoostCpp, ForeignError> {
        let library = Shared::open(path)?;
        // SAFETY: the types are those that the script writes.
        let functions = unsafe {
            CppFunctions {
                score: library.function("score")?,
                row_new: library.function("row_new")?,
                row_free: library.function("row_free")?,
                library,
                columns,
            }
        };
        Ok(CatBoostCpp(Arc::new(functions)))
    }

    /// A row in the form that the exported code reads.
    ///
    /// # Errors
    /// If it does not have as many values as the model's.
    pub fn row(&self, values: &[f32]) -> Result<CatBoostRow, ForeignError> {
        if values.len() != self.0.columns {
            let message = format!("a row of {} values, expected {}", values.len(), self.0.columns);
            return Err(ForeignError::argument(&self.0.library.path, message));
        }
        // SAFETY: there are as many values as is said.
        let vector = unsafe { (self.0.row_new)(values.as_ptr(), values.len()) };
        Ok(CatBoostRow { functions: Arc::clone(&self.0), vector })
    }
}

impl CatBoostRow {
    /// The margin of the row.
    pub fn margin(&self) -> f64 {
        // SAFETY: the vector lives as long as this, and has the model's number of values.
        unsafe { (self.functions.score)(self.vector) }
    }
}

impl Drop for CatBoostRow {
    fn drop(&mut self) {
        // SAFETY: it came from `row_new` and is not used again.
        unsafe { (self.functions.row_free)(self.vector) };
    }
}
