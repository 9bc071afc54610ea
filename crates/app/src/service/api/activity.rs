//! The door to what happened over time.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};

use super::Api;
use super::problem::{invalid, unavailable};
use crate::service::activity::{Counts, Slice, Step};
use crate::service::pipeline::{lock, now_us};
use crate::service::wire::{
    Activity, ActivityCounts, ActivityPoint, ActivityStep, Breakdown, BreakdownKind, BreakdownValue, Instant,
    Problem, WeekHour,
};

/// Most steps of an answer.
const STEPS_MAX: i64 = 10_000;

/// Values of a field that are listed.
const VALUES_LISTED: usize = 50;

/// Entities that are listed.
const ENTITIES_LISTED: usize = 20;

/// What is asked for.
struct Wanted {
    range_us: Range<i64>,
    step: Step,
    synthetic: Option<bool>,
}

/// What happened in a range of time, by when it was decided: the last hour in minutes unless asked otherwise.
#[utoipa::path(get, path = "/v1/activity", tag = "decisions",
    params(
        ("from" = Option<String>, Query, description = "first instant, RFC 3339; default an hour before `to`"),
        ("to" = Option<String>, Query, description = "first instant no longer wanted, RFC 3339; default now"),
        ("step" = Option<String>, Query, description = "minute (the default; kept for two days), hour or day"),
        ("synthetic" = Option<bool>, Query, description = "true: only synthetic transactions; false: none of them"),
    ),
    responses(
        (status = 200, body = Activity, description = "what happened"),
        (status = 422, body = Problem, description = "a parameter is wrong"),
        (status = 503, body = Problem, description = "nothing is stored"),
    ))]
pub async fn activity(
    State(api): State<Api>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
) -> Response {
    let Ok(Query(query)) = query else {
        return invalid("query", "unreadable", "name=value pairs joined by &");
    };
    if api.database.is_none() {
        return unavailable();
    }
    let minor_per_unit = api.shared.detector.schema.minor_per_unit();
    let mut cube = lock(&api.activity);
    cube.asked = Some(std::time::Instant::now());
    let wanted = match wanted(&query, cube.minutes_from_us()) {
        Ok(wanted) => wanted,
        Err(response) => return response,
    };
    let slice = cube.slice(wanted.range_us, wanted.step, wanted.synthetic);
    let (as_of, last, first_us) = (cube.as_of(), cube.last(), cube.first_us());
    drop(cube);
    Json(told(slice, wanted.step, minor_per_unit, (as_of, last, first_us))).into_response()
}

#[expect(clippy::result_large_err, reason = "once a request, and only where it is wrong")]
fn wanted(query: &HashMap<String, String>, minutes_from_us: i64) -> Result<Wanted, Response> {
    let (mut from_us, mut to_us, mut step, mut synthetic) = (None, None, Step::Minute, None);
    for (name, value) in query {
        let wrong = |expected: &str| invalid(name, value, expected);
        let instant = || engine::time::parse_instant(value).ok_or_else(|| wrong("an RFC 3339 time"));
        match name.as_str() {
            "from" => from_us = Some(instant()?),
            "to" => to_us = Some(instant()?),
            "step" => {
                let steps = [("minute", Step::Minute), ("hour", Step::Hour), ("day", Step::Day)];
                let found = steps.into_iter().find(|(name, _)| name == value);
                step = found.ok_or_else(|| wrong("minute, hour or day"))?.1;
            }
            "synthetic" => synthetic = Some(value.parse().map_err(|_| wrong("true or false"))?),
            _ => return Err(wrong("one of from, to, step, synthetic")),
        }
    }
    let to_us = to_us.unwrap_or_else(now_us);
    let from_us = from_us.unwrap_or_else(|| to_us.saturating_sub(Step::Hour.us()));
    let given = |name: &str| query.get(name).map_or("", String::as_str);
    if from_us >= to_us {
        return Err(invalid("from", given("from"), "a time before `to`"));
    }
    if to_us.saturating_sub(from_us) / step.us() > STEPS_MAX {
        return Err(invalid("step", given("step"), "a longer one: an answer has at most 10,000 steps"));
    }
    if step == Step::Minute && from_us < minutes_from_us - Step::Minute.us() {
        return Err(invalid("step", "minute", "hour or day: minutes are kept for two days"));
    }
    Ok(Wanted { range_us: from_us..to_us, step, synthetic })
}

fn told(
    slice: Slice,
    step: Step,
    minor_per_unit: f64,
    (as_of, last, first_us): (i64, i64, Option<i64>),
) -> Activity {
    let counts = |counts: &Counts| ActivityCounts::of(counts, minor_per_unit);
    let point = |(at_us, of): &(i64, Counts)| ActivityPoint { at: Instant(*at_us), counts: counts(of) };
    let detailed_from = slice.detailed_from_us.map(Instant);
    let breakdowns = slice.values.into_iter().map(|(field, values)| {
        let listed = if field.kind == BreakdownKind::Entity { ENTITIES_LISTED } else { VALUES_LISTED };
        breakdown(field.name, field.kind, values, listed, minor_per_unit, detailed_from)
    });
    Activity {
        from: Instant(slice.range_us.start),
        to: Instant(slice.range_us.end),
        first: first_us.map(Instant),
        step: match step {
            Step::Minute => ActivityStep::Minute,
            Step::Hour => ActivityStep::Hour,
            Step::Day => ActivityStep::Day,
        },
        as_of,
        last,
        total: counts(&slice.total),
        points: slice.points.iter().map(point).collect(),
        score_histogram: slice.scores,
        week: slice
            .week
            .iter()
            .map(|(decisions, alerts)| WeekHour { decisions: *decisions, alerts: *alerts })
            .collect(),
        breakdowns: breakdowns.collect(),
    }
}

fn breakdown(
    field: String,
    kind: BreakdownKind,
    values: HashMap<Arc<str>, Counts>,
    listed: usize,
    minor_per_unit: f64,
    from: Option<Instant>,
) -> Breakdown {
    let mut values: Vec<(Arc<str>, Counts)> = values.into_iter().collect();
    // What people look for are values with alerts; among entities there are thousands without.
    let alerts = |counts: &Counts| counts.in_review + counts.declined;
    values.sort_by(|(a, of_a), (b, of_b)| {
        let figure = |counts: &Counts| match kind {
            BreakdownKind::Entity => (alerts(counts), counts.decisions),
            BreakdownKind::Country | BreakdownKind::Category => (counts.decisions, 0),
        };
        figure(of_b).cmp(&figure(of_a)).then_with(|| a.cmp(b))
    });
    let rest = values.split_off(listed.min(values.len()));
    let mut others = Counts::default();
    rest.iter().for_each(|(_, counts)| others.add(counts));
    Breakdown {
        field,
        kind,
        from,
        values: values
            .iter()
            .map(|(value, counts)| BreakdownValue {
                value: value.to_string(),
                counts: ActivityCounts::of(counts, minor_per_unit),
            })
            .collect(),
        others: rest.len() as u64,
        others_counts: ActivityCounts::of(&others, minor_per_unit),
    }
}
