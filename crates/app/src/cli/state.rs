//! `redflag state`: what the engine holds, kind by kind, or the windows of one entity.

use anyhow::Result;
use engine::Engine;
use engine::features::KindState;
use serde_json::json;
use store::Filter;

use super::WrongInput;
use super::output::load_detector;
use super::store::Kept;
use crate::service::recovery::Recovery;

/// Look at the state: memory by kind of entity, or the windows of one entity.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  redflag state --data-dir redflag-data/demo\n  \
                        redflag state --data-dir redflag-data/demo --entity customer_id=177")]
pub struct Args {
    #[command(flatten)]
    kept: Kept,
    /// The detector; by default the one of the newest decision
    #[arg(long)]
    detector: Option<String>,
    /// Show the windows of one entity: the field that names it, and its id
    #[arg(long, value_name = "FIELD=ID")]
    entity: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// If there is no database, or nothing is held of the entity.
pub fn run(args: Args) -> Result<()> {
    let recovery = Recovery::new(&args.kept.data_dir);
    let mut store = args.kept.open_reader()?;
    let newest = store.decisions(&Filter { limit: 1, ..Filter::default() })?.pop();
    let name = args.detector.or_else(|| newest.map(|decision| decision.versions.detector.clone()));
    let name =
        name.ok_or_else(|| WrongInput("the log is empty: name the detector with --detector".to_string()))?;
    let detector = load_detector(&name)?;
    let (engine, _) = recovery.restore(&detector, None, &mut *store, &mut |_| {})?;
    match &args.entity {
        Some(entity) => show_entity(&engine, entity, args.json),
        None => {
            show_kinds(&engine.state(), args.json);
            Ok(())
        }
    }
}

fn show_kinds(kinds: &[KindState], json: bool) {
    if json {
        println!("{:#}", json!({ "kinds": kinds }));
        return;
    }
    println!(
        "{:<16} {:>10} {:>12} {:>14} {:>14}  largest",
        "entity", "entities", "events", "bytes", "bytes/entity"
    );
    for kind in kinds {
        let each = kind.bytes / kind.entities.max(1);
        let largest =
            kind.largest.as_ref().map_or(String::new(), |(id, events)| format!("{id} ({events} events)"));
        println!(
            "{:<16} {:>10} {:>12} {:>14} {each:>14}  {largest}",
            kind.kind, kind.entities, kind.events, kind.bytes
        );
    }
}

fn show_entity(engine: &Engine, entity: &str, json: bool) -> Result<()> {
    let kinds: Vec<&str> = engine.kinds().collect();
    let expected = || {
        WrongInput(format!("--entity is {entity:?}: expected FIELD=ID, FIELD one of {}", kinds.join(", ")))
    };
    let (kind, id) = entity.split_once('=').filter(|(kind, _)| kinds.contains(kind)).ok_or_else(expected)?;
    let Some(view) = engine.inspect(kind, id) else {
        return Err(WrongInput(format!("nothing is held of {kind} {id}")).into());
    };
    let newest = engine::time::format_instant(view.newest_us);
    if json {
        let features: serde_json::Map<_, _> =
            view.features.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        println!(
            "{:#}",
            json!({ "kind": kind, "id": id, "newest": newest, "events": view.events, "features": features })
        );
        return Ok(());
    }
    println!("{kind} {id}: {} events held, the newest at {newest}; its windows as of then", view.events);
    let width = view.features.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in &view.features {
        let value = if value.is_nan() { "missing".to_string() } else { value.to_string() };
        println!("  {name:<width$}  {value}");
    }
    Ok(())
}
