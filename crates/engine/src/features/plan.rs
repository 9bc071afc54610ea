//! What must be kept per entity so that every window of a detector can be read at any moment.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::MISSING;
use crate::detector::{Aggregate, Condition, Definition, Detector, FieldKind, Schema, Source, Window};
use crate::event::{EventBatch, Label, NUMBER_SCALE};

/// The windows of a detector, table by table.
///
/// A table keeps the events of one kind of entity for the windows that look at the same events. Windows with a condition,
/// and windows over what was computed of an event, have tables of their own: what such a table keeps of an event is known
/// only after the tables before it have seen the event.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// In the order in which an event must be shown to them.
    pub tables: Vec<Arc<TablePlan>>,
}

/// The windows of one table.
#[derive(Debug)]
pub(crate) struct TablePlan {
    /// Name of the field that holds the entity's id.
    pub name: String,
    /// Text slot of that field.
    pub by: usize,
    /// Tables of one level do not depend on each other, and on all of the levels before.
    pub level: usize,
    /// Which events it keeps; all of them if `None`.
    pub condition: Option<Condition>,
    /// Columns that must be computed of an event before: fields and expressions.
    pub needs: Vec<usize>,
    /// The features that are kept, as positions among the values and columns of the feature matrix.
    pub computed: Vec<(usize, usize)>,
    /// The values kept with every event.
    pub sources: Vec<Kept>,
    /// The position of the label among them.
    pub label_column: Option<usize>,
    /// The position of [`Kept::FraudTime`] among them.
    fraud_time_column: Option<usize>,
    /// Time, values, and where labels are learnt the position in the log that names the event.
    entry_words: usize,
    pub sums: Vec<Sum>,
    pub extremes: Vec<Extreme>,
    pub distincts: Vec<Distinct>,
    /// The cursors, nearest first.
    pub crossings: Vec<Crossing>,
    /// Features read before the event itself is entered, then those read after.
    reads: Vec<Read>,
    reads_before: usize,
    /// The column of the feature matrix for each read.
    pub columns: Vec<usize>,
    /// How long an event can matter: the longest window with its delay, and the allowed lateness.
    pub retention_us: i64,
    /// An entity this far behind the stream is freed.
    pub expiry_us: i64,
    /// A late event is inserted if it is no later than this.
    pub max_lateness_us: i64,
    /// The least delay of all windows: none has looked past an event that is older than the newest by less than this.
    pub delay_us: i64,
}

/// A value that is kept with every event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It comes with the event, or is computed of it.
    Value(Source),
    /// When it happened if it is fraud, else missing.
    FraudTime,
}

/// Partitions of a stream come in one beside the other, and never exactly abreast. Where every window of a kind is delayed
/// they may drift apart by this much without a trace in any feature.
const DRIFT_MAX_US: i64 = crate::time::DAY_US;

/// The cursor at "now": an event crosses it as it arrives.
pub(crate) const ARRIVAL: usize = 0;

/// A sum takes two words of a block: sums of squares need 128 bits.
pub(crate) const SUM_WORDS: usize = 2;

/// A window as a range between two cursors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub near: usize,
    pub far: usize,
    near_us: i64,
    pub far_us: i64,
}

impl Frame {
    /// Whether an event so much older than "now" is in it.
    pub fn holds_age(&self, age_us: i64) -> bool {
        (self.near_us..self.far_us).contains(&age_us)
    }
}

/// A running sum over a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum {
    pub frame: Frame,
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
    #[inline]
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
    pub frame: Frame,
    pub column: usize,
    pub greatest: bool,
}

/// The different values of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Distinct {
    pub frame: Frame,
    pub column: usize,
}

/// A cursor, and what happens to sums, extremes and distinct counts when an event crosses it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Crossing {
    /// How far behind "now" it stands.
    pub offset_us: i64,
    /// Sums of values, the most frequent ones.
    pub sums: Vec<SumStep>,
    /// Whether that is all.
    pub only_sums: bool,
    /// Sums of anything else.
    pub other_sums: Vec<(SumStep, Summand)>,
    pub distincts: Vec<DistinctStep>,
    /// Extremes, by index, of the windows that begin and that end at the cursor.
    pub extremes_in: Vec<usize>,
    pub extremes_out: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct SumStep {
    pub at: u32,
    pub column: u32,
    /// 1 where the event enters the window, -1 where it leaves.
    pub sign: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct DistinctStep {
    pub at: u32,
    pub column: u32,
    pub enters: bool,
}

/// Where a feature's value comes from.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub measure: Measure,
    pub frame: Frame,
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
    SinceFirst,
    /// Since a time that is kept with events: the least or greatest of the frame.
    SinceExtreme {
        index: usize,
    },
    /// Count (or sum) over `frame` by its length, against the same over `baseline`.
    Ratio {
        sums: Option<(usize, usize)>,
        baseline: Frame,
        lengths: f64,
    },
}

impl Plan {
    pub fn new(detector: &Detector) -> Plan {
        let levels = levels(detector);
        let mut groups: Vec<(Group, Vec<(usize, &Window)>)> = Vec::new();
        for (column, feature) in detector.features.iter().enumerate() {
            let Definition::Window(window) = &feature.definition else { continue };
            let group = Group {
                by: window.by,
                level: level_of(&feature.reads, &levels),
                condition: &window.condition,
            };
            match groups.iter_mut().find(|(known, _)| *known == group) {
                Some((_, windows)) => windows.push((column, window)),
                None => groups.push((group, vec![(column, window)])),
            }
        }
        groups.sort_by_key(|(group, _)| group.level);
        let table = |(group, windows): (Group, Vec<(usize, &Window)>)| {
            let offsets = offsets(windows.iter().map(|(_, window)| *window));
            let mut builder = TableBuilder::new(group.by, offsets);
            windows.iter().for_each(|(column, window)| builder.add(*column, window, &detector.schema));
            let needs = needs(detector, windows.iter().map(|(column, _)| *column));
            let table = builder.finish(&detector.schema);
            Arc::new(TablePlan { level: group.level, condition: group.condition.clone(), needs, ..table })
        };
        Plan { tables: groups.into_iter().map(table).collect() }
    }

    /// The tables of each level.
    pub fn levels(&self) -> impl Iterator<Item = Range<usize>> {
        let mut from = 0;
        self.tables.chunk_by(|a, b| a.level == b.level).map(move |tables| {
            from += tables.len();
            from - tables.len()..from
        })
    }
}

/// What windows have in common that one table serves.
#[derive(PartialEq)]
struct Group<'a> {
    by: usize,
    level: usize,
    condition: &'a Option<Condition>,
}

/// By column, how many levels of tables must have seen an event before its value is known.
fn levels(detector: &Detector) -> Vec<usize> {
    let mut levels = Vec::with_capacity(detector.features.len());
    for feature in &detector.features {
        let is_window = matches!(feature.definition, Definition::Window(_));
        levels.push(level_of(&feature.reads, &levels) + usize::from(is_window));
    }
    levels
}

fn level_of(reads: &[usize], levels: &[usize]) -> usize {
    reads.iter().map(|column| levels[*column]).max().unwrap_or(0)
}

/// What must be computed, left to right, before all that some columns read is known; windows are no part of it.
fn needs(detector: &Detector, columns: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut needed = BTreeSet::new();
    let mut waiting: Vec<usize> =
        columns.flat_map(|column| detector.features[column].reads.clone()).collect();
    while let Some(column) = waiting.pop() {
        let feature = &detector.features[column];
        if !matches!(feature.definition, Definition::Window(_)) && needed.insert(column) {
            waiting.extend(&feature.reads);
        }
    }
    needed.into_iter().collect()
}

/// Where the windows begin and end, and now.
fn offsets<'a>(windows: impl Iterator<Item = &'a Window>) -> Vec<i64> {
    let ends = |window: &Window| {
        let baseline_us = window.baseline_us.unwrap_or(window.window_us);
        [window.delay_us, window.delay_us + window.window_us, window.delay_us + baseline_us]
    };
    let mut offsets: Vec<i64> = windows.flat_map(ends).chain([0]).collect();
    offsets.sort_unstable();
    offsets.dedup();
    offsets
}

impl TablePlan {
    /// Words that an event takes in the ring.
    #[inline]
    pub fn entry_words(&self) -> usize {
        self.entry_words
    }

    /// The features read before the event itself is entered, and those read after.
    #[inline]
    pub fn reads(&self) -> (&[Read], &[Read]) {
        self.reads.split_at(self.reads_before)
    }

    /// Words of an entity's block: its cursors, then its sums.
    #[inline]
    pub fn block_words(&self) -> usize {
        self.crossings.len() + self.sums.len() * SUM_WORDS
    }

    /// Where among the values that are kept of an event the text of this slot stands, told apart by its hash.
    pub fn columns_of_text(&self, slot: usize) -> impl Iterator<Item = usize> {
        let is_it = move |kept: &Kept| matches!(kept, Kept::Value(Source::Text(found)) if *found == slot);
        self.sources.iter().enumerate().filter(move |(_, kept)| is_it(kept)).map(|(column, _)| column)
    }

    /// What is kept of a row besides its time: values in the order of `sources`, then the position if it is needed.
    /// `computed` are those of [`TablePlan::computed`].
    #[inline]
    pub fn read_values(
        &self,
        batch: &EventBatch,
        row: usize,
        sequence: i64,
        computed: &[i64],
        values: &mut Vec<i64>,
    ) {
        values.clear();
        values.extend(self.sources.iter().map(|kept| stored_value(*kept, batch, row)));
        values.extend(self.label_column.map(|_| sequence));
        self.computed.iter().zip(computed).for_each(|((at, _), value)| values[*at] = *value);
    }

    /// Whether what it keeps of an event depends on more than the event's fields.
    pub fn is_dependent(&self) -> bool {
        self.condition.is_some() || !self.computed.is_empty()
    }

    /// The values that change as an event at `time_us` turns out to be fraud or not: positions and values.
    pub fn learnt(&self, time_us: i64, fraud: bool) -> impl Iterator<Item = (usize, i64)> {
        let label = self.label_column.map(|at| (at, i64::from(fraud)));
        let time = self.fraud_time_column.map(|at| (at, fraud_time(time_us, fraud)));
        label.into_iter().chain(time)
    }
}

fn fraud_time(time_us: i64, fraud: bool) -> i64 {
    if fraud { time_us } else { MISSING }
}

/// A computed number as it is kept, in millionths. What is beyond a thousand million counts as that.
pub(crate) fn stored_number(number: f64) -> i64 {
    if number.is_nan() {
        MISSING
    } else {
        (number.clamp(-NUMBER_MAX, NUMBER_MAX) * NUMBER_SCALE).round() as i64
    }
}

const NUMBER_MAX: f64 = 1e9;

fn stored_value(kept: Kept, batch: &EventBatch, row: usize) -> i64 {
    let fraud = || batch.label(row) == Label::Fraud;
    let Kept::Value(source) = kept else { return fraud_time(batch.time_us(row), fraud()) };
    match source {
        // Put in its place afterwards.
        Source::Feature(_) => MISSING,
        Source::Amount => batch.amount_minor(row),
        Source::Label => i64::from(fraud()),
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
pub(crate) fn text_value(text: &str) -> i64 {
    let value = crate::process::hash_text(text) as i64;
    if value == MISSING { 0 } else { value }
}

fn scale(source: Option<Source>, schema: &Schema) -> f64 {
    match source {
        Some(Source::Amount) => schema.minor_per_unit(),
        Some(Source::Number(_) | Source::Feature(_)) => NUMBER_SCALE,
        _ => 1.0,
    }
}

struct TableBuilder {
    by: usize,
    offsets: Vec<i64>,
    sources: Vec<Kept>,
    sums: Vec<Sum>,
    extremes: Vec<Extreme>,
    distincts: Vec<Distinct>,
    /// The least delay so far.
    delay_us: i64,
    /// With the columns of the feature matrix.
    reads_before: Vec<(usize, Read)>,
    reads_after: Vec<(usize, Read)>,
}

fn intern<T: PartialEq>(items: &mut Vec<T>, item: T) -> usize {
    items.iter().position(|known| *known == item).unwrap_or_else(|| {
        items.push(item);
        items.len() - 1
    })
}

impl TableBuilder {
    fn new(by: usize, offsets: Vec<i64>) -> Self {
        TableBuilder {
            by,
            offsets,
            sources: Vec::new(),
            sums: Vec::new(),
            extremes: Vec::new(),
            distincts: Vec::new(),
            delay_us: i64::MAX,
            reads_before: Vec::new(),
            reads_after: Vec::new(),
        }
    }

    fn frame(&self, delay_us: i64, window_us: i64) -> Frame {
        let (near_us, far_us) = (delay_us, delay_us + window_us);
        let cursor = |offset: i64| self.offsets.binary_search(&offset).expect("every end has a cursor");
        Frame { near: cursor(near_us), far: cursor(far_us), near_us, far_us }
    }

    fn add(&mut self, column: usize, window: &Window, schema: &Schema) {
        let frame = self.frame(window.delay_us, window.window_us);
        self.delay_us = self.delay_us.min(window.delay_us);
        let source = window.of.map(|source| intern(&mut self.sources, Kept::Value(source)));
        let measure = self.measure(window, frame, source, schema);
        let read = Read { measure, frame, scale: scale(window.of, schema), empty: window.empty };
        if window.exclude_current || window.aggregate.looks_at_previous() {
            self.reads_before.push((column, read));
        } else {
            self.reads_after.push((column, read));
        }
    }

    fn measure(&mut self, window: &Window, frame: Frame, column: Option<usize>, schema: &Schema) -> Measure {
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
            (Aggregate::TimeSinceLast, None) => Measure::SinceLast,
            (Aggregate::TimeSinceFirst, None) => Measure::SinceFirst,
            (Aggregate::TimeSinceLast | Aggregate::TimeSinceFirst, Some(_)) => {
                let column = intern(&mut self.sources, Kept::FraudTime);
                let greatest = window.aggregate == Aggregate::TimeSinceLast;
                Measure::SinceExtreme {
                    index: intern(&mut self.extremes, Extreme { frame, column, greatest }),
                }
            }
            (Aggregate::RateRatio, column) => self.ratio(window, frame, column),
            _ => Measure::Count,
        }
    }

    fn ratio(&mut self, window: &Window, frame: Frame, column: Option<usize>) -> Measure {
        let baseline_us = window.baseline_us.unwrap_or(window.window_us);
        let baseline = self.frame(window.delay_us, baseline_us);
        let sums = column.map(|column| {
            (self.sum(frame, column, Summand::Value), self.sum(baseline, column, Summand::Value))
        });
        Measure::Ratio { sums, baseline, lengths: baseline_us as f64 / window.window_us as f64 }
    }

    fn sum(&mut self, frame: Frame, column: usize, of: Summand) -> usize {
        intern(&mut self.sums, Sum { frame, column, of })
    }

    fn crossings(&self) -> Vec<Crossing> {
        let crossing = |offset_us: &i64| Crossing { offset_us: *offset_us, ..Crossing::default() };
        let mut crossings: Vec<Crossing> = self.offsets.iter().map(crossing).collect();
        for (index, Sum { frame, column, of }) in self.sums.iter().enumerate() {
            for (cursor, sign) in [(frame.near, 1), (frame.far, -1)] {
                let step = SumStep { at: index as u32, column: *column as u32, sign };
                match of {
                    Summand::Value => crossings[cursor].sums.push(step),
                    _ => crossings[cursor].other_sums.push((step, *of)),
                }
            }
        }
        for (at, Distinct { frame, column }) in self.distincts.iter().enumerate() {
            let step = |enters| DistinctStep { at: at as u32, column: *column as u32, enters };
            crossings[frame.near].distincts.push(step(true));
            crossings[frame.far].distincts.push(step(false));
        }
        for (index, Extreme { frame, .. }) in self.extremes.iter().enumerate() {
            crossings[frame.near].extremes_in.push(index);
            crossings[frame.far].extremes_out.push(index);
        }
        for crossing in &mut crossings {
            crossing.only_sums = crossing.other_sums.is_empty() && crossing.distincts.is_empty();
        }
        crossings
    }

    fn finish(self, schema: &Schema) -> TablePlan {
        let position = |kept: Kept| self.sources.iter().position(|source| *source == kept);
        let (label_column, fraud_time_column) =
            (position(Kept::Value(Source::Label)), position(Kept::FraudTime));
        let computed = self.sources.iter().enumerate().filter_map(|(at, kept)| match kept {
            Kept::Value(Source::Feature(column)) => Some((at, *column)),
            _ => None,
        });
        let computed = computed.collect();
        let max_lateness_us = schema.max_lateness_us.max(self.delay_us.min(DRIFT_MAX_US));
        let retention_us = self.offsets.last().copied().unwrap_or(0) + max_lateness_us;
        let crossings = self.crossings();
        let reads_before = self.reads_before.len();
        let (columns, reads) = self.reads_before.into_iter().chain(self.reads_after).unzip();
        TablePlan {
            name: schema.text_name(self.by).to_string(),
            by: self.by,
            level: 0,
            condition: None,
            needs: Vec::new(),
            computed,
            label_column,
            fraud_time_column,
            entry_words: 1 + self.sources.len() + usize::from(label_column.is_some()),
            sources: self.sources,
            sums: self.sums,
            extremes: self.extremes,
            distincts: self.distincts,
            crossings,
            reads,
            reads_before,
            columns,
            retention_us,
            // One event dated ahead, within what is allowed, must not cost the quiet entities their past.
            expiry_us: retention_us + schema.max_time_jump_us,
            max_lateness_us,
            delay_us: self.delay_us,
        }
    }
}

/// Whether events may lack the value: then a mean needs the number of those that have it.
fn nullable(source: Option<Source>, schema: &Schema) -> bool {
    match source {
        Some(Source::Feature(_)) => true,
        Some(Source::Number(slot)) => schema.fields.iter().any(|field| {
            field.optional && matches!(&field.kind, FieldKind::Number { slot: s } | FieldKind::Bool { slot: s } if *s == slot)
        }),
        _ => false,
    }
}
