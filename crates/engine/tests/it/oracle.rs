//! Features straight from their definition: for each event, look at everything that came before. Quadratic, plain, and
//! without a line in common with the engine.

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
    /// `amount`, `label`, `x`, `kind`, `shop`, or nothing.
    pub of: &'static str,
    pub window_s: i64,
    pub delay_s: i64,
    pub baseline_s: i64,
    pub exclude_current: bool,
    pub empty: Option<f64>,
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
        if !spec.of.is_empty() {
            writeln!(text, "of = \"{}\"", spec.of).unwrap();
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

/// Everything seen so far. `entered[kind]` lists the events that are part of an entity's past, by index.
pub struct Oracle<'a> {
    specs: &'a [Spec],
    pub events: Vec<Event>,
    stream_s: Option<i64>,
    entered: [Vec<usize>; 2],
}

impl<'a> Oracle<'a> {
    pub fn new(specs: &'a [Spec]) -> Self {
        Oracle { specs, events: Vec::new(), stream_s: None, entered: [Vec::new(), Vec::new()] }
    }

    /// The fate of the next event and its features.
    pub fn observe(&mut self, event: &Event) -> (Fate, Vec<f64>) {
        let index = self.events.len();
        self.events.push(event.clone());
        let mut features = vec![f64::NAN; self.specs.len()];
        if self.stream_s.is_some_and(|stream| event.time_s > stream + JUMP_S) {
            return (Fate::TimeJump, features);
        }
        self.stream_s = Some(self.stream_s.map_or(event.time_s, |stream| stream.max(event.time_s)));
        let mut fate = Fate::OnTime;
        for by_shop in [false, true] {
            if self.entity(index, by_shop).is_some() && self.specs.iter().any(|spec| spec.by_shop == by_shop)
            {
                fate = fate.max(self.observe_kind(index, by_shop, &mut features));
            }
        }
        (fate, features)
    }

    fn entity(&self, index: usize, by_shop: bool) -> Option<u8> {
        if by_shop { self.events[index].shop } else { Some(self.events[index].card) }
    }

    fn observe_kind(&mut self, index: usize, by_shop: bool, features: &mut [f64]) -> Fate {
        let entity = self.entity(index, by_shop);
        let mine = |at: &usize| self.entity(*at, by_shop) == entity;
        let past: Vec<usize> = self.entered[usize::from(by_shop)].iter().copied().filter(mine).collect();
        let reach = |spec: &Spec| spec.delay_s + spec.window_s.max(spec.baseline_s_if_used());
        let longest =
            self.specs.iter().filter(|spec| spec.by_shop == by_shop).map(reach).max().unwrap_or_default();
        // What all windows are delayed by, an event may be older without having been missed by any.
        let delay = self.specs.iter().filter(|spec| spec.by_shop == by_shop).map(|spec| spec.delay_s).min();
        let delay = delay.unwrap_or_default();
        let lateness = LATENESS_S.max(delay.min(DAY_S));
        let retention = longest + lateness;
        let time = self.events[index].time_s;
        let mut newest = past.iter().map(|at| self.events[*at].time_s).max();
        // State is bounded: an entity that was quiet for so long is a new one.
        if newest.is_some_and(|newest| newest < self.stream_s.unwrap() - retention - JUMP_S) {
            let forgotten = |at: &usize| self.entity(*at, by_shop) == entity;
            let kept =
                self.entered[usize::from(by_shop)].iter().copied().filter(|at| !forgotten(at)).collect();
            self.entered[usize::from(by_shop)] = kept;
            newest = None;
        }
        // So is what is kept of an entity: only an event that is too late could tell.
        let mut visible: Vec<usize> = match newest {
            Some(newest) => {
                past.into_iter().filter(|at| self.events[*at].time_s > newest - retention).collect()
            }
            None => Vec::new(),
        };
        visible.sort_by_key(|at| (self.events[*at].time_s, *at));
        for (feature, spec) in self.specs.iter().enumerate().filter(|(_, spec)| spec.by_shop == by_shop) {
            features[feature] = self.value(spec, index, &visible);
        }
        let fate = match newest {
            Some(newest) if time < newest - lateness => return Fate::TooLate,
            Some(newest) if time < newest && time <= newest - delay => Fate::Late,
            _ => Fate::OnTime,
        };
        self.entered[usize::from(by_shop)].push(index);
        fate
    }

    /// The events of `(t - delay - window, t - delay]`, in order.
    fn window(&self, spec: &Spec, window_s: i64, index: usize, visible: &[usize]) -> Vec<usize> {
        let end = self.events[index].time_s - spec.delay_s;
        let inside = |at: &usize| {
            let time = self.events[*at].time_s;
            time > end - window_s && time <= end
        };
        let mut found: Vec<usize> = visible.iter().copied().filter(inside).collect();
        let previous = matches!(spec.aggregate, "last" | "time_since_last");
        if spec.delay_s == 0 && !spec.exclude_current && !previous {
            found.push(index);
        }
        found
    }

    fn value(&self, spec: &Spec, index: usize, visible: &[usize]) -> f64 {
        let window = self.window(spec, spec.window_s, index, visible);
        let values: Vec<i64> = window.iter().filter_map(|at| self.stored(spec.of, *at)).collect();
        let unit = match spec.of {
            "amount" => MINOR,
            "x" => MILLIONTHS,
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
            "last" => window.last().and_then(|at| self.stored(spec.of, *at)).map(|value| value as f64 / unit),
            "time_since_last" => {
                window.last().map(|at| (self.events[index].time_s - self.events[*at].time_s) as f64)
            }
            "rate_ratio" => self.rate_ratio(spec, index, visible),
            other => panic!("unknown aggregate {other}"),
        };
        let default = if spec.aggregate == "mean" { 0.0 } else { f64::NAN };
        measured.unwrap_or(spec.empty.unwrap_or(default))
    }

    fn rate_ratio(&self, spec: &Spec, index: usize, visible: &[usize]) -> Option<f64> {
        let total = |window_s: i64| {
            let window = self.window(spec, window_s, index, visible);
            match spec.of {
                "" => window.len() as i64,
                of => window.iter().filter_map(|at| self.stored(of, *at)).sum::<i64>(),
            }
        };
        let (short, long) = (total(spec.window_s) as f64, total(spec.baseline_s) as f64);
        let rate = |total: f64, window_s: i64| total / window_s as f64;
        (long != 0.0).then(|| rate(short, spec.window_s) / rate(long, spec.baseline_s))
    }

    /// The value as an integer: cents, millionths, or the number of a word.
    fn stored(&self, of: &str, at: usize) -> Option<i64> {
        let event = &self.events[at];
        match of {
            "amount" => Some(event.minor),
            "label" => Some(i64::from(event.fraud)),
            "x" => event.x.map(|tenths| tenths * 100_000),
            "kind" => event.kind.map(i64::from),
            "shop" => event.shop.map(i64::from),
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
