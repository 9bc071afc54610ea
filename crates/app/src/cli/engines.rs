//! `redflag engines`: the libraries that can grow models instead of redflag itself.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use lab::engines::{Engine, Place};

use super::WrongInput;

/// Install the libraries that can grow models instead, and list them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
They live in a virtual environment of Python of their own: ${REDFLAG_ENGINES}, or else redflag/engines in
${XDG_DATA_HOME:-~/.local/share}. REDFLAG_ENGINES may name any other environment that has them.

Example: redflag engines install xgboost lightgbm
         redflag engines list
         redflag train --detector card --in transactions.parquet --engine xgboost --out card.model")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Install engines, all if none is named, at the versions that redflag is tested with
    Install {
        /// Of xgboost, lightgbm, catboost, scikit-learn
        #[arg(value_parser = engine)]
        names: Vec<Engine>,
    },
    /// List engines: what they grow, and whether they are installed, in which version and where
    List {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

fn engine(name: &str) -> Result<Engine, String> {
    Engine::named(name).filter(|engine| *engine != Engine::Builtin).ok_or_else(|| {
        let names: Vec<&str> = foreign().map(Engine::name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn foreign() -> impl Iterator<Item = Engine> {
    Engine::ALL.into_iter().filter(|engine| *engine != Engine::Builtin)
}

/// Where engines are: `REDFLAG_ENGINES`, or `redflag/engines` where the user's programs keep their data
/// (<https://specifications.freedesktop.org/basedir-spec/latest/>).
///
/// # Errors
/// If no variable says where that is.
pub fn place() -> Result<Place> {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || Some(named("HOME")?.join(".local/share"));
    let data = || Some(named("XDG_DATA_HOME").or_else(home)?.join("redflag/engines"));
    let folder = named("REDFLAG_ENGINES").or_else(data);
    let unknown = "where are the engines? expected REDFLAG_ENGINES, XDG_DATA_HOME or HOME to be set";
    folder.map(Place::new).ok_or_else(|| WrongInput(unknown.to_string()).into())
}

/// Runs the command.
///
/// # Errors
/// If an engine cannot be installed.
pub fn run(args: Args) -> Result<()> {
    let place = place()?;
    match args.action {
        Action::Install { names } => {
            let engines = if names.is_empty() { foreign().collect() } else { names };
            place.install(&engines)?;
            list(&place, &engines, false)
        }
        Action::List { json } => list(&place, &Engine::ALL, json),
    }
}

fn list(place: &Place, engines: &[Engine], json: bool) -> Result<()> {
    let lines: Vec<Line> = engines.iter().map(|engine| Line::of(*engine, place)).collect();
    if json {
        println!("{}", serde_json::to_string(&lines)?);
    } else {
        lines.iter().for_each(|line| println!("{line}"));
    }
    Ok(())
}

/// What there is to say of an engine.
#[derive(serde::Serialize)]
struct Line {
    engine: &'static str,
    installed: bool,
    version: Option<String>,
    algorithms: Vec<String>,
    /// Its shared library, or the Python that has it.
    path: Option<PathBuf>,
}

impl Line {
    fn of(engine: Engine, place: &Place) -> Line {
        let found = place.find(engine).ok();
        let builtin = engine == Engine::Builtin;
        let own = builtin.then(|| env!("CARGO_PKG_VERSION").to_string());
        Line {
            engine: engine.name(),
            installed: builtin || found.is_some(),
            version: own.or(found.as_ref().map(|found| found.version.clone())),
            algorithms: engine.algorithms().iter().map(ToString::to_string).collect(),
            path: found.map(|found| found.path),
        }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let version = self.version.as_deref().unwrap_or("-");
        let place = match (&self.path, self.installed) {
            (Some(path), _) => path.display().to_string(),
            (None, true) => "in redflag itself".to_string(),
            (None, false) => format!("not installed: redflag engines install {}", self.engine),
        };
        let algorithms = self.algorithms.join(", ");
        write!(f, "{:<13} {version:<9} {algorithms:<35} {place}", self.engine)
    }
}
