//! What waits to be written for others to read: the windows of entities and the newest decisions.
//!
//! Whoever decides offers each decided batch; nobody is waited for. Only the newest of each entity waits, so what waits
//! is bounded by the entities, and beyond [`WAITING_MAX`] the longest waiting go: freshness is lost, never a decision.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use engine::detector::Definition;
use engine::{Decisions, Detector, Engine, EventBatch, Status};

/// The most that waits: tens of megabytes, and seconds to write.
pub const WAITING_MAX: usize = 65_536;

/// The kinds of entities of a detector, and where a decision keeps their windows.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Name of the detector.
    pub detector: String,
    /// The kinds, in the order of their first feature.
    pub kinds: Vec<Kind>,
}

/// A kind of entity: a field by which windows are kept.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Name of the field that holds the entity's id.
    pub name: String,
    /// Text slot of that field.
    slot: usize,
    /// Names of its window features.
    pub features: Vec<String>,
    /// Their columns in the feature matrix, ascending.
    columns: Vec<usize>,
}

impl Layout {
    /// The layout of a detector.
    pub fn new(detector: &Detector) -> Layout {
        let mut kinds: Vec<Kind> = Vec::new();
        for (column, feature) in detector.features.iter().enumerate() {
            let Definition::Window(window) = &feature.definition else { continue };
            let at = kinds.iter().position(|kind| kind.slot == window.by).unwrap_or_else(|| {
                let name = detector.schema.text_name(window.by).to_string();
                kinds.push(Kind { name, slot: window.by, features: Vec::new(), columns: Vec::new() });
                kinds.len() - 1
            });
            kinds[at].features.push(feature.name.clone());
            kinds[at].columns.push(column);
        }
        Layout { detector: detector.name.clone(), kinds }
    }

    /// The kind of this name, whole or without `_id`.
    pub fn kind(&self, name: &str) -> Option<&Kind> {
        let is_it = |kind: &&Kind| kind.name == name || kind.name.strip_suffix("_id") == Some(name);
        self.kinds.iter().find(is_it)
    }
}

/// The newest of an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Index of its kind; one past the last for decisions.
    pub target: usize,
    /// Its id, or the key's value.
    pub id: Arc<str>,
    /// Time of its newest event; of no meaning for a decision.
    pub event_time_us: i64,
    /// Its windows as of then, in the order of [`Kind::features`]; NaN is missing. Empty if there is nothing to write.
    pub values: Vec<f64>,
    /// The newest decision's summary as JSON.
    pub summary: String,
}

/// What waits, longest waiting first, at most one entry an entity.
#[derive(Debug)]
pub struct Waiting {
    entries: VecDeque<Entry>,
    /// Number of the first entry; they are counted from the beginning of time.
    first: u64,
    /// Numbers of the entries by id, for each target.
    places: Vec<HashMap<Arc<str>, u64>>,
    /// How many were displaced.
    pub dropped: u64,
    /// Since when something waits.
    pub since: Option<Instant>,
}

impl Waiting {
    /// Nothing waits.
    pub fn new(layout: &Layout) -> Waiting {
        let places = (0..=layout.kinds.len()).map(|_| HashMap::new()).collect();
        Waiting { entries: VecDeque::new(), first: 0, places, dropped: 0, since: None }
    }

    /// Entries that wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries, longest waiting first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Lets go of the longest waiting.
    pub fn forget(&mut self, count: usize) {
        for entry in self.entries.drain(..count) {
            self.places[entry.target].remove(&entry.id);
        }
        self.first += count as u64;
        if self.is_empty() {
            self.since = None;
        }
    }

    /// Takes the windows of the entities of a batch that the engine has processed. They are read from the engine, not from
    /// the rows: a late row has changed windows that it does not show, and some features of a row leave its event out.
    pub fn take(&mut self, layout: &Layout, engine: &Engine, batch: &EventBatch, decisions: &Decisions) {
        for row in (0..batch.len()).filter(|row| decisions.statuses[*row] != Status::TimeJump) {
            self.take_row(layout, engine, batch, row);
        }
    }

    /// Takes the windows of the entities of a row.
    pub fn take_row(&mut self, layout: &Layout, engine: &Engine, batch: &EventBatch, row: usize) {
        for (target, kind) in layout.kinds.iter().enumerate() {
            let id = batch.text(row, kind.slot);
            if !id.is_empty() && engine.kinds().any(|kept| kept == kind.name) {
                self.take_entity(target, kind, engine, id);
            }
        }
    }

    fn take_entity(&mut self, target: usize, kind: &Kind, engine: &Engine, id: &str) {
        let entry = self.entry(target, id);
        entry.values.resize(kind.features.len(), f64::NAN);
        let found = engine.inspect_each(&kind.name, id, |column, value| {
            if let Ok(place) = kind.columns.binary_search(&column) {
                entry.values[place] = value;
            }
        });
        // An engine that does not hold the entity has nothing to say of it.
        match found {
            Some((newest_us, _)) => entry.event_time_us = newest_us,
            None => entry.values.clear(),
        }
    }

    /// Takes the newest decision on a key.
    pub fn take_decision(&mut self, layout: &Layout, key: &str, summary: &str) {
        let text = &mut self.entry(layout.kinds.len(), key).summary;
        text.clear();
        text.push_str(summary);
    }

    fn entry(&mut self, target: usize, id: &str) -> &mut Entry {
        let number = match self.places[target].get(id) {
            Some(number) => *number,
            None => self.enter(target, Arc::from(id)),
        };
        &mut self.entries[(number - self.first) as usize]
    }

    fn enter(&mut self, target: usize, id: Arc<str>) -> u64 {
        if self.len() == WAITING_MAX {
            self.forget(1);
            self.dropped += 1;
        }
        self.since.get_or_insert_with(Instant::now);
        let number = self.first + self.len() as u64;
        self.places[target].insert(Arc::clone(&id), number);
        let entry = Entry { target, id, event_time_us: 0, values: Vec::new(), summary: String::new() };
        self.entries.push_back(entry);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::dataset::EventReader;

    fn detector(text: &str) -> Arc<Detector> {
        Arc::new(Detector::parse(text).unwrap())
    }

    fn handbook() -> Layout {
        Layout::new(&detector(include_str!("../../../../detectors/card-handbook.toml")))
    }

    #[test]
    fn kinds_have_their_features_and_a_short_name() {
        let layout = handbook();
        let names: Vec<&str> = layout.kinds.iter().map(|kind| kind.name.as_str()).collect();
        assert_eq!(names, ["customer_id", "terminal_id"]);
        let terminal = layout.kind("terminal").unwrap();
        assert_eq!(terminal.name, "terminal_id");
        assert!(terminal.features.iter().all(|name| name.starts_with("terminal_")), "{terminal:?}");
        assert!(layout.kind("terminal_id").is_some() && layout.kind("shop").is_none());
    }

    #[test]
    fn the_newest_of_an_entity_waits_in_the_place_of_the_first() {
        let mut waiting = Waiting::new(&handbook());
        waiting.entry(0, "a").values.push(1.0);
        waiting.entry(1, "a").values.push(2.0);
        waiting.entry(0, "a").values.push(3.0);
        let found: Vec<&Entry> = waiting.entries().collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].target, &found[0].values), (0, &vec![1.0, 3.0]));
        waiting.forget(1);
        waiting.entry(0, "a");
        assert_eq!(waiting.entries().map(|entry| entry.target).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn the_longest_waiting_go_when_there_are_too_many() {
        let mut waiting = Waiting::new(&handbook());
        for id in 0..WAITING_MAX + 3 {
            waiting.entry(0, &id.to_string());
        }
        assert_eq!((waiting.len(), waiting.dropped), (WAITING_MAX, 3));
        assert_eq!(&*waiting.entries().next().unwrap().id, "3");
        waiting.forget(WAITING_MAX);
        assert!(waiting.is_empty() && waiting.since.is_none());
    }

    /// Every window of the richest detector, with events in order, late and too late.
    #[test]
    fn what_waits_is_what_the_engine_holds() {
        let detector = detector(include_str!("../../../../detectors/card.toml"));
        let layout = Layout::new(&detector);
        let mut waiting = Waiting::new(&layout);
        let schema = Arc::new(detector.schema.clone());
        let reader = EventReader::without_labels(&schema);
        let mut batch = EventBatch::new(schema);
        let mut engine = Engine::new(detector, None, 1);
        let (mut decisions, mut dice) = (Decisions::default(), 7_u64);
        for number in 0..3_000_i64 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let lateness_s = [0, 0, 0, 1_200, 9_000][(dice >> 40) as usize % 5];
            let event = format!(
                "{{\"transaction_id\":{number},\"tx_datetime\":{},\"tx_amount\":{},\"customer_id\":{},\"terminal_id\":{}}}",
                1_522_540_800 + 600 * number - lateness_s,
                (dice >> 33) % 90 + 1,
                (dice >> 50) % 11,
                (dice >> 45) % 7,
            );
            reader.read(event.as_bytes(), &mut batch).unwrap();
            if number % 17 == 16 {
                engine.process(&batch, number - 16, &mut decisions);
                waiting.take(&layout, &engine, &batch, &decisions);
                batch.clear();
            }
        }
        assert_eq!(waiting.len(), 11 + 7);
        for entry in waiting.entries() {
            let kind = &layout.kinds[entry.target];
            let view = engine.inspect(&kind.name, &entry.id).unwrap();
            assert_eq!((entry.event_time_us, entry.values.len()), (view.newest_us, view.features.len()));
            for (name, value) in kind.features.iter().zip(&entry.values) {
                let held = view.features.iter().find(|(known, _)| known == name).unwrap().1;
                assert_eq!(value.to_bits(), held.to_bits(), "{name} of {}", entry.id);
            }
        }
    }
}
