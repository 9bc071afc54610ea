//! Model files: a forest, and everything that must be known to trust it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use engine::{Calibration, Detector, Model};
use forest::Forest;
use forest::read::NativeModel;
use serde::{Deserialize, Serialize};

use crate::drift::Baseline;

/// A trained model as it is stored: JSON, readable by people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Always `redflag-model`.
    pub format: String,
    /// Version of this layout.
    pub version: u32,
    /// Algorithm and a fingerprint of forest and calibration: the same training gives the same id.
    pub id: String,
    /// Name of the detector.
    pub detector: String,
    /// Fingerprint of the feature list that the forest was trained on.
    pub feature_fingerprint: String,
    /// What grew the forest: `builtin`, or the library that an imported one is from.
    pub engine: String,
    /// `gbdt`, `random-forest` or `decision-tree`; `imported` of an imported one, whose file does not say.
    pub algorithm: String,
    /// Parameters of growing, or what the file of an imported model says.
    pub parameters: BTreeMap<String, String>,
    /// First instant of the training data; empty if unknown, as it is of imported models.
    pub trained_from: String,
    /// First instant after the training data; empty if unknown.
    pub trained_to: String,
    /// Training rows; 0 if unknown.
    pub rows: u64,
    /// Of them fraud.
    pub frauds: u64,
    /// The least score sent to review, from the detector's daily review budget; 0 without one.
    pub review_score_min: f64,
    /// Figures measured on later data, by name.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// From the forest's scores to probabilities, if they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Where features and scores were in the training data; none of imported models, and of files made before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// The forest.
    pub forest: Forest,
}

/// What [`ModelFile::format`] says.
const FORMAT: &str = "redflag-model";

/// The version that this code writes and reads.
const VERSION: u32 = 1;

impl ModelFile {
    /// Fills what is the same in every file, and the id.
    pub(crate) fn seal(mut self) -> ModelFile {
        self.format = FORMAT.to_string();
        self.version = VERSION;
        let mut named = self.forest.to_json();
        let calibration = self.calibration.as_ref().map(serde_json::to_string);
        named.extend(calibration.into_iter().flatten());
        let digest = fnv1a(named.as_bytes());
        self.id = format!("{}-{:08x}", self.algorithm, (digest >> 32) as u32 ^ digest as u32);
        self
    }

    /// A model that another library made, whose forest has the detector's features by name and order.
    pub fn imported(
        native: NativeModel,
        detector: &Detector,
        stretch: (String, String),
        review_score_min: f64,
    ) -> ModelFile {
        let mut parameters = BTreeMap::from([
            ("format".to_string(), native.format.to_string()),
            ("trees_in_file".to_string(), native.trees_in_file.to_string()),
        ]);
        parameters.extend(native.version.map(|version| ("version".to_string(), version)));
        parameters.extend(native.objective.map(|objective| ("objective".to_string(), objective)));
        ModelFile {
            format: String::new(),
            version: 0,
            id: String::new(),
            detector: detector.name.clone(),
            feature_fingerprint: detector.feature_fingerprint.clone(),
            engine: native.library.to_string(),
            algorithm: "imported".to_string(),
            parameters,
            trained_from: stretch.0,
            trained_to: stretch.1,
            rows: 0,
            frauds: 0,
            review_score_min,
            metrics: BTreeMap::new(),
            calibration: None,
            baseline: None,
            forest: native.forest,
        }
        .seal()
    }

    /// Whether a file is a model file of ours, in whatever order its keys are, rather than another library's.
    pub fn is_like(bytes: &[u8]) -> bool {
        let mut start = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
        let is_json = start.next() == Some(&b'{') && start.next() == Some(&b'"');
        let name = format!("\"{FORMAT}\"");
        is_json && bytes.windows(name.len()).any(|window| window == name.as_bytes())
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// If it cannot be read, or is not a model file of this version.
    pub fn load(path: &Path) -> Result<ModelFile> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read model {}", path.display()))?;
        ModelFile::parse(&bytes, &path.display().to_string())
    }

    /// Reads the bytes of a model file; `name` is what messages call it.
    ///
    /// # Errors
    /// If they are not those of a model file of this version.
    pub fn parse(bytes: &[u8], name: &str) -> Result<ModelFile> {
        let file: ModelFile =
            serde_json::from_slice(bytes).with_context(|| format!("{name} is not a redflag model"))?;
        ensure!(file.format == FORMAT, "{name} is not a redflag model");
        ensure!(file.version == VERSION, "{name} has version {}, expected {VERSION}", file.version);
        if let Some(Err(error)) = file.calibration.as_ref().map(Calibration::check) {
            bail!("{name}: {error}");
        }
        Ok(file)
    }

    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string(self)?;
        let partial = path.with_extension("partial");
        std::fs::write(&partial, text)
            .and_then(|()| std::fs::rename(&partial, path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The model, bound to the detector that it is for.
    ///
    /// # Errors
    /// If it was trained on other features.
    pub fn bind(&self, detector: &Detector) -> Result<Model> {
        let model =
            Model::new(&self.id, &self.forest, &self.feature_fingerprint, self.review_score_min, detector)?;
        Ok(model.calibrated(self.calibration.clone()))
    }
}

/// FNV-1a, 64 bits: names a forest, does not defend it.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
