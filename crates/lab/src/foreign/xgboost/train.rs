use std::ffi::{CStr, c_char, c_int};

use super::super::{ForeignError, c_text, check_known, messages, row_count, text_of};
use super::{Handle, XgBoost, XgBoostBooster};

/// Rows with labels in XGBoost's hands.
pub struct XgBoostMatrix {
    xgboost: XgBoost,
    handle: Handle,
}

impl XgBoost {
    /// Copies row-major `rows`, NaN for missing, with labels of 0 or 1 and weights, if any, one a row. `categorical` says of
    /// each column whether its numbers name categories.
    ///
    /// # Errors
    /// If rows, labels and weights differ in number, or XGBoost refuses a value.
    pub fn matrix(
        &self,
        rows: &[f32],
        categorical: &[bool],
        labels: &[f32],
        weights: Option<&[f32]>,
    ) -> Result<XgBoostMatrix, ForeignError> {
        let columns = categorical.len();
        let count = row_count(&self.0.library.path, rows.len(), columns)?;
        let array = format!(
            "{{\"data\":[{},true],\"shape\":[{count},{columns}],\"typestr\":\"<f4\",\"version\":3}}",
            rows.as_ptr() as usize
        );
        let array = c_text(&self.0.library.path, &array)?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: both texts end with zeros; the array interface describes `rows`, which outlive the call.
        let status =
            unsafe { (self.0.matrix)(array.as_ptr(), c"{\"missing\":NaN}".as_ptr(), &raw mut handle) };
        self.0.check("XGDMatrixCreateFromDense", status)?;
        let matrix = XgBoostMatrix { xgboost: self.clone(), handle };
        matrix.set_numbers(c"label", labels, count)?;
        if let Some(weights) = weights {
            matrix.set_numbers(c"weight", weights, count)?;
        }
        matrix.set_types(categorical)?;
        Ok(matrix)
    }

    /// A model without trees that learns by `parameters`, in XGBoost's names.
    ///
    /// # Errors
    /// If XGBoost refuses a parameter at once; others it refuses in the first round.
    pub fn trainer(
        &self,
        matrix: XgBoostMatrix,
        validation: Option<XgBoostMatrix>,
        parameters: &[(String, String)],
    ) -> Result<XgBoostTrainer, ForeignError> {
        // SAFETY: the function lives as long as the program.
        let status = unsafe { (self.0.log)(messages::take) };
        self.0.check("XGBRegisterLogCallback", status)?;
        let matrices: Vec<Handle> =
            [Some(&matrix), validation.as_ref()].into_iter().flatten().map(|m| m.handle).collect();
        let mut handle = std::ptr::null_mut();
        // SAFETY: there are as many matrices as is said, and the trainer keeps them.
        let status = unsafe { (self.0.create)(matrices.as_ptr(), matrices.len() as u64, &raw mut handle) };
        self.0.check("XGBoosterCreate", status)?;
        let mut booster = XgBoostBooster { xgboost: self.clone(), handle, columns: 0, array: String::new() };
        // As the Python package: to be told of parameters that are not known.
        booster.set("validate_parameters", "1")?;
        for (name, value) in parameters {
            booster.set(name, value)?;
        }
        Ok(XgBoostTrainer { booster, matrix, validation, rounds: 0 })
    }
}

impl XgBoostMatrix {
    fn set_numbers(&self, field: &CStr, numbers: &[f32], rows: usize) -> Result<(), ForeignError> {
        let functions = &self.xgboost.0;
        if numbers.len() != rows {
            let message = format!("{} numbers for {rows} rows as {field:?}", numbers.len());
            return Err(ForeignError::argument(&functions.library.path, message));
        }
        // SAFETY: the handle is valid, the text ends with a zero, and there are as many numbers as is said.
        let status = unsafe {
            (functions.matrix_numbers)(self.handle, field.as_ptr(), numbers.as_ptr(), numbers.len() as u64)
        };
        functions.check("XGDMatrixSetFloatInfo", status)
    }

    /// `c` for a category, `q` for a quantity; nothing where all are quantities, as that is how it is without.
    fn set_types(&self, categorical: &[bool]) -> Result<(), ForeignError> {
        if !categorical.contains(&true) {
            return Ok(());
        }
        let functions = &self.xgboost.0;
        let mut types: Vec<*const c_char> =
            categorical.iter().map(|is| if *is { c"c".as_ptr() } else { c"q".as_ptr() }).collect();
        // SAFETY: the handle is valid, all texts end with zeros, and there are as many as is said.
        let status = unsafe {
            (functions.matrix_texts)(
                self.handle,
                c"feature_type".as_ptr(),
                types.as_mut_ptr(),
                types.len() as u64,
            )
        };
        functions.check("XGDMatrixSetStrFeatureInfo", status)
    }
}

impl Drop for XgBoostMatrix {
    fn drop(&mut self) {
        // SAFETY: the handle is valid and not used again.
        unsafe { (self.xgboost.0.matrix_free)(self.handle) };
    }
}

/// A model that XGBoost is growing.
pub struct XgBoostTrainer {
    // Freed before the matrices that it looks at.
    booster: XgBoostBooster,
    matrix: XgBoostMatrix,
    validation: Option<XgBoostMatrix>,
    rounds: c_int,
}

impl XgBoostTrainer {
    /// Grows the trees of a round.
    ///
    /// # Errors
    /// If XGBoost refuses a parameter or a value.
    pub fn update(&mut self) -> Result<(), ForeignError> {
        let functions = &self.booster.xgboost.0;
        // SAFETY: both handles are valid.
        let status = unsafe { (functions.update)(self.booster.handle, self.rounds, self.matrix.handle) };
        functions.check("XGBoosterUpdateOneIter", status)?;
        self.rounds += 1;
        check_known()
    }

    /// The last of the metrics asked for, on the validation rows; `None` without any.
    ///
    /// # Errors
    /// If XGBoost cannot evaluate.
    pub fn evaluate(&mut self) -> Result<Option<f64>, ForeignError> {
        let Some(validation) = &self.validation else { return Ok(None) };
        let functions = &self.booster.xgboost.0;
        let (mut matrix, mut name, mut line) = (validation.handle, c"validation".as_ptr(), std::ptr::null());
        // SAFETY: one matrix and one name are given; the line lives until the next call.
        let status = unsafe {
            (functions.evaluate)(
                self.booster.handle,
                self.rounds - 1,
                &raw mut matrix,
                &raw mut name,
                1,
                &raw mut line,
            )
        };
        functions.check("XGBoosterEvalOneIter", status)?;
        // SAFETY: on success the line ends with a zero.
        let line = unsafe { text_of(line) };
        let figure = line.rsplit(':').next().and_then(|figure| figure.trim().parse().ok());
        let unread =
            || functions.library.failed("XGBoosterEvalOneIter", format!("expected a figure, got {line:?}"));
        figure.map(Some).ok_or_else(unread)
    }

    /// The model as UBJSON.
    ///
    /// # Errors
    /// If XGBoost cannot save it.
    pub fn save(&self) -> Result<Vec<u8>, ForeignError> {
        let functions = &self.booster.xgboost.0;
        let configuration = c"{\"format\":\"ubj\"}";
        let (mut length, mut bytes) = (0, std::ptr::null());
        // SAFETY: the handle is valid and the text ends with a zero.
        let status = unsafe {
            (functions.save)(self.booster.handle, configuration.as_ptr(), &raw mut length, &raw mut bytes)
        };
        functions.check("XGBoosterSaveModelToBuffer", status)?;
        // SAFETY: on success there are as many bytes as is said, until the next call.
        Ok(unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length as usize) }.to_vec())
    }
}
