use std::ffi::{CStr, c_int};

use super::super::{ForeignError, c_text, check_known, messages, row_count};
use super::{DOUBLE, Handle, LightGbm, LightGbmBooster};

/// `C_API_DTYPE_FLOAT32`
const SINGLE: c_int = 0;
/// `C_API_FEATURE_IMPORTANCE_SPLIT`
const SPLITS: c_int = 0;
/// LightGBM gives up to so many figures after a round: one for each metric asked for, of which we ask for one.
const FIGURES_MAX: usize = 16;

/// Rows with labels in LightGBM's hands.
pub struct LightGbmDataset {
    lightgbm: LightGbm,
    handle: Handle,
}

impl LightGbm {
    /// Copies `values`, column after column, NaN for missing, with labels of 0 or 1 and weights, if any, one a row. What
    /// is in bins is cut as `parameters` say, in LightGBM's form (`name=value`, separated by blanks), or as those of `like`.
    ///
    /// # Errors
    /// If values, labels and weights differ in number, or LightGBM refuses a parameter.
    pub fn dataset(
        &self,
        values: &[f64],
        labels: &[f32],
        weights: Option<&[f32]>,
        parameters: &str,
        like: Option<&LightGbmDataset>,
    ) -> Result<LightGbmDataset, ForeignError> {
        self.listen()?;
        let columns = values.len() / labels.len().max(1);
        let rows = row_count(&self.0.library.path, values.len(), columns)?;
        let parameters = c_text(&self.0.library.path, parameters)?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: there are as many values as is said, the text ends with a zero, and all outlive the call.
        let status = unsafe {
            (self.0.dataset)(
                values.as_ptr().cast(),
                DOUBLE,
                rows as i32,
                columns as i32,
                0,
                parameters.as_ptr(),
                like.map_or(std::ptr::null_mut(), |like| like.handle),
                &raw mut handle,
            )
        };
        self.0.check("LGBM_DatasetCreateFromMat", status)?;
        let dataset = LightGbmDataset { lightgbm: self.clone(), handle };
        dataset.set(c"label", labels, rows)?;
        if let Some(weights) = weights {
            dataset.set(c"weight", weights, rows)?;
        }
        Ok(dataset)
    }

    /// A model without trees that learns by `parameters`.
    ///
    /// # Errors
    /// If LightGBM refuses a parameter, or does not know one.
    pub fn trainer(
        &self,
        dataset: LightGbmDataset,
        validation: Option<LightGbmDataset>,
        parameters: &str,
    ) -> Result<LightGbmTrainer, ForeignError> {
        let parameters = c_text(&self.0.library.path, parameters)?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: the dataset is valid, and kept by the trainer; the text ends with a zero.
        let status = unsafe { (self.0.create)(dataset.handle, parameters.as_ptr(), &raw mut handle) };
        self.0.check("LGBM_BoosterCreate", status)?;
        let booster = LightGbmBooster { lightgbm: self.clone(), handle, columns: 0 };
        if let Some(validation) = &validation {
            // SAFETY: both handles are valid, and the trainer keeps them.
            let status = unsafe { (self.0.add_validation)(handle, validation.handle) };
            self.0.check("LGBM_BoosterAddValidData", status)?;
        }
        check_known()?;
        Ok(LightGbmTrainer { booster, _dataset: dataset, validation })
    }

    fn listen(&self) -> Result<(), ForeignError> {
        // SAFETY: the function lives as long as the program.
        let status = unsafe { (self.0.log)(messages::take) };
        self.0.check("LGBM_RegisterLogCallback", status)
    }
}

impl LightGbmDataset {
    fn set(&self, field: &CStr, numbers: &[f32], rows: usize) -> Result<(), ForeignError> {
        let functions = &self.lightgbm.0;
        if numbers.len() != rows {
            let message = format!("{} numbers for {rows} rows as {field:?}", numbers.len());
            return Err(ForeignError::argument(&functions.library.path, message));
        }
        // SAFETY: the handle is valid, the text ends with a zero, and there are as many numbers as is said.
        let status = unsafe {
            (functions.dataset_field)(
                self.handle,
                field.as_ptr(),
                numbers.as_ptr().cast(),
                numbers.len() as c_int,
                SINGLE,
            )
        };
        functions.check("LGBM_DatasetSetField", status)
    }
}

impl Drop for LightGbmDataset {
    fn drop(&mut self) {
        // SAFETY: the handle is valid and not used again.
        unsafe { (self.lightgbm.0.dataset_free)(self.handle) };
    }
}

/// A model that LightGBM is growing.
pub struct LightGbmTrainer {
    // Freed before the datasets that it looks at.
    booster: LightGbmBooster,
    _dataset: LightGbmDataset,
    validation: Option<LightGbmDataset>,
}

impl LightGbmTrainer {
    /// Grows a tree. Where nothing can be split there is none, which is no reason to stop: another draw of rows may do.
    ///
    /// # Errors
    /// If LightGBM refuses a value.
    pub fn update(&mut self) -> Result<(), ForeignError> {
        let functions = &self.booster.lightgbm.0;
        let mut finished = 0;
        // SAFETY: the handle is valid and the number outlives the call.
        let status = unsafe { (functions.update)(self.booster.handle, &raw mut finished) };
        functions.check("LGBM_BoosterUpdateOneIter", status)
    }

    /// The first of the metrics asked for, on the validation rows; `None` without any.
    ///
    /// # Errors
    /// If LightGBM cannot evaluate.
    pub fn evaluate(&mut self) -> Result<Option<f64>, ForeignError> {
        if self.validation.is_none() {
            return Ok(None);
        }
        let functions = &self.booster.lightgbm.0;
        let (mut count, mut figures) = (0, [0.0; FIGURES_MAX]);
        // SAFETY: there is room for more figures than metrics are asked for.
        let status =
            unsafe { (functions.evaluate)(self.booster.handle, 1, &raw mut count, figures.as_mut_ptr()) };
        functions.check("LGBM_BoosterGetEval", status)?;
        Ok((count > 0).then_some(figures[0]))
    }

    /// The model as text.
    ///
    /// # Errors
    /// If LightGBM cannot save it.
    pub fn save(&self) -> Result<String, ForeignError> {
        let length = self.write(&mut [])?;
        let mut bytes = vec![0; length];
        self.write(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned())
    }

    /// Writes the model if there is room; how many bytes it needs, the zero at its end with it.
    fn write(&self, bytes: &mut [u8]) -> Result<usize, ForeignError> {
        let functions = &self.booster.lightgbm.0;
        let mut length = 0;
        // SAFETY: the handle is valid, and the buffer is as long as is said.
        let status = unsafe {
            (functions.save)(
                self.booster.handle,
                0,
                super::ALL,
                SPLITS,
                bytes.len() as i64,
                &raw mut length,
                bytes.as_mut_ptr().cast(),
            )
        };
        functions.check("LGBM_BoosterSaveModelToString", status)?;
        Ok(usize::try_from(length).unwrap_or(0))
    }
}
