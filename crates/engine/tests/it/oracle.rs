//! Features straight from their definition: for each event, look at everything that came before. Quadratic, plain, and
//! without a line in common with the engine.

use std::collections::HashMap;
use std::fmt::Write as _;

/// Units in one major unit of money, and of a number.
const MINOR: f64 = 100.0;
const MILLIONTHS: f64 = 1e6;

/// What the detectors of these tests allow.
pub const LATENESS_S: i64 = 120;
pub const JUMP_S: i64 = 600;

const DAY_S: i64 = 86_400;

/// One `[[feature]]` with one window.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// By card or by shop.
    pub by_shop: bool,
    pub aggregate: &'static str,
    /// `amount`, `label`, `x`, `kind`, `shop`, `feature` (that of `base`), or nothing.
    pub of: &'static str,
    /// An earlier feature.
    pub base: usize,
    /// Which events count: those where this was above that.
    pub above: Option<(Measured, f64)>,
    pub window_s: i64,
    pub delay_s: i64,
    pub baseline_s: i64,
    pub exclude_current: bool,
    pub empty: Option<f64>,
}

/// What a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measured {
    Amount,
    /// An earlier feature.
    Feature(usize),
}

/// One transaction; the label may change as it becomes known.
#[derive(Debug, Clone, Default)]
pub struct Event {
    pub time_s: i64,
    pub card: u8,
    pub shop: Option<u8>,
    pub kind: Option<u8>,
    pub minor: i64,
    /// In tenths.
    pub x: Option<i64>,
    pub fraud: bool,
}

/// What became of an event, in the engine's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    OnTime,
    Late,
    TooLate,
    TimeJump,
}

/// The detector file of these features.
pub fn detector_text(specs: &[Spec]) -> String {
    let mut text = format!(
        "name = \"random\"\n[event]\nid = \"id\"\ntime = \"t\"\namount = \"amount\"\nkey = \"card\"\nlabel = \"fraud\"\n\
         max_lateness = \"{LATENESS_S}s\"\nmax_time_jump = \"{JUMP_S}s\"\nas_features = [\"amount\"]\n[event.fields]\n\
         shop = {{ type = \"id\", optional = true }}\nkind = {{ type = \"category\", optional = true }}\n\
         x = {{ type = \"number\", optional = true }}\n"
    );
    for (index, spec) in specs.iter().enumerate() {
        let by = if spec.by_shop { "shop" } else { "card" };
        let Spec { aggregate, window_s, .. } = spec;
        write!(text, "[[feature]]\nname = \"f{index}\"\nby = \"{by}\"\naggregate = \"{aggregate}\"\n")
            .unwrap();
        writeln!(text, "windows = [\"{window_s}s\"]\nexclude_current = {}", spec.exclude_current).unwrap();
        let column = |feature: usize| format!("f{feature}_{}s", specs[feature].window_s);
        match spec.of {
            "" => {}
            "feature" => writeln!(text, "of = \"{}\"", column(spec.base)).unwrap(),
            of => writeln!(text, "of = \"{of}\"").unwrap(),
        }
        if let Some((measured, above)) = spec.above {
            let measured = match measured {
                Measured::Amount => "amount".to_string(),
                Measured::Feature(feature) => column(feature),
            };
            writeln!(text, "where = \"{measured} > {above:?}\"").unwrap();
        }
        if spec.delay_s > 0 {
            writeln!(text, "delay = \"{}s\"", spec.delay_s).unwrap();
        }
        if spec.aggregate == "rate_ratio" {
            writeln!(text, "baseline = \"{}s\"", spec.baseline_s).unwrap();
        }
        if let Some(empty) = spec.empty {
            writeln!(
                text,
                "empty = {}",
                if empty.is_nan() { "nan".to_string() } else { format!("{empty:?}") }
            )
            .unwrap();
        }
    }
    text.push_str("[[rule]]\nname = \"dear\"\nwhen = \"amount > 5.0\"\noutcome = \"review\"\n");
    let first = format!("f0_{}s", specs[0].window_s);
    write!(text, "[[rule]]\nname = \"first\"\nwhen = \"{first} > 2.0 || is_missing({first})\"\n").unwrap();
    text.push_str("outcome = \"decline\"\n");
    text
}

/// Everything seen so far.
pub struct Oracle<'a> {
    specs: &'a [Spec],
    pub events: Vec<Event>,
    /// What was computed of each.
    features: Vec<Vec<f64>>,
    stream_s: Option<i64>,
    /// The events that are part of the past, by index, and the newest time of each entity.
    pasts: HashMap<Table, (Vec<usize>, HashMap<u8, i64>)>,
}

/// Features that look at the same events of the same kind of entity, and at nothing that is known later than for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Table {
    level: usize,
    by_shop: bool,
    /// The first feature with this condition.
    like: Option<usize>,
}

impl<'a> Oracle<'a> {
    pub fn new(specs: &'a [Spec]) -> Self {
        Oracle { specs, events: Vec::new(), features: Vec::new(), stream_s: None, pasts: HashMap::new() }
    }

    fn level(&self, spec: &Spec) -> usize {
        let base = (spec.of == "feature").then_some(spec.base);
        let measured = match spec.above {
            Some((Measured::Feature(feature), _)) => Some(feature),
            _ => None,
        };
        base.into_iter().chain(measured).map(|of| 1 + self.level(&self.specs[of])).max().unwrap_or(0)
    }

    fn table(&self, spec: &Spec) -> Table {
        let like = spec.above.and_then(|_| self.specs.iter().position(|other| other.above == spec.above));
        Table { level: self.level(spec), by_shop: spec.by_shop, like }
    }

    /// The fate of the next event and its features.
    pub fn observe(&mut self, event: &Event) -> (Fate, Vec<f64>) {
        let index = self.events.len();
        self.events.push(event.clone());
        let mut features = vec![f64::NAN; self.specs.len()];
        self.features.push(features.clone());
        if self.stream_s.is_some_and(|stream| event.time_s > stream + JUMP_S) {
            return (Fate::TimeJump, features);
        }
        self.stream_s = Some(self.stream_s.map_or(event.time_s, |stream| stream.max(event.time_s)));
        let mut fate = Fate::OnTime;
        let mut tables: Vec<Table> = self.specs.iter().map(|spec| self.table(spec)).collect();
        tables.sort_by_key(|table| table.level);
        tables.dedup();
        let mut seen = Vec::new();
        for table in tables {
            if !seen.contains(&table) && self.entity(index, table.by_shop).is_some() {
                fate = fate.max(self.observe_table(index, table, &mut features));
                self.features[index].clone_from(&features);
            }
            seen.push(table);
        }
        (fate, features)
    }

    fn entity(&self, index: usize, by_shop: bool) -> Option<u8> {
        if by_shop { self.events[index].shop } else { Some(self.events[index].card) }
    }

    fn observe_table(&mut self, index: usize, table: Table, features: &mut [f64]) -> Fate {
        let entity = self.entity(index, table.by_shop).expect("it names one");
        let own = || self.specs.iter().enumerate().filter(|(_, spec)| self.table(spec) == table);
        let reach = |spec: &Spec| spec.delay_s + spec.window_s.max(spec.baseline_s_if_used());
        let longest = own().map(|(_, spec)| reach(spec)).max().unwrap_or_default();
        // What all windows are delayed by, an event may be older without having been missed by any.
        let delay = own().map(|(_, spec)| spec.delay_s).min().unwrap_or_default();
        let lateness = LATENESS_S.max(delay.min(DAY_S));
        let retention = longest + lateness;
        let time = self.events[index].time_s;
        let enters = match own().find_map(|(_, spec)| spec.above) {
            None => true,
            Some((Measured::Amount, above)) => self.events[index].minor as f64 / MINOR > above,
            Some((Measured::Feature(feature), above)) => features[feature] > above,
        };
        let (entered, mut newest) = match self.pasts.get(&table) {
            Some((entered, newest)) => (entered.clone(), newest.get(&entity).copied()),
            None => (Vec::new(), None),
        };
        // State is bounded: an entity that was quiet for so long is a new one.
        if newest.is_some_and(|newest| newest < self.stream_s.unwrap() - retention - JUMP_S) {
            newest = None;
        }
        // So is what is kept of an entity: only an event that is too late could tell.
        let mine = |at: &usize| self.entity(*at, table.by_shop) == Some(entity);
        let kept = |at: &usize| newest.is_some_and(|newest| self.events[*at].time_s > newest - retention);
        let mut visible: Vec<usize> = entered.iter().copied().filter(|at| mine(at) && kept(at)).collect();
        visible.sort_by_key(|at| (self.events[*at].time_s, *at));
        for (feature, spec) in own() {
            features[feature] = self.value(spec, index, enters, &visible);
        }
        let fate = match newest {
            _ if !enters => Fate::OnTime,
            Some(newest) if time < newest - lateness => Fate::TooLate,
            Some(newest) if time < newest && time <= newest - delay => Fate::Late,
            _ => Fate::OnTime,
        };
        // An event that does not count moves the time of an entity that has some that do.
        let newest = match newest {
            Some(newest) => Some(newest.max(time)),
            None => enters.then_some(time),
        };
        let mut left = entered;
        left.retain(|at| !mine(at) || visible.contains(at));
        if enters && fate != Fate::TooLate {
            left.push(index);
        }
        let lives = newest.filter(|newest| {
            enters || left.iter().any(|at| mine(at) && self.events[*at].time_s > newest - retention)
        });
        left.retain(|at| !mine(at) || lives.is_some());
        let (entered, times) = self.pasts.entry(table).or_default();
        *entered = left;
        times.remove(&entity);
        times.extend(lives.map(|newest| (entity, newest)));
        fate
    }

    /// The events of `(t - delay - window, t - delay]`, in order.
    fn window(
        &self,
        spec: &Spec,
        window_s: i64,
        index: usize,
        enters: bool,
        visible: &[usize],
    ) -> Vec<usize> {
        let end = self.events[index].time_s - spec.delay_s;
        let inside = |at: &usize| {
            let time = self.events[*at].time_s;
            time > end - window_s && time <= end
        };
        let mut found: Vec<usize> = visible.iter().copied().filter(inside).collect();
        let previous = matches!(spec.aggregate, "last" | "time_since_last" | "time_since_first");
        if enters && spec.delay_s == 0 && !spec.exclude_current && !previous {
            found.push(index);
        }
        found
    }

    fn value(&self, spec: &Spec, index: usize, enters: bool, visible: &[usize]) -> f64 {
        let mut window = self.window(spec, spec.window_s, index, enters, visible);
        if spec.aggregate.starts_with("time_since") && spec.of == "label" {
            window.retain(|at| self.events[*at].fraud);
        }
        let values: Vec<i64> = window.iter().filter_map(|at| self.stored(spec, *at)).collect();
        let since = |at: &usize| (self.events[index].time_s - self.events[*at].time_s) as f64;
        let unit = match spec.of {
            "amount" => MINOR,
            "x" | "feature" => MILLIONTHS,
            _ => 1.0,
        };
        let count = values.len();
        let sum = values.iter().map(|value| i128::from(*value)).sum::<i128>();
        let measured = match spec.aggregate {
            "count" => Some(window.len() as f64),
            "sum" => Some(sum as f64 / unit),
            "mean" => (count > 0).then(|| sum as f64 / count as f64 / unit),
            "min" => values.iter().min().map(|value| *value as f64 / unit),
            "max" => values.iter().max().map(|value| *value as f64 / unit),
            "std" => (count > 1).then(|| deviation(&values) / unit),
            "distinct" => Some(distinct(values) as f64),
            "last" => window.last().and_then(|at| self.stored(spec, *at)).map(|value| value as f64 / unit),
            "time_since_last" => window.last().map(since),
            "time_since_first" => window.first().map(since),
            "rate_ratio" => self.rate_ratio(spec, index, enters, visible),
            other => panic!("unknown aggregate {other}"),
        };
        let default = if spec.aggregate == "mean" { 0.0 } else { f64::NAN };
        measured.unwrap_or(spec.empty.unwrap_or(default))
    }

    fn rate_ratio(&self, spec: &Spec, index: usize, enters: bool, visible: &[usize]) -> Option<f64> {
        let total = |window_s: i64| {
            let window = self.window(spec, window_s, index, enters, visible);
            match spec.of {
                "" => window.len() as i64,
                _ => window.iter().filter_map(|at| self.stored(spec, *at)).sum::<i64>(),
            }
        };
        let (short, long) = (total(spec.window_s) as f64, total(spec.baseline_s) as f64);
        let rate = |total: f64, window_s: i64| total / window_s as f64;
        (long != 0.0).then(|| rate(short, spec.window_s) / rate(long, spec.baseline_s))
    }

    /// The value as an integer: cents, millionths, or the number of a word.
    fn stored(&self, spec: &Spec, at: usize) -> Option<i64> {
        let event = &self.events[at];
        match spec.of {
            "amount" => Some(event.minor),
            "label" => Some(i64::from(event.fraud)),
            "x" => event.x.map(|tenths| tenths * 100_000),
            "kind" => event.kind.map(i64::from),
            "shop" => event.shop.map(i64::from),
            "feature" => {
                let value = self.features.get(at).map_or(f64::NAN, |features| features[spec.base]);
                (!value.is_nan()).then(|| (value.clamp(-1e9, 1e9) * MILLIONTHS).round() as i64)
            }
            _ => None,
        }
    }
}

impl Spec {
    fn baseline_s_if_used(&self) -> i64 {
        if self.aggregate == "rate_ratio" { self.baseline_s } else { 0 }
    }

    /// Whether the definition fixes every bit, or only the value up to the rounding of its few operations.
    pub fn is_exact(&self) -> bool {
        !matches!(self.aggregate, "mean" | "std" | "rate_ratio")
    }
}

fn distinct(mut values: Vec<i64>) -> usize {
    values.sort_unstable();
    values.dedup();
    values.len()
}

/// n Σx² - (Σx)², exactly, over n (n - 1).
fn deviation(values: &[i64]) -> f64 {
    let n = values.len() as i128;
    let sum: i128 = values.iter().map(|value| i128::from(*value)).sum();
    let squares: i128 = values.iter().map(|value| i128::from(*value) * i128::from(*value)).sum();
    ((n * squares - sum * sum) as f64 / (n * (n - 1)) as f64).sqrt()
}
