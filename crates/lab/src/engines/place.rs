use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Engine, EngineError};

/// The folder of the libraries: a virtual environment of Python, ours or any other.
#[derive(Debug, Clone, PartialEq)]
pub struct Place(PathBuf);

/// A library that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Installed {
    /// Its version.
    pub version: String,
    /// What is used of it: its shared library, or the Python that has it.
    pub path: PathBuf,
}

/// What is installed for an engine, by names and versions of the Python package index.
const PACKAGES: [(Engine, &[&str]); 4] = [
    // Without the libraries for GPUs, which are thirty times as large.
    (Engine::XgBoost, &["xgboost-cpu==3.2.0"]),
    (Engine::LightGbm, &["lightgbm==4.7.0"]),
    (Engine::CatBoost, &["catboost==1.2.10"]),
    (Engine::ScikitLearn, &["scikit-learn==1.9.1"]),
];

/// What all of them are built on: one version, so that the order of installing does not matter.
const BASE: &str = "numpy==2.4.6";

impl Place {
    /// A folder, which may not be there yet.
    pub fn new(folder: PathBuf) -> Place {
        Place(folder)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The library of an engine.
    ///
    /// # Errors
    /// If it is not installed here.
    pub fn find(&self, engine: Engine) -> Result<Installed, EngineError> {
        let missing = || EngineError::NotInstalled { engine, folder: self.0.clone() };
        self.look(engine).ok_or_else(missing)
    }

    fn look(&self, engine: Engine) -> Option<Installed> {
        let packages = self.packages()?;
        // As wheels are unpacked: https://packaging.python.org/en/latest/specifications/recording-installed-packages
        let (names, library): (&[&str], Option<&str>) = match engine {
            Engine::Builtin => return None,
            Engine::XgBoost => (&["xgboost", "xgboost_cpu"], Some("xgboost/lib/libxgboost.so")),
            Engine::LightGbm => (&["lightgbm"], Some("lightgbm/lib/lib_lightgbm.so")),
            Engine::CatBoost => (&["catboost"], None),
            Engine::ScikitLearn => (&["scikit_learn"], None),
        };
        let entries = std::fs::read_dir(&packages).ok()?.filter_map(Result::ok);
        let version = entries.filter_map(|entry| entry.file_name().into_string().ok()).find_map(|entry| {
            let (name, version) = entry.strip_suffix(".dist-info")?.split_once('-')?;
            names.contains(&name).then(|| version.to_string())
        })?;
        let path = library.map_or_else(|| self.python(), |library| packages.join(library));
        path.exists().then_some(Installed { version, path })
    }

    fn python(&self) -> PathBuf {
        self.0.join("bin/python")
    }

    /// `lib/python3.11/site-packages`, of whichever version it is.
    fn packages(&self) -> Option<PathBuf> {
        let versions = std::fs::read_dir(self.0.join("lib")).ok()?.filter_map(Result::ok);
        versions.map(|version| version.path().join("site-packages")).find(|packages| packages.is_dir())
    }

    /// Makes the virtual environment if there is none, and installs libraries into it. What pip says goes to the standard
    /// error.
    ///
    /// # Errors
    /// If there is no Python to make it with, or pip fails.
    pub fn install(&self, engines: &[Engine]) -> Result<(), EngineError> {
        if !self.python().exists() {
            let mut make = Command::new("python3");
            make.args(["-m", "venv"]).arg(&self.0);
            run(
                make,
                "python3 -m venv (Python 3.11 or newer; on Debian also apt-get install python3-venv)",
                engines,
            )?;
        }
        let mut install = Command::new(self.python());
        install.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", BASE]);
        let wanted = PACKAGES.iter().filter(|(engine, _)| engines.contains(engine));
        install.args(wanted.flat_map(|(_, packages)| *packages));
        run(install, "pip install", engines)
    }
}

fn run(mut command: Command, what: &str, engines: &[Engine]) -> Result<(), EngineError> {
    let engine = engines.first().copied().unwrap_or(Engine::Builtin);
    let failed = |message: String| EngineError::Failed { engine, message };
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    match status.map_err(|error| failed(format!("cannot run {what}: {error}")))? {
        status if status.success() => Ok(()),
        status => Err(failed(format!("{what}: {status}; what it said stands above"))),
    }
}
