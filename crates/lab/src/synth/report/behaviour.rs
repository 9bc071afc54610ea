//! What generators of single rows fail at: who does what after what.
//!
//! The real events are cut in two halves of the same length by time; the synthetic events are taken for as long. Each is looked
//! at by itself, so all three begin without a past. A measure is the distance of the first real half to the synthetic part,
//! divided by its distance to the second real half: near 1, the synthetic part is as like the real one as the real one is like
//! itself. So that two halves which are alike by luck do not make the ratio large, the divisor is no less than what chance alone
//! makes of as many events: 0.87 / sqrt(n m / (n + m)) for two distributions (the mean of Kolmogorov's distribution), 0.8
//! standard errors for shares and counts (the mean size of a normal error).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use engine::detector::{Definition, Detector};
use engine::time::DAY_US;
use serde::Serialize;

use super::history::{History, observe};
use super::privacy::quantile;
use super::sample::{Sample, draw};
use super::shapes::{ks_distance, mean};
use crate::synth::table::{Column, Kind};

const MINUTE_US: i64 = 60_000_000;
/// Events of an entity within the window that make a burst.
const BURST_EVENTS: usize = 3;
/// Customers of whom it is counted with whom they share places.
const CUSTOMERS_ASKED: usize = 1_000;
/// Places that nearly everybody visits link nobody; those with more customers are passed over when pairs are counted.
const PLACE_CUSTOMERS_MAX: usize = 1_000;
/// New customers of a place within a day that are many.
const NEW_CUSTOMERS: usize = 3;
/// Events of a half that are the least to say anything.
const ROWS_MIN: usize = 50;

/// One measure.
#[derive(Debug, Clone, Serialize)]
pub struct Measure {
    /// What it belongs to.
    pub group: String,
    /// What it is.
    pub name: String,
    /// Which distance is taken.
    pub distance_is: &'static str,
    /// What is shown of the figures: "median, s", "share".
    pub unit: &'static str,
    /// The first real half.
    pub real: f64,
    /// The second real half.
    pub real_other: f64,
    /// The synthetic part.
    pub synthetic: f64,
    /// From the first real half to the synthetic part.
    pub distance: f64,
    /// From the first real half to the second, or what chance makes.
    pub noise: f64,
    /// One by the other: 1 is as good as real.
    pub ratio: f64,
}

/// All measures.
#[derive(Debug, Clone, Serialize)]
pub struct Behaviour {
    /// The geometric mean of the groups' ratios, those below 1 counted as 1: nothing is better than as good as real.
    pub ratio: f64,
    /// For each group the mean ratio of its measures.
    pub groups: BTreeMap<String, f64>,
    /// One by one.
    pub measures: Vec<Measure>,
    /// What was compared with what.
    pub halves: String,
    /// Times between events in seconds, for drawing: first half, second half, synthetic.
    #[serde(skip)]
    pub gaps_s: [Vec<f64>; 3],
}

/// The three that are compared: first real half, second real half, synthetic.
type Three<T> = [T; 3];

/// One of them, in the order of time.
struct Part {
    events: Sample,
    /// Numbers of the key entity.
    keys: Vec<u64>,
    times_us: Vec<i64>,
    start_us: i64,
    history: History,
}

impl Part {
    fn of(sample: &Sample, rows: &[usize], detector: &Arc<Detector>, key: &str) -> Option<Part> {
        let mut rows = rows.to_vec();
        rows.sort_by_key(|row| sample.table.times_us[*row]);
        let known = &sample.table.column(key)?.values;
        rows.retain(|row| !known[*row].is_nan());
        let events = sample.select(&rows);
        let keys = rows.iter().map(|row| known[*row] as u64).collect();
        let times_us: Vec<i64> = rows.iter().map(|row| sample.table.times_us[*row]).collect();
        let history = observe(detector, &[events.events.as_ref()?]);
        Some(Part { start_us: *times_us.first()?, keys, times_us, history, events })
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    /// The places in time of each entity's events.
    fn by_entity(&self) -> BTreeMap<u64, Vec<i64>> {
        let mut times: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        self.keys
            .iter()
            .zip(&self.times_us)
            .for_each(|(key, time)| times.entry(*key).or_default().push(*time));
        times
    }

    fn day(&self, time_us: i64) -> i64 {
        (time_us - self.start_us) / DAY_US
    }
}

/// Measures what entities do.
///
/// # Errors
/// If the detector has no key, or there are too few events.
pub fn behaviour(
    real: &Sample,
    synthetic: &Sample,
    detector: &Arc<Detector>,
    seed: u64,
) -> Result<Behaviour> {
    let schema = &detector.schema;
    let key = schema
        .key
        .map(|slot| schema.text_name(slot))
        .context("the detector has no key: rows have no history")?;
    let (parts, halves) = three(real, synthetic, detector, key)?;
    let by_entity = parts.each_ref().map(Part::by_entity);
    let gaps_s = by_entity.each_ref().map(gaps_s);
    let mut measures =
        vec![distribution("times between events", format!("of a {key}"), "median, s", &gaps_s)];
    measures.extend(bursts(&parts, &by_entity));
    measures.extend(activity(&parts, &by_entity));
    let places = parts[0]
        .events
        .table
        .columns
        .iter()
        .filter(|column| column.kind == Kind::Entity && column.name != key);
    for place in places.map(|column| column.name.clone()).collect::<Vec<_>>() {
        measures.extend(motifs(&parts, &place, seed));
    }
    measures.extend(velocity(&parts, detector));
    measures.retain(|measure| !measure.ratio.is_nan());
    let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    measures.iter().for_each(|measure| groups.entry(measure.group.clone()).or_default().push(measure.ratio));
    let groups: BTreeMap<String, f64> =
        groups.into_iter().map(|(group, ratios)| (group, average(&ratios))).collect();
    let logs: f64 = groups.values().map(|ratio| libm::log(ratio.max(1.0))).sum();
    let ratio = libm::exp(logs / groups.len().max(1) as f64);
    Ok(Behaviour { ratio, groups, measures, halves, gaps_s })
}

fn three(
    real: &Sample,
    synthetic: &Sample,
    detector: &Arc<Detector>,
    key: &str,
) -> Result<(Three<Part>, String)> {
    let ends = |sample: &Sample| {
        let times = &sample.table.times_us;
        let first = times.iter().copied().min().unwrap_or(0);
        (first, times.iter().copied().max().unwrap_or(0))
    };
    let ((first, last), (made_first, made_last)) = (ends(real), ends(synthetic));
    let length = (last - first) / 2 + 1;
    let within = |sample: &Sample, from: i64| -> Vec<usize> {
        let times = &sample.table.times_us;
        (0..times.len()).filter(|row| (from..from + length).contains(&times[*row])).collect()
    };
    let cut = |sample: &Sample, from: i64| {
        let rows = within(sample, from);
        let part = (rows.len() >= ROWS_MIN).then(|| Part::of(sample, &rows, detector, key)).flatten();
        part.filter(|part| part.len() >= ROWS_MIN)
    };
    let few = "there are fewer than 50 events in a half of the time";
    let parts = [
        cut(real, first).context(few)?,
        cut(real, first + length).context(few)?,
        cut(synthetic, made_first)
            .context("there are fewer than 50 synthetic events for as long as half of the real time")?,
    ];
    ensure!(length > 1, "all events happen at one time");
    let days = |us: i64| us as f64 / DAY_US as f64;
    let mut halves = format!(
        "the first {:.1} days of the real events against the {:.1} days after them, and against the first {:.1} days of the \
         synthetic events, each without a past",
        days(length),
        days(length),
        days(length.min(made_last - made_first + 1))
    );
    if made_last - made_first + 1 < length {
        halves += "; the synthetic events do not last as long";
    }
    Ok((parts, halves))
}

fn gaps_s(by_entity: &BTreeMap<u64, Vec<i64>>) -> Vec<f64> {
    let pairs = by_entity.values().flat_map(|times| times.windows(2));
    pairs.map(|pair| (pair[1] - pair[0]) as f64 / 1e6).collect()
}

/// Of distributions: the Kolmogorov-Smirnov distance; their medians are shown.
fn distribution(group: &str, name: String, unit: &'static str, values: &Three<Vec<f64>>) -> Measure {
    let [a, b, made] = values;
    let chance = 0.87 * (1.0 / a.len().max(1) as f64 + 1.0 / made.len().max(1) as f64).sqrt();
    let shown = values
        .each_ref()
        .map(|values| if unit.starts_with("mean") { average(values) } else { quantile(values, 0.5) });
    let (distance, other) = (ks_distance(a, made), ks_distance(a, b));
    measure(group, name, ("KS distance", unit), shown, distance, other.max(chance))
}

/// The mean of what is known.
fn average(values: &[f64]) -> f64 {
    mean(values.iter().copied())
}

/// Of shares: their difference.
fn share(group: &str, name: String, counts: Three<(usize, usize)>) -> Measure {
    let shares = counts.map(|(count, of)| count as f64 / of as f64);
    let error = |(count, of): (usize, usize)| {
        let share = (count as f64 + 1.0) / (of as f64 + 2.0);
        share * (1.0 - share) / of.max(1) as f64
    };
    let chance = 0.8 * (error(counts[0]) + error(counts[2])).sqrt();
    let (distance, other) = ((shares[0] - shares[2]).abs(), (shares[0] - shares[1]).abs());
    measure(group, name, ("difference", "share"), shares, distance, other.max(chance))
}

/// Of counts: the difference of their logarithms.
fn count(group: &str, name: String, counts: Three<usize>) -> Measure {
    let log = |count: usize| libm::log(count.max(1) as f64);
    let chance = 0.8 * (1.0 / counts[0].max(1) as f64 + 1.0 / counts[2].max(1) as f64).sqrt();
    let (distance, other) =
        ((log(counts[0]) - log(counts[2])).abs(), (log(counts[0]) - log(counts[1])).abs());
    measure(
        group,
        name,
        ("log ratio", "events"),
        counts.map(|count| count as f64),
        distance,
        other.max(chance),
    )
}

fn measure(
    group: &str,
    name: String,
    (distance_is, unit): (&'static str, &'static str),
    [real, real_other, synthetic]: Three<f64>,
    distance: f64,
    noise: f64,
) -> Measure {
    Measure {
        group: group.to_string(),
        name,
        distance_is,
        unit,
        real,
        real_other,
        synthetic,
        distance,
        noise,
        ratio: distance / noise,
    }
}

/// Three events of an entity within ten minutes, and within an hour; and the most there were.
fn bursts(parts: &Three<Part>, by_entity: &Three<BTreeMap<u64, Vec<i64>>>) -> Vec<Measure> {
    let windows = [(10, "within ten minutes"), (60, "within an hour")];
    let mut measures = Vec::new();
    for (minutes, words) in windows {
        let sizes = by_entity.each_ref().map(|times| burst_sizes(times, minutes * MINUTE_US));
        let many = [0, 1, 2]
            .map(|at| (sizes[at].iter().filter(|size| **size >= BURST_EVENTS).count(), parts[at].len()));
        measures.push(share("bursts", format!("events that are the third or a later one {words}"), many));
        let most = sizes.map(|sizes| sizes.into_iter().max().unwrap_or(0));
        measures.push(count("bursts", format!("the largest burst {words}"), most));
    }
    measures
}

/// For each event how many of its entity lie within the window that ends with it.
fn burst_sizes(by_entity: &BTreeMap<u64, Vec<i64>>, window_us: i64) -> Vec<usize> {
    let mut sizes = Vec::new();
    for times in by_entity.values() {
        let mut oldest = 0;
        for (at, time) in times.iter().enumerate() {
            while times[oldest] <= time - window_us {
                oldest += 1;
            }
            sizes.push(at - oldest + 1);
        }
    }
    sizes
}

/// How much an entity does in a day, on how many days, and in all.
fn activity(parts: &Three<Part>, by_entity: &Three<BTreeMap<u64, Vec<i64>>>) -> [Measure; 3] {
    let group = "activity";
    let days = |at: usize| -> Vec<Vec<f64>> {
        let of = |times: &Vec<i64>| -> Vec<f64> {
            let days: Vec<i64> = times.iter().map(|time| parts[at].day(*time)).collect();
            days.chunk_by(|a, b| a == b).map(|day| day.len() as f64).collect()
        };
        by_entity[at].values().map(of).collect()
    };
    let days = [0, 1, 2].map(days);
    let on_a_day = days.each_ref().map(|days| days.concat());
    let active = days.each_ref().map(|days| days.iter().map(|days| days.len() as f64).collect());
    let in_all = by_entity.each_ref().map(|times| times.values().map(|times| times.len() as f64).collect());
    [
        distribution(group, "events of an entity on a day that has any".to_string(), "mean", &on_a_day),
        distribution(group, "days on which an entity does anything".to_string(), "mean", &active),
        distribution(group, "events of an entity".to_string(), "mean", &in_all),
    ]
}

/// Who meets where: places are what the detector's second entity names, customers its key.
fn motifs(parts: &Three<Part>, place: &str, seed: u64) -> Vec<Measure> {
    let group = "shared places";
    let visits =
        parts.each_ref().map(|part| part.events.table.column(place).map(|column| Visits::of(part, column)));
    let [Some(a), Some(b), Some(made)] = visits else { return Vec::new() };
    let visits = [a, b, made];
    let customers =
        visits.each_ref().map(|visits| visits.places.values().map(|all| all.len() as f64).collect());
    let places =
        visits.each_ref().map(|visits| visits.customers.values().map(|all| all.len() as f64).collect());
    let partners = visits.each_ref().map(|visits| visits.partners(seed));
    vec![
        distribution(group, format!("customers of a {place}"), "mean", &customers),
        distribution(group, format!("{place}s of a customer"), "mean", &places),
        distribution(group, format!("customers who share two or more {place}s with one"), "mean", &partners),
        share(
            group,
            format!("events at a {place} where the customer was before"),
            visits.each_ref().map(|v| v.returns),
        ),
        share(
            group,
            format!("{place}s' days with three or more new customers"),
            visits.each_ref().map(|v| v.rushes),
        ),
    ]
}

/// Who was where.
struct Visits {
    /// The customers of each place.
    places: BTreeMap<u64, BTreeSet<u64>>,
    /// The places of each customer.
    customers: BTreeMap<u64, BTreeSet<u64>>,
    /// Events at a place where the customer was before, of all.
    returns: (usize, usize),
    /// Days of places with many new customers, of all days of places that had an event.
    rushes: (usize, usize),
}

impl Visits {
    fn of(part: &Part, column: &Column) -> Visits {
        let mut visits =
            Visits { places: BTreeMap::new(), customers: BTreeMap::new(), returns: (0, 0), rushes: (0, 0) };
        let mut new_on_day: HashMap<(u64, i64), usize> = HashMap::new();
        for (row, customer) in part.keys.iter().enumerate().filter(|(row, _)| !column.values[*row].is_nan()) {
            let place = column.values[row] as u64;
            let is_new = visits.places.entry(place).or_default().insert(*customer);
            visits.customers.entry(*customer).or_default().insert(place);
            visits.returns.0 += usize::from(!is_new);
            visits.returns.1 += 1;
            *new_on_day.entry((place, part.day(part.times_us[row]))).or_default() += usize::from(is_new);
        }
        visits.rushes = (new_on_day.values().filter(|new| **new >= NEW_CUSTOMERS).count(), new_on_day.len());
        visits
    }

    /// For some customers, how many others share at least two places with them.
    fn partners(&self, seed: u64) -> Vec<f64> {
        let all: Vec<(&u64, &BTreeSet<u64>)> = self.customers.iter().collect();
        let of = |at: usize| {
            let (customer, places) = all[at];
            let mut shared: HashMap<u64, usize> = HashMap::new();
            let known = places.iter().map(|place| &self.places[place]);
            for others in known.filter(|others| others.len() <= PLACE_CUSTOMERS_MAX) {
                others
                    .iter()
                    .filter(|other| *other != customer)
                    .for_each(|other| *shared.entry(*other).or_default() += 1);
            }
            shared.values().filter(|places| **places >= 2).count() as f64
        };
        draw(all.len(), CUSTOMERS_ASKED, seed, 51).into_iter().map(of).collect()
    }
}

/// What the detector's windows see: for each kind of entity how the values are distributed, and how often they are above the
/// first half's 99th percentile; and how often rules fire.
fn velocity(parts: &Three<Part>, detector: &Detector) -> Vec<Measure> {
    let taken = parts.each_ref().map(|part| part.history.taken.iter().filter(|taken| **taken).count());
    let mut measures = Vec::new();
    for (at, feature) in detector.features.iter().enumerate() {
        let Definition::Window(window) = &feature.definition else { continue };
        let by = detector.schema.text_name(window.by);
        let limit = quantile(&parts[0].history.features[at], 0.99);
        if limit.is_nan() {
            continue;
        }
        let values = parts.each_ref().map(|part| part.history.features[at].clone());
        measures.push(distribution(&format!("history by {by}"), feature.name.clone(), "mean", &values));
        let above = |part: usize| (values[part].iter().filter(|value| **value > limit).count(), taken[part]);
        let name = format!("{} above {}", feature.name, crate::compare::short(limit));
        measures.push(share(&format!("velocity by {by}"), name, [0, 1, 2].map(above)));
    }
    measures.sort_by(|a, b| a.group.cmp(&b.group));
    for (at, rule) in detector.rules.iter().enumerate() {
        let fired = [0, 1, 2].map(|part| (parts[part].history.fired[at], taken[part]));
        measures.push(share("velocity: rules", format!("rule {} fires", rule.name), fired));
    }
    measures
}
