//! What the engine tells about its state.

/// What is held for one kind of entity.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KindState {
    /// The field that names the entity.
    pub kind: String,
    /// Entities with events in some window.
    pub entities: usize,
    /// Events held.
    pub events: usize,
    /// Memory of all of it, estimated from capacities.
    pub bytes: usize,
    /// The entity with the most events, and how many.
    pub largest: Option<(String, usize)>,
}

impl KindState {
    /// The sum over the shards of one kind; there is at least one.
    pub(crate) fn join(parts: impl Iterator<Item = KindState>) -> KindState {
        parts
            .reduce(|mut sum, part| {
                sum.entities += part.entities;
                sum.events += part.events;
                sum.bytes += part.bytes;
                sum.largest = sum.largest.into_iter().chain(part.largest).max_by_key(|(_, events)| *events);
                sum
            })
            .expect("an engine has at least one shard")
    }

    /// All tables of one kind; there is at least one. The events of one are mostly those of another as well.
    pub(crate) fn stack(tables: impl Iterator<Item = KindState>) -> KindState {
        tables
            .reduce(|mut all, table| {
                all.entities = all.entities.max(table.entities);
                all.events = all.events.max(table.events);
                all.bytes += table.bytes;
                all.largest = all.largest.into_iter().chain(table.largest).max_by_key(|(_, events)| *events);
                all
            })
            .expect("a kind has at least one table")
    }
}

/// The windows of one entity as of its newest event.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityView {
    /// Time of the newest event.
    pub newest_us: i64,
    /// Events held.
    pub events: usize,
    /// Window features with their values.
    pub features: Vec<(String, f64)>,
}
