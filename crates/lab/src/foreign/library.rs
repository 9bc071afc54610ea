use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use libloading::Library;

use super::ForeignError;

/// A library in memory. It stays there: threads that it has started, as OpenMP's, would go on in code that is gone.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    library: ManuallyDrop<Library>,
}

impl Shared {
    /// Opens a library. Its initializers run.
    pub(super) fn open(path: &Path) -> Result<Shared, ForeignError> {
        // SAFETY: to open a library is to trust it, as the module says.
        let opened = unsafe { Library::new(path) };
        let library = opened.map_err(|source| ForeignError::Open { path: path.to_path_buf(), source })?;
        Ok(Shared { path: path.to_path_buf(), library: ManuallyDrop::new(library) })
    }

    /// A function of the library.
    ///
    /// # Safety
    /// `F` is a type of function pointer, that of the library's function; it is called only while `self` lives.
    pub(super) unsafe fn function<F: Copy>(&self, name: &'static str) -> Result<F, ForeignError> {
        // SAFETY: the caller's promise.
        let found = unsafe { self.library.get::<F>(name.as_bytes()) };
        found.map(|function| *function).map_err(|_| ForeignError::Function { path: self.path.clone(), name })
    }

    /// The error of a call that said so, with the library's message.
    pub(super) fn failed(&self, function: &'static str, message: String) -> ForeignError {
        ForeignError::Call { path: self.path.clone(), function, message }
    }
}
