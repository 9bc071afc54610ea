//! The other libraries: where they are, what they need for a model, and each as an engine.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

use anyhow::{Context, Result, anyhow, ensure};
use lab::foreign::{
    CatBoostCpp, CatBoostRow, LightGbm, LightGbmBooster, LightGbmRow, Lleaves, OnnxModel, OnnxRuntime,
    Tl2cgen, Tl2cgenRows, XgBoost, XgBoostBooster,
};

use super::engine::Engine;
use super::rows::{COUNT, Rows};
use crate::cli::WrongInput;

/// The folder that `scripts/peers install` fills.
pub struct Folder(PathBuf);

impl Folder {
    /// What `REDFLAG_PEERS` says, or its usual place.
    pub fn of_this_user() -> Folder {
        let named = std::env::var_os("REDFLAG_PEERS").filter(|name| !name.is_empty()).map(PathBuf::from);
        let usual =
            || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/redflag/peers");
        Folder(named.unwrap_or_else(usual))
    }

    /// The standard models, and the rows to score.
    ///
    /// # Errors
    /// If they are not there.
    pub fn standard_models(&self) -> Result<(Vec<PathBuf>, PathBuf)> {
        const NAMES: [&str; 4] =
            ["lightgbm-500x31.txt", "xgboost-500x6.ubj", "catboost-500x6.json", "random-forest-200x12.onnx"];
        let models: Vec<PathBuf> = NAMES.iter().map(|name| self.0.join("models").join(name)).collect();
        let rows = self.0.join("models/rows.csv");
        if let Some(absent) = models.iter().chain([&rows]).find(|path| !path.exists()) {
            return Err(self.advice(absent, "or name a model with --model"));
        }
        Ok((models, rows))
    }

    /// Compiles a model for every library that can score it; long the first time.
    ///
    /// # Errors
    /// If the libraries are not there, or their preparation fails as a whole.
    pub fn prepare(&self, model: &Path) -> Result<Prepared> {
        let python = self.0.join("venv/bin/python");
        if !python.exists() {
            return Err(self.advice(&python, "to have libraries to compare with"));
        }
        let script = self.0.join("peers_models.py");
        let command = || -> Result<_> {
            let mut command = Command::new(&python);
            command.arg(&script).arg("prepare").arg(model).arg(self.0.join("prepared"));
            Ok(command.stderr(Stdio::inherit()).output()?)
        };
        let done = command().with_context(|| format!("{}", script.display()))?;
        ensure!(done.status.success(), "{}: {}", script.display(), done.status);
        serde_json::from_slice(&done.stdout).with_context(|| format!("{}", script.display()))
    }

    fn advice(&self, absent: &Path, purpose: &str) -> anyhow::Error {
        WrongInput(format!("{} is not there: run `scripts/peers install`, {purpose}", absent.display()))
            .into()
    }
}

/// What the script has prepared for a model.
#[derive(serde::Deserialize)]
pub struct Prepared {
    pub peers: Vec<Peer>,
    pub absent: Vec<Absent>,
}

/// A library that cannot score a model, and why.
#[derive(Clone, serde::Deserialize, serde::Serialize)]
pub struct Absent {
    pub peer: String,
    pub why: String,
}

/// A library that can score a model.
#[derive(Clone, serde::Deserialize)]
pub struct Peer {
    version: String,
    /// What it took to compile the model, where that is needed before its first score.
    pub compile_seconds: Option<f64>,
    #[serde(flatten)]
    what: What,
}

#[derive(Clone, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum What {
    Xgboost {
        library: PathBuf,
    },
    Lightgbm {
        library: PathBuf,
    },
    Onnxruntime {
        library: PathBuf,
        model: PathBuf,
        input: String,
        output: String,
        columns: usize,
        margin: bool,
    },
    Tl2cgen {
        library: PathBuf,
    },
    /// Compiled twice, for one row and for many.
    Lleaves {
        one: PathBuf,
        many: PathBuf,
    },
    CatboostCpp {
        library: PathBuf,
    },
    CatboostPython {
        python: PathBuf,
        script: PathBuf,
    },
}

impl Peer {
    /// Name and version.
    pub fn name(&self) -> String {
        let name = match &self.what {
            What::Xgboost { .. } => "XGBoost",
            What::Lightgbm { .. } => "LightGBM",
            What::Onnxruntime { .. } => "ONNX Runtime",
            What::Tl2cgen { .. } => "tl2cgen",
            What::Lleaves { .. } => "lleaves",
            What::CatboostCpp { .. } => "CatBoost's C++ export",
            What::CatboostPython { .. } => "CatBoost (Python)",
        };
        format!("{name} {}", self.version)
    }

    /// Loads the model.
    ///
    /// # Errors
    /// If the library is not what it should be, or refuses the model.
    pub fn load(&self, model: &Path, rows: &Rc<Rows>) -> Result<Box<dyn Engine>> {
        let (name, rows) = (self.name(), Rc::clone(rows));
        let columns = rows.columns();
        Ok(match &self.what {
            What::Xgboost { library } => {
                let booster = XgBoost::open(library)?.load(&std::fs::read(model)?)?;
                Box::new(XgBoostEngine { name, booster, rows })
            }
            What::Lightgbm { library } => {
                let (lightgbm, text) = (LightGbm::open(library)?, std::fs::read_to_string(model)?);
                let row = lightgbm.load(&text)?.single_rows()?;
                Box::new(LightGbmEngine {
                    name,
                    row,
                    load: Box::new(move || Ok(lightgbm.load(&text)?)),
                    booster: None,
                    rows,
                })
            }
            What::Onnxruntime { library, model, input, output, columns: results, margin } => {
                let runtime = OnnxRuntime::open(library)?;
                let model = runtime.load(&std::fs::read(model)?, (input, columns), (output, *results))?;
                Box::new(OnnxEngine { name, model, gives_margins: *margin, rows })
            }
            What::Tl2cgen { library } => {
                let model = Tl2cgen::open(library)?;
                let entries = model.rows(rows.wide(0, COUNT))?;
                Box::new(Tl2cgenEngine { name, model, entries })
            }
            What::Lleaves { one, many } => {
                let (one, many) = (Lleaves::open(one, columns)?, Lleaves::open(many, columns)?);
                Box::new(LleavesEngine { name, one, many, rows })
            }
            What::CatboostCpp { library } => {
                let model = CatBoostCpp::open(library, columns)?;
                let rows: Result<Vec<CatBoostRow>, _> =
                    (0..COUNT).map(|row| model.row(rows.narrow(row, 1))).collect();
                Box::new(CatBoostCppEngine { name, rows: rows? })
            }
            What::CatboostPython { python, script } => {
                Box::new(CatBoostPython::start(name, python, script, model, &rows)?)
            }
        })
    }
}

struct XgBoostEngine {
    name: String,
    booster: XgBoostBooster,
    rows: Rc<Rows>,
}

impl Engine for XgBoostEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&mut self, first: usize, count: usize, out: &mut Vec<f64>) -> Result<()> {
        Ok(self.booster.margins(self.rows.narrow(first, count), out)?)
    }
}

/// One row goes another way than many, each with the model loaded for it; that for many is loaded when it is needed.
struct LightGbmEngine {
    name: String,
    row: LightGbmRow,
    load: Box<dyn Fn() -> Result<LightGbmBooster>>,
    booster: Option<LightGbmBooster>,
    rows: Rc<Rows>,
}

impl Engine for LightGbmEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&mut self, first: usize, count: usize, out: &mut Vec<f64>) -> Result<()> {
        let rows = self.rows.wide(first, count);
        if count == 1 {
            out.clear();
            out.push(self.row.margin(rows)?);
            return Ok(());
        }
        let booster = match &mut self.booster {
            Some(booster) => booster,
            none => none.insert((self.load)()?),
        };
        Ok(booster.margins(rows, out)?)
    }
}

struct OnnxEngine {
    name: String,
    model: OnnxModel,
    gives_margins: bool,
    rows: Rc<Rows>,
}

impl Engine for OnnxEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn gives_margins(&self) -> bool {
        self.gives_margins
    }

    fn score(&mut self, first: usize, count: usize, out: &mut Vec<f64>) -> Result<()> {
        Ok(self.model.scores(self.rows.narrow(first, count), out)?)
    }
}

/// Rows are put into its form before the clock starts, which a service would have to do for each.
struct Tl2cgenEngine {
    name: String,
    model: Tl2cgen,
    entries: Tl2cgenRows,
}

impl Engine for Tl2cgenEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&mut self, first: usize, count: usize, out: &mut Vec<f64>) -> Result<()> {
        out.clear();
        out.extend((first..first + count).map(|row| self.model.margin(&mut self.entries, row)));
        Ok(())
    }
}

struct LleavesEngine {
    name: String,
    one: Lleaves,
    many: Lleaves,
    rows: Rc<Rows>,
}

impl Engine for LleavesEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&mut self, first: usize, count: usize, out: &mut Vec<f64>) -> Result<()> {
        let library = if count == 1 { &self.one } else { &self.many };
        Ok(library.results(self.rows.wide(first, count), out)?)
    }
}

/// Rows are put into vectors before the clock starts, as with tl2cgen.
struct CatBoostCppEngine {
    name: String,
    rows: Vec<CatBoostRow>,
}

impl Engine for CatBoostCppEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&mut self, first: usize, count: usize, out: &mut Vec<f64>) -> Result<()> {
        out.clear();
        out.extend(self.rows[first..first + count].iter().map(CatBoostRow::margin));
        Ok(())
    }
}

/// CatBoost's own scorer, whose wheel has no C interface: a process of Python that times itself on request.
struct CatBoostPython {
    name: String,
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    rows_file: PathBuf,
}

impl CatBoostPython {
    fn start(
        name: String,
        python: &Path,
        script: &Path,
        model: &Path,
        rows: &Rows,
    ) -> Result<CatBoostPython> {
        let rows_file = std::env::temp_dir().join(format!("redflag-bench-forest-{}.f32", std::process::id()));
        let bytes: Vec<u8> = rows.narrow(0, COUNT).iter().flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(&rows_file, bytes).with_context(|| format!("{}", rows_file.display()))?;
        let mut command = Command::new(python);
        command.arg(script).arg("catboost").arg(model).arg(&rows_file).arg(rows.columns().to_string());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let requests = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().context("the process has an output")?);
        let mut started = CatBoostPython { name, process, requests, answers, rows_file };
        started.answer().context("CatBoost did not start")?;
        Ok(started)
    }

    fn ask(&mut self, request: &str) -> Result<Vec<f64>> {
        let requests = self.requests.as_mut().context("the process takes requests")?;
        writeln!(requests, "{request}")?;
        requests.flush()?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Vec<f64>> {
        let mut line = String::new();
        ensure!(self.answers.read_line(&mut line)? > 0, "the process has ended");
        let numbers =
            line.split_whitespace().map(|word| word.parse().map_err(|_| anyhow!("it said {word:?}")));
        numbers.collect()
    }
}

impl Engine for CatBoostPython {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&mut self, first: usize, count: usize, out: &mut Vec<f64>) -> Result<()> {
        *out = self.ask(&format!("margins {first} {count}"))?;
        Ok(())
    }

    fn seconds(&mut self, _: &Rows, first: usize, count: usize, calls: usize) -> Result<f64> {
        let answer = self.ask(&format!("time {first} {count} {calls}"))?;
        answer.first().copied().context("the process gave no time")
    }
}

impl Drop for CatBoostPython {
    fn drop(&mut self) {
        // Its input at an end, the process ends. Neither a failure of that nor of tidying up changes a figure.
        drop(self.requests.take());
        self.process.wait().ok();
        std::fs::remove_file(&self.rows_file).ok();
    }
}
