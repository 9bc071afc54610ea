//! `redflag detector`: check files, list and show the shipped ones, print the format's JSON Schema.

use anyhow::Result;
use clap::Subcommand;
use engine::Detector;

use super::WrongInput;
use super::output::{SHIPPED, detector_text};

/// The JSON Schema of detector files.
const SCHEMA: &str = include_str!("../../../../detectors/detector.schema.json");

/// Look at detector files.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List everything that is wrong with a detector file, with line and hint
    #[command(after_help = "Example: redflag detector check my-detector.toml")]
    Check {
        /// A file, or the name of a shipped detector
        file: String,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of detector files, for editors
    Schema,
    /// List the shipped detectors
    List,
    /// Print the file of a shipped detector: a starting point for one's own
    #[command(after_help = "Example: redflag detector show card > my-detector.toml")]
    Show {
        /// Name of a shipped detector, or a file
        name: String,
    },
}

/// Runs the command.
///
/// # Errors
/// If the detector has mistakes or does not exist.
pub fn run(args: Args) -> Result<()> {
    match args.what {
        What::Check { file, json } => check(&file, json),
        What::Schema => {
            print!("{SCHEMA}");
            Ok(())
        }
        What::List => {
            SHIPPED.iter().for_each(|(name, text)| println!("{name:<14} {}", description(text)));
            Ok(())
        }
        What::Show { name } => {
            print!("{}", detector_text(&name)?);
            Ok(())
        }
    }
}

fn description(text: &str) -> &str {
    let line = text.lines().find_map(|line| line.strip_prefix("description = "));
    line.unwrap_or_default().trim_matches('"')
}

fn check(file: &str, json: bool) -> Result<()> {
    match Detector::parse(&detector_text(file)?) {
        Ok(detector) if json => {
            let found = serde_json::json!({
                "detector": detector.name,
                "features": detector.feature_names(),
                "feature_fingerprint": detector.feature_fingerprint,
                "mistakes": [],
            });
            println!("{found:#}");
            Ok(())
        }
        Ok(detector) => {
            let (features, rules) = (detector.features.len(), detector.rules.len());
            println!("{file}: detector `{}` is right: {features} features, {rules} rules", detector.name);
            Ok(())
        }
        Err(mistakes) => {
            if json {
                println!("{:#}", serde_json::json!({ "mistakes": mistakes }));
            } else {
                mistakes.iter().for_each(|mistake| println!("{file}: {mistake}"));
            }
            Err(WrongInput(format!("{file} has {} mistake(s)", mistakes.len())).into())
        }
    }
}
