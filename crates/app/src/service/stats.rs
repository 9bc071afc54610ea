//! Figures of what happened: totals, rate, latency, scores, the last five minutes second by second.

use std::collections::VecDeque;

use hdrhistogram::Histogram;
use store::{NewRejection, Totals};

use super::metrics::durations::{Durations, LabelDelays};
use super::rejections::{REASONS, reason};

/// Seconds of the timeline.
const TIMELINE_S: usize = 300;

/// Equal bins of the score histogram over 0 to 1.
pub const SCORE_BINS: usize = 50;

/// Newest decisions that are kept for viewers.
const RECENT: usize = 100;

/// Places of the stages.
const QUEUE: usize = 0;
const DECIDE: usize = 1;
const COMMIT: usize = 2;
const TOTAL: usize = 3;

/// Latencies above this are counted as this: a minute.
const LATENCY_MAX_US: u64 = 60_000_000;

/// How long a latency counts: percentiles are of the current and the previous span.
const LATENCY_SPAN_S: i64 = 60;

/// What happened, written by the pipeline group by group, read by whoever shows it.
pub struct Stats {
    /// Totals since the database began.
    pub totals: Totals,
    /// Decisions by score, since this start.
    pub score_histogram: Vec<u64>,
    /// Sum of all scores, since this start.
    pub score_sum: f64,
    /// Times of decisions since this start: in the queue, deciding, committing, and in all.
    pub stages: [Durations; 4],
    /// How late labels came, since this start.
    pub label_delays: LabelDelays,
    /// Rejections since this start, by their reasons in [`REASONS`].
    pub rejections: [u64; REASONS.len()],
    /// Seconds, oldest first.
    pub timeline: VecDeque<Second>,
    /// Newest decisions, newest last, with their number since this start.
    pub recent: VecDeque<(u64, String)>,
    /// Decisions since this start.
    pub decided: u64,
    /// Answers since this start that were given when the deadline had passed.
    pub fallbacks: u64,
    /// Newest event time.
    pub stream_us: Option<i64>,
    latency: Latencies,
    commits: Latencies,
}

/// Times of the last one to two minutes.
struct Latencies {
    current: Histogram<u64>,
    before: Histogram<u64>,
    since_s: i64,
}

/// What happened in one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Second {
    /// Seconds since 1970.
    pub at_s: i64,
    /// Decisions.
    pub decisions: u64,
    /// Of them in review.
    pub in_review: u64,
    /// Of them declined.
    pub declined: u64,
    /// Labels that say fraud.
    pub labelled_fraud: u64,
}

/// Percentiles of the time from receipt to the answer, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct LatencyUs {
    /// Answers counted.
    pub count: u64,
    /// Percentiles 50, 90, 99, 99.9 and the greatest.
    pub percentiles: [u64; 5],
}

impl Stats {
    /// Figures that begin with the totals of an earlier run and the newest event time of the log.
    pub fn new(totals: Totals, stream_us: Option<i64>) -> Stats {
        Stats {
            totals,
            score_histogram: vec![0; SCORE_BINS],
            score_sum: 0.0,
            stages: [Durations::default(); 4],
            label_delays: LabelDelays::default(),
            rejections: [0; REASONS.len()],
            timeline: VecDeque::with_capacity(TIMELINE_S),
            recent: VecDeque::with_capacity(RECENT),
            decided: 0,
            fallbacks: 0,
            stream_us,
            latency: Latencies::new(),
            commits: Latencies::new(),
        }
    }

    /// The entry of the second `now_s`; seconds without events before it are entered as such.
    pub fn second(&mut self, now_s: i64) -> &mut Second {
        let last_s = self.timeline.back().map_or(now_s - 1, |second| second.at_s);
        for at_s in (last_s + 1).max(now_s - TIMELINE_S as i64 + 1)..=now_s {
            if self.timeline.len() == TIMELINE_S {
                self.timeline.pop_front();
            }
            self.timeline.push_back(Second { at_s, ..Second::default() });
        }
        // A clock that was set back counts into the newest second.
        self.timeline.back_mut().expect("the loop or an earlier call has entered a second")
    }

    /// Counts a score.
    pub fn count_score(&mut self, score: f64) {
        if score.is_finite() {
            self.score_histogram[((score * SCORE_BINS as f64) as usize).min(SCORE_BINS - 1)] += 1;
            self.score_sum += score;
        }
    }

    /// Keeps a decision, as JSON, for viewers.
    pub fn keep_recent(&mut self, json: &str) {
        self.decided += 1;
        let mut text = match self.recent.len() {
            RECENT => self.recent.pop_front().map(|(_, text)| text).unwrap_or_default(),
            _ => String::new(),
        };
        text.clear();
        text.push_str(json);
        self.recent.push_back((self.decided, text));
    }

    /// Counts the time from receipt to answer.
    pub fn count_latency(&mut self, latency_us: u64, now_s: i64) {
        self.stages[TOTAL].observe(latency_us, 1);
        self.latency.count(latency_us, 1, now_s);
    }

    /// Counts the time that the store took for a group.
    pub fn count_commit(&mut self, commit_us: u64, now_s: i64) {
        self.commits.count(commit_us, 1, now_s);
    }

    /// Counts the stages of a group of `decisions`: how long each of its requests waited, how long deciding and storing took.
    pub fn count_stages(
        &mut self,
        waited_us: impl Iterator<Item = u64>,
        decide_us: u64,
        commit_us: u64,
        decisions: u64,
    ) {
        waited_us.for_each(|us| self.stages[QUEUE].observe(us, 1));
        self.stages[DECIDE].observe(decide_us, decisions);
        self.stages[COMMIT].observe(commit_us, decisions);
    }

    /// Counts decisions that went together: how long they waited, were decided, and took in all.
    pub fn count_together(&mut self, us: [u64; 3], decisions: u64, now_s: i64) {
        for (stage, us) in [QUEUE, DECIDE, TOTAL].into_iter().zip(us) {
            self.stages[stage].observe(us, decisions);
        }
        self.latency.count(us[2], decisions, now_s);
    }

    /// Counts the time that Kafka took to commit a transaction of so many decisions.
    pub fn count_transaction(&mut self, commit_us: u64, decisions: u64) {
        self.stages[COMMIT].observe(commit_us, decisions);
    }

    /// Counts rejections by why they were.
    pub fn count_rejections(&mut self, rejections: &[NewRejection]) {
        rejections.iter().for_each(|rejection| self.rejections[reason(&rejection.reason)] += 1);
    }

    /// The figures alone, without what is kept for viewers.
    pub fn clone_figures(&self) -> Stats {
        Stats {
            score_histogram: self.score_histogram.clone(),
            score_sum: self.score_sum,
            stages: self.stages,
            label_delays: self.label_delays,
            rejections: self.rejections,
            decided: self.decided,
            fallbacks: self.fallbacks,
            ..Stats::new(self.totals, self.stream_us)
        }
    }

    /// Percentiles of the last one to two minutes.
    pub fn latency(&self) -> LatencyUs {
        self.latency.percentiles()
    }

    /// The same of the store's times.
    pub fn commits(&self) -> LatencyUs {
        self.commits.percentiles()
    }

    /// Mean decisions a second over the last five whole seconds.
    pub fn rate_per_second(&self, now_s: i64) -> f64 {
        let counted = self.timeline.iter().rev().filter(|second| (now_s - 5..now_s).contains(&second.at_s));
        counted.map(|second| second.decisions).sum::<u64>() as f64 / 5.0
    }
}

impl Latencies {
    fn new() -> Latencies {
        let histogram =
            || Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("bounds and three digits are valid");
        Latencies { current: histogram(), before: histogram(), since_s: 0 }
    }

    fn count(&mut self, us: u64, times: u64, now_s: i64) {
        if now_s - self.since_s >= LATENCY_SPAN_S {
            std::mem::swap(&mut self.current, &mut self.before);
            self.current.reset();
            self.since_s = now_s;
        }
        self.current.saturating_record_n(us.max(1), times);
    }

    fn percentiles(&self) -> LatencyUs {
        let mut all = self.current.clone();
        if all.add(&self.before).is_err() || all.is_empty() {
            return LatencyUs::default();
        }
        let at = |quantile: f64| all.value_at_quantile(quantile);
        LatencyUs { count: all.len(), percentiles: [at(0.5), at(0.9), at(0.99), at(0.999), all.max()] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_seconds_are_entered_and_old_ones_leave() {
        let mut stats = Stats::new(Totals::default(), None);
        stats.second(1_000).decisions = 5;
        stats.second(1_003).decisions = 1;
        let counts: Vec<u64> = stats.timeline.iter().map(|second| second.decisions).collect();
        assert_eq!(counts, [5, 0, 0, 1]);
        assert_eq!(stats.rate_per_second(1_004), 1.2);
        stats.second(5_000);
        assert_eq!(stats.timeline.len(), TIMELINE_S);
        assert_eq!(stats.timeline.front().unwrap().at_s, 4_701);
    }

    #[test]
    fn percentiles_forget_after_two_spans() {
        let mut stats = Stats::new(Totals::default(), None);
        stats.count_latency(1_000, 0);
        stats.count_latency(10, 60);
        assert_eq!(stats.latency().count, 2);
        stats.count_latency(10, 120);
        assert_eq!(stats.latency().percentiles[4], 10);
    }
}
