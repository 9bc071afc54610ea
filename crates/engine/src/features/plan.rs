//! What must be kept per entity so that every window of a detector can be read at any moment.

use std::sync::Arc;

use super::MISSING;
use crate::detector::{Aggregate, Definition, Detector, FieldKind, Schema, Source, Window};
use crate::event::{EventBatch, Label, NUMBER_SCALE};

/// The windows of a detector, by kind of entity.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub kinds: Vec<Arc<KindPlan>>,
}

/// The windows of one kind of entity.
#[derive(Debug)]
pub(crate) struct KindPlan {
    /// Name of the field that holds the entity's id.
    pub name: String,
    /// Text slot of that field.
    pub by: usize,
    /// The values kept with every event.
    pub sources: Vec<Source>,
    /// The position of the label among them.
    pub label_column: Option<usize>,
    /// Time, values, and where labels are learnt the position in the log that names the event.
    entry_words: usize,
    /// Distances behind the newest event at which a cursor stands, ascending, in microseconds.
    pub offsets: Vec<i64>,
    pub frames: Vec<Frame>,
    pub sums: Vec<Sum>,
    pub extremes: Vec<Extreme>,
    pub distincts: Vec<Distinct>,
    /// For each cursor, what an event brings as it crosses; the last entry is for the event's arrival itself.
    pub crossings: Vec<Crossing>,
    /// Features read before the event itself is entered.
    pub reads_before: Vec<Read>,
    /// Features read after the event itself is entered.
    pub reads_after: Vec<Read>,
    /// How long an event can matter: the longest window with its delay, and the allowed lateness.
    pub retention_us: i64,
    /// An entity this far behind the stream is freed.
    pub expiry_us: i64,
    /// A late event is inserted if it is no later than this.
    pub max_lateness_us: i64,
}

/// A window as a range between two cursors; `near` is `None` where it reaches up to the newest event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub near: Option<usize>,
    pub far: usize,
    pub near_us: i64,
    pub far_us: i64,
}

/// A running sum over a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum {
    pub frame: usize,
    pub column: usize,
    pub of: Summand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Summand {
    Value,
    Square,
    /// 1 for each event that has the value.
    Presence,
}

impl Summand {
    pub fn of(self, value: i64) -> i128 {
        match self {
            _ if value == MISSING => 0,
            Summand::Value => i128::from(value),
            Summand::Square => i128::from(value) * i128::from(value),
            Summand::Presence => 1,
        }
    }
}

/// The least or greatest value of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extreme {
    pub frame: usize,
    pub column: usize,
    pub greatest: bool,
}

/// The different values of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Distinct {
    pub frame: usize,
    pub column: usize,
}

/// The sums, extremes and distinct counts, by index, that an event enters and leaves at a cursor.
#[derive(Debug, Clone, Default)]
pub(crate) struct Crossing {
    pub sums_in: Vec<(usize, Sum)>,
    pub sums_out: Vec<(usize, Sum)>,
    /// Whether the lists below are empty.
    pub only_sums: bool,
    pub extremes_in: Vec<usize>,
    pub extremes_out: Vec<usize>,
    pub distincts_in: Vec<usize>,
    pub distincts_out: Vec<usize>,
}

/// Where a feature's value comes from.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// Column of the feature matrix.
    pub feature: usize,
    pub measure: Measure,
    pub frame: usize,
    /// Stored units in one unit of the feature.
    pub scale: f64,
    pub empty: f64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Measure {
    Count,
    Sum {
        sum: usize,
    },
    Mean {
        sum: usize,
        presence: Option<usize>,
    },
    Std {
        sum: usize,
        square: usize,
        presence: Option<usize>,
    },
    Extreme {
        index: usize,
    },
    Distinct {
        index: usize,
    },
    Last {
        column: usize,
    },
    SinceLast,
    /// Count (or sum) over `frame` by its length, against the same over `baseline`.
    Ratio {
        sums: Option<(usize, usize)>,
        baseline: usize,
        lengths: f64,
    },
}

impl Plan {
    pub fn new(detector: &Detector) -> Plan {
        let mut kinds: Vec<KindBuilder> = Vec::new();
        for (feature, definition) in detector.features.iter().map(|feature| &feature.definition).enumerate() {
            let Definition::Window(window) = definition else { continue };
            let at = kinds.iter().position(|kind| kind.by == window.by).unwrap_or_else(|| {
                kinds.push(KindBuilder::new(window.by));
                kinds.len() - 1
            });
            kinds[at].add(feature, window, &detector.schema);
        }
        Plan { kinds: kinds.into_iter().map(|kind| Arc::new(kind.finish(&detector.schema))).collect() }
    }
}

impl KindPlan {
    /// Words that an event takes in the ring.
    #[inline]
    pub fn entry_words(&self) -> usize {
        self.entry_words
    }

    /// All features of this kind of entity.
    pub fn reads(&self) -> impl Iterator<Item = &Read> {
        self.reads_before.iter().chain(&self.reads_after)
    }

    /// What is kept of a row besides its time: values in the order of `sources`, then the position if it is needed.
    pub fn read_values(&self, batch: &EventBatch, row: usize, sequence: i64, values: &mut Vec<i64>) {
        values.clear();
        values.extend(self.sources.iter().map(|source| stored_value(*source, batch, row)));
        values.extend(self.label_column.map(|_| sequence));
    }
}

fn stored_value(source: Source, batch: &EventBatch, row: usize) -> i64 {
    match source {
        Source::Amount => batch.amount_minor(row),
        Source::Label => i64::from(batch.label(row) == Label::Fraud),
        Source::Number(slot) => match batch.number(row, slot) {
            number if number.is_nan() => MISSING,
            number => (number * NUMBER_SCALE).round() as i64,
        },
        Source::Text(slot) => match batch.text(row, slot) {
            "" => MISSING,
            text => text_value(text),
        },
    }
}

/// Texts are told apart by 64 bits of hash: two of a thousand different ones in a window collide once in 10^13 times.
fn text_value(text: &str) -> i64 {
    let value = crate::process::hash_text(text) as i64;
    if value == MISSING { 0 } else { value }
}

fn scale(source: Option<Source>, schema: &Schema) -> f64 {
    match source {
        Some(Source::Amount) => schema.minor_per_unit(),
        Some(Source::Number(_)) => NUMBER_SCALE,
        _ => 1.0,
    }
}

struct KindBuilder {
    by: usize,
    sources: Vec<Source>,
    /// (near, far) distances of each frame.
    frames: Vec<(i64, i64)>,
    sums: Vec<Sum>,
    extremes: Vec<Extreme>,
    distincts: Vec<Distinct>,
    reads_before: Vec<Read>,
    reads_after: Vec<Read>,
}

fn intern<T: PartialEq>(items: &mut Vec<T>, item: T) -> usize {
    items.iter().position(|known| *known == item).unwrap_or_else(|| {
        items.push(item);
        items.len() - 1
    })
}

impl KindBuilder {
    fn new(by: usize) -> Self {
        KindBuilder {
            by,
            sources: Vec::new(),
            frames: Vec::new(),
            sums: Vec::new(),
            extremes: Vec::new(),
            distincts: Vec::new(),
            reads_before: Vec::new(),
            reads_after: Vec::new(),
        }
    }

    fn add(&mut self, feature: usize, window: &Window, schema: &Schema) {
        let frame = intern(&mut self.frames, (window.delay_us, window.delay_us + window.window_us));
        let column = window.of.map(|source| intern(&mut self.sources, source));
        let read = Read {
            feature,
            measure: self.measure(window, frame, column, schema),
            frame,
            scale: scale(window.of, schema),
            empty: window.empty,
        };
        if window.exclude_current || window.aggregate.looks_at_previous() {
            self.reads_before.push(read);
        } else {
            self.reads_after.push(read);
        }
    }

    fn measure(&mut self, window: &Window, frame: usize, column: Option<usize>, schema: &Schema) -> Measure {
        let presence = column
            .filter(|_| nullable(window.of, schema))
            .map(|column| self.sum(frame, column, Summand::Presence));
        match (window.aggregate, column) {
            (Aggregate::Sum, Some(column)) => Measure::Sum { sum: self.sum(frame, column, Summand::Value) },
            (Aggregate::Mean, Some(column)) => {
                Measure::Mean { sum: self.sum(frame, column, Summand::Value), presence }
            }
            (Aggregate::Std, Some(column)) => Measure::Std {
                sum: self.sum(frame, column, Summand::Value),
                square: self.sum(frame, column, Summand::Square),
                presence,
            },
            (Aggregate::Min | Aggregate::Max, Some(column)) => {
                let greatest = window.aggregate == Aggregate::Max;
                Measure::Extreme { index: intern(&mut self.extremes, Extreme { frame, column, greatest }) }
            }
            (Aggregate::Distinct, Some(column)) => {
                Measure::Distinct { index: intern(&mut self.distincts, Distinct { frame, column }) }
            }
            (Aggregate::Last, Some(column)) => Measure::Last { column },
            (Aggregate::TimeSinceLast, _) => Measure::SinceLast,
            (Aggregate::RateRatio, column) => self.ratio(window, frame, column),
            _ => Measure::Count,
        }
    }

    fn ratio(&mut self, window: &Window, frame: usize, column: Option<usize>) -> Measure {
        let baseline_us = window.baseline_us.unwrap_or(window.window_us);
        let baseline = intern(&mut self.frames, (window.delay_us, window.delay_us + baseline_us));
        let sums = column.map(|column| {
            (self.sum(frame, column, Summand::Value), self.sum(baseline, column, Summand::Value))
        });
        Measure::Ratio { sums, baseline, lengths: baseline_us as f64 / window.window_us as f64 }
    }

    fn sum(&mut self, frame: usize, column: usize, of: Summand) -> usize {
        intern(&mut self.sums, Sum { frame, column, of })
    }

    fn finish(self, schema: &Schema) -> KindPlan {
        let mut offsets: Vec<i64> =
            self.frames.iter().flat_map(|(near, far)| [*near, *far]).filter(|o| *o > 0).collect();
        offsets.sort_unstable();
        offsets.dedup();
        let cursor = |distance: i64| offsets.binary_search(&distance).ok();
        let frame = |&(near_us, far_us): &(i64, i64)| Frame {
            near: cursor(near_us),
            far: cursor(far_us).expect("every far end has a cursor"),
            near_us,
            far_us,
        };
        let frames: Vec<Frame> = self.frames.iter().map(frame).collect();
        let retention_us = offsets.last().copied().unwrap_or(0) + schema.max_lateness_us;
        let mut crossings = vec![Crossing::default(); offsets.len() + 1];
        for (index, sum) in self.sums.iter().enumerate() {
            crossings[frames[sum.frame].near.unwrap_or(offsets.len())].sums_in.push((index, *sum));
            crossings[frames[sum.frame].far].sums_out.push((index, *sum));
        }
        for (index, extreme) in self.extremes.iter().enumerate() {
            crossings[frames[extreme.frame].near.unwrap_or(offsets.len())].extremes_in.push(index);
            crossings[frames[extreme.frame].far].extremes_out.push(index);
        }
        for (index, distinct) in self.distincts.iter().enumerate() {
            crossings[frames[distinct.frame].near.unwrap_or(offsets.len())].distincts_in.push(index);
            crossings[frames[distinct.frame].far].distincts_out.push(index);
        }
        for crossing in &mut crossings {
            crossing.only_sums = [
                &crossing.extremes_in,
                &crossing.extremes_out,
                &crossing.distincts_in,
                &crossing.distincts_out,
            ]
            .iter()
            .all(|list| list.is_empty());
        }
        let label_column = self.sources.iter().position(|source| *source == Source::Label);
        KindPlan {
            name: schema.text_name(self.by).to_string(),
            by: self.by,
            label_column,
            entry_words: 1 + self.sources.len() + usize::from(label_column.is_some()),
            sources: self.sources,
            offsets,
            frames,
            sums: self.sums,
            extremes: self.extremes,
            distincts: self.distincts,
            crossings,
            reads_before: self.reads_before,
            reads_after: self.reads_after,
            retention_us,
            // One event dated ahead, within what is allowed, must not cost the quiet entities their past.
            expiry_us: retention_us + schema.max_time_jump_us,
            max_lateness_us: schema.max_lateness_us,
        }
    }
}

/// Whether events may lack the value: then a mean needs the number of those that have it.
fn nullable(source: Option<Source>, schema: &Schema) -> bool {
    match source {
        Some(Source::Number(slot)) => schema.fields.iter().any(|field| {
            field.optional && matches!(&field.kind, FieldKind::Number { slot: s } | FieldKind::Bool { slot: s } if *s == slot)
        }),
        _ => false,
    }
}
