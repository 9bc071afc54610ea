//! ONNX Runtime's C interface, as its `include/onnxruntime/core/session/onnxruntime_c_api.h` documents it.
//!
//! It is a table of functions, to which later versions only append.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::sync::Arc;

use super::library::Shared;
use super::{ForeignError, c_text, row_count, text_of};

type Handle = *mut c_void;
/// Null if all went well.
type Status = *mut c_void;

/// The version of the interface that is asked for: that of ONNX Runtime 1.8, which has all that is used.
const API_VERSION: u32 = 8;
/// `ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT`
const FLOAT: c_int = 1;
/// `ORT_LOGGING_LEVEL_FATAL`
const LOG_FATAL: c_int = 4;

/// ONNX Runtime's library, `libonnxruntime.so`.
#[derive(Clone)]
pub struct OnnxRuntime(Arc<Functions>);

struct Functions {
    library: Shared,
    environment: Handle,
    error_message: unsafe extern "C" fn(Status) -> *const c_char,
    create_session: unsafe extern "C" fn(Handle, *const c_void, usize, Handle, *mut Handle) -> Status,
    run: Run,
    create_options: unsafe extern "C" fn(*mut Handle) -> Status,
    set_threads: unsafe extern "C" fn(Handle, c_int) -> Status,
    create_tensor:
        unsafe extern "C" fn(Handle, *mut c_void, usize, *const i64, usize, c_int, *mut Handle) -> Status,
    create_memory_info: unsafe extern "C" fn(c_int, c_int, *mut Handle) -> Status,
    release_environment: Release,
    release_status: Release,
    release_memory_info: Release,
    release_session: Release,
    release_value: Release,
    release_options: Release,
}

type Release = unsafe extern "C" fn(Handle);

/// Session, options, names of inputs, inputs, their number, names of outputs, their number, outputs.
type Run = unsafe extern "C" fn(
    Handle,
    Handle,
    *const *const c_char,
    *const Handle,
    usize,
    *const *const c_char,
    usize,
    *mut Handle,
) -> Status;

// SAFETY: the environment is only created, handed to sessions, which lock it themselves, and released by the last owner.
unsafe impl Send for Functions {}
// SAFETY: as above.
unsafe impl Sync for Functions {}

#[repr(C)]
struct ApiBase {
    api: unsafe extern "C" fn(u32) -> *const *const c_void,
    version: unsafe extern "C" fn() -> *const c_char,
}

/// Places in the table of functions, `OrtApi`.
mod place {
    pub const GET_ERROR_MESSAGE: usize = 2;
    pub const CREATE_ENV: usize = 3;
    pub const CREATE_SESSION_FROM_ARRAY: usize = 8;
    pub const RUN: usize = 9;
    pub const CREATE_SESSION_OPTIONS: usize = 10;
    pub const SET_INTRA_OP_NUM_THREADS: usize = 24;
    pub const CREATE_TENSOR_WITH_DATA_AS_ORT_VALUE: usize = 49;
    pub const CREATE_CPU_MEMORY_INFO: usize = 69;
    pub const RELEASE_ENV: usize = 92;
    pub const RELEASE_STATUS: usize = 93;
    pub const RELEASE_MEMORY_INFO: usize = 94;
    pub const RELEASE_SESSION: usize = 95;
    pub const RELEASE_VALUE: usize = 96;
    pub const RELEASE_SESSION_OPTIONS: usize = 100;
}

impl OnnxRuntime {
    /// Opens the library, and an environment in it.
    ///
    /// # Errors
    /// If it cannot be opened or is older than 1.8.
    pub fn open(path: &Path) -> Result<OnnxRuntime, ForeignError> {
        let library = Shared::open(path)?;
        // SAFETY: the type is that of the header; the base and the table live as long as the library.
        let base: unsafe extern "C" fn() -> *const ApiBase = unsafe { library.function("OrtGetApiBase")? };
        // SAFETY: as above.
        let api = unsafe { ((*base()).api)(API_VERSION) };
        if api.is_null() {
            return Err(library.failed("GetApi", format!("has no interface of version {API_VERSION}")));
        }
        let mut functions = Functions::of(library, api);
        let mut environment = std::ptr::null_mut();
        type CreateEnv = unsafe extern "C" fn(c_int, *const c_char, *mut Handle) -> Status;
        // SAFETY: the place holds that function; the text ends with a zero.
        let status = unsafe {
            let create: CreateEnv = function_at(api, place::CREATE_ENV);
            create(LOG_FATAL, c"redflag".as_ptr(), &raw mut environment)
        };
        functions.check("CreateEnv", status)?;
        functions.environment = environment;
        Ok(OnnxRuntime(Arc::new(functions)))
    }

    /// Loads a model, to score rows of `columns` values. Of its result, a matrix of `results` columns by the name `output`,
    /// the last column is the score.
    ///
    /// # Errors
    /// If ONNX Runtime refuses it.
    pub fn load(
        &self,
        model: &[u8],
        (input, columns): (&str, usize),
        (output, results): (&str, usize),
    ) -> Result<OnnxModel, ForeignError> {
        let functions = &self.0;
        let path = &functions.library.path;
        let mut onnx_model = OnnxModel {
            runtime: self.clone(),
            session: std::ptr::null_mut(),
            memory: std::ptr::null_mut(),
            input: c_text(path, input)?,
            output: c_text(path, output)?,
            columns,
            results: results.max(1),
            scores: Vec::new(),
        };
        // 0, 0: an allocator of the device, memory of the default type.
        // SAFETY: what comes out outlives the call.
        let status = unsafe { (functions.create_memory_info)(0, 0, &raw mut onnx_model.memory) };
        functions.check("CreateCpuMemoryInfo", status)?;
        let mut options = std::ptr::null_mut();
        // SAFETY: as above.
        let status = unsafe { (functions.create_options)(&raw mut options) };
        functions.check("CreateSessionOptions", status)?;
        // SAFETY: the options are valid until they are released, and the session keeps none of them.
        let (threads, session) = unsafe {
            let threads = (functions.set_threads)(options, 1);
            let (bytes, length) = (model.as_ptr().cast(), model.len());
            let created = &raw mut onnx_model.session;
            let session = (functions.create_session)(functions.environment, bytes, length, options, created);
            (functions.release_options)(options);
            (threads, session)
        };
        functions.check("SetIntraOpNumThreads", threads)?;
        functions.check("CreateSessionFromArray", session)?;
        Ok(onnx_model)
    }
}

impl Functions {
    fn of(library: Shared, api: *const *const c_void) -> Functions {
        // SAFETY: every place holds the function of the type of its field, by the header.
        unsafe {
            Functions {
                library,
                environment: std::ptr::null_mut(),
                error_message: function_at(api, place::GET_ERROR_MESSAGE),
                create_session: function_at(api, place::CREATE_SESSION_FROM_ARRAY),
                run: function_at(api, place::RUN),
                create_options: function_at(api, place::CREATE_SESSION_OPTIONS),
                set_threads: function_at(api, place::SET_INTRA_OP_NUM_THREADS),
                create_tensor: function_at(api, place::CREATE_TENSOR_WITH_DATA_AS_ORT_VALUE),
                create_memory_info: function_at(api, place::CREATE_CPU_MEMORY_INFO),
                release_environment: function_at(api, place::RELEASE_ENV),
                release_status: function_at(api, place::RELEASE_STATUS),
                release_memory_info: function_at(api, place::RELEASE_MEMORY_INFO),
                release_session: function_at(api, place::RELEASE_SESSION),
                release_value: function_at(api, place::RELEASE_VALUE),
                release_options: function_at(api, place::RELEASE_SESSION_OPTIONS),
            }
        }
    }

    fn check(&self, function: &'static str, status: Status) -> Result<(), ForeignError> {
        if status.is_null() {
            return Ok(());
        }
        // SAFETY: the status is valid until it is released.
        let message = unsafe { text_of((self.error_message)(status)) };
        // SAFETY: it is not used again.
        unsafe { (self.release_status)(status) };
        Err(self.library.failed(function, message))
    }
}

/// A function of the table.
///
/// # Safety
/// `F` is the type of the function at that place, and the table has the place.
unsafe fn function_at<F: Copy>(api: *const *const c_void, place: usize) -> F {
    const { assert!(size_of::<F>() == size_of::<*const c_void>()) };
    // SAFETY: the caller's promise.
    unsafe { *api.add(place).cast::<F>() }
}

impl Drop for Functions {
    fn drop(&mut self) {
        if !self.environment.is_null() {
            // SAFETY: no session is left, since each holds these functions.
            unsafe { (self.release_environment)(self.environment) };
        }
    }
}

/// A model in ONNX Runtime's hands.
pub struct OnnxModel {
    runtime: OnnxRuntime,
    session: Handle,
    memory: Handle,
    input: CString,
    output: CString,
    columns: usize,
    results: usize,
    /// What the model gives for the rows of a call.
    scores: Vec<f32>,
}

impl OnnxModel {
    /// The scores of row-major `rows`, put into `out`: what the model gives in its last column.
    ///
    /// # Errors
    /// If the rows do not have as many values as the model's, or ONNX Runtime refuses them.
    pub fn scores(&mut self, rows: &[f32], out: &mut Vec<f64>) -> Result<(), ForeignError> {
        let count = row_count(&self.runtime.0.library.path, rows.len(), self.columns)?;
        self.scores.clear();
        self.scores.resize(count * self.results, 0.0);
        let mut values = Tensors(&self.runtime.0, [std::ptr::null_mut(); 2]);
        let scores = (self.scores.as_mut_ptr(), self.scores.len());
        // The library reads the rows, and writes the scores.
        values.1[0] =
            self.tensor(rows.as_ptr().cast_mut(), rows.len(), [count as i64, self.columns as i64])?;
        values.1[1] = self.tensor(scores.0, scores.1, [count as i64, self.results as i64])?;
        let (inputs, outputs) = ([self.input.as_ptr()], [self.output.as_ptr()]);
        // SAFETY: names end with zeros; the tensors and their memory outlive the call; the output is as large as its
        // shape, and ONNX Runtime refuses one of another shape than the model's.
        let status = unsafe {
            (self.runtime.0.run)(
                self.session,
                std::ptr::null_mut(),
                inputs.as_ptr(),
                &raw const values.1[0],
                1,
                outputs.as_ptr(),
                1,
                &raw mut values.1[1],
            )
        };
        self.runtime.0.check("Run", status)?;
        out.clear();
        out.extend(self.scores.chunks_exact(self.results).map(|scores| f64::from(scores[self.results - 1])));
        Ok(())
    }

    /// A matrix over memory that somebody else owns.
    fn tensor(&self, data: *mut f32, length: usize, shape: [i64; 2]) -> Result<Handle, ForeignError> {
        let mut value = std::ptr::null_mut();
        // SAFETY: the memory is as long as is said; ONNX Runtime refuses a shape that needs more.
        let status = unsafe {
            (self.runtime.0.create_tensor)(
                self.memory,
                data.cast(),
                length * size_of::<f32>(),
                shape.as_ptr(),
                shape.len(),
                FLOAT,
                &raw mut value,
            )
        };
        self.runtime.0.check("CreateTensorWithDataAsOrtValue", status)?;
        Ok(value)
    }
}

impl Drop for OnnxModel {
    fn drop(&mut self) {
        // SAFETY: neither is used again; to release nothing is allowed.
        unsafe {
            (self.runtime.0.release_session)(self.session);
            (self.runtime.0.release_memory_info)(self.memory);
        }
    }
}

/// The tensors of a call.
struct Tensors<'a>(&'a Functions, [Handle; 2]);

impl Drop for Tensors<'_> {
    fn drop(&mut self) {
        // SAFETY: they are not used again; to release nothing is allowed.
        self.1.iter().for_each(|value| unsafe { (self.0.release_value)(*value) });
    }
}
