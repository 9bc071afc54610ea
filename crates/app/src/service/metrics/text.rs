//! The exposition format: OpenMetrics 1.0 (<https://prometheus.io/docs/specs/om/open_metrics_spec/>), and the older text format of
//! Prometheus, which differs in the names of counters and at the end.

use std::fmt::Write;

/// How the text is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' own, 0.0.4.
    Prometheus,
}

impl Format {
    /// What a client that accepts this is given.
    pub fn accepted(accept: &str) -> Format {
        if accept.contains("application/openmetrics-text") { Format::OpenMetrics } else { Format::Prometheus }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Labels of a sample.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// Families of metrics, written one after the other.
pub struct Exposition {
    format: Format,
    out: String,
}

impl Exposition {
    /// None yet.
    pub fn new(format: Format) -> Exposition {
        Exposition { format, out: String::with_capacity(16 << 10) }
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    /// What goes up and down.
    pub fn gauge<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) {
        self.family(name, "gauge", help);
        samples.into_iter().for_each(|(labels, value)| self.sample(name, "", labels, value));
    }

    /// What only goes up; `name` is without `_total`.
    pub fn counter<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) {
        let family = match self.format {
            Format::OpenMetrics => name.to_string(),
            Format::Prometheus => format!("{name}_total"),
        };
        self.family(&family, "counter", help);
        samples.into_iter().for_each(|(labels, value)| self.sample(name, "_total", labels, value));
    }

    /// Histograms of one family: of each its labels, upper bounds with their own counts (not cumulated), what lies above the last
    /// bound, and the sum.
    pub fn histogram<'a>(&mut self, name: &str, help: &str, series: impl IntoIterator<Item = Series<'a>>) {
        self.family(name, "histogram", help);
        for Series { labels, bounds, counts, sum } in series {
            let mut count = 0;
            for (at, own) in counts.iter().enumerate() {
                count += own;
                let bound = bounds.get(at).map_or("+Inf".to_string(), |bound| bound.to_string());
                let with_bound: Vec<(&str, &str)> =
                    labels.iter().copied().chain([("le", bound.as_str())]).collect();
                self.sample(name, "_bucket", &with_bound, count as f64);
            }
            self.sample(name, "_count", labels, count as f64);
            self.sample(name, "_sum", labels, sum);
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        write!(self.out, "# HELP {name} {}\n# TYPE {name} {kind}\n", help.replace('\\', "\\\\"))
            .expect("text takes all");
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: Labels, value: f64) {
        self.out.push_str(name);
        self.out.push_str(suffix);
        for (at, (label, text)) in labels.iter().enumerate() {
            let opens = if at == 0 { '{' } else { ',' };
            write!(self.out, "{opens}{label}=\"{}\"", escaped(text)).expect("text takes all");
        }
        let closes = if labels.is_empty() { "" } else { "}" };
        writeln!(self.out, "{closes} {value}").expect("text takes all");
    }
}

/// One histogram of a family.
pub struct Series<'a> {
    /// Its labels.
    pub labels: Labels<'a>,
    /// Upper bounds, rising.
    pub bounds: &'a [f64],
    /// What lies in each, and in the end what lies above all of them.
    pub counts: &'a [u64],
    /// Of all that was observed.
    pub sum: f64,
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format) -> String {
        let mut text = Exposition::new(format);
        text.counter("a", "How many.", [(&[("kind", "x\"y")][..], 2.0)]);
        text.gauge("b", "How much.", [(&[][..], f64::NAN)]);
        text.histogram(
            "c",
            "How long.",
            [Series { labels: &[], bounds: &[0.5, 1.0], counts: &[1, 0, 2], sum: 7.5 }],
        );
        text.finish()
    }

    #[test]
    fn families_are_written_as_the_formats_say() {
        let open = "# HELP a How many.\n# TYPE a counter\na_total{kind=\"x\\\"y\"} 2\n# HELP b How much.\n# TYPE b gauge\nb NaN\n\
                    # HELP c How long.\n# TYPE c histogram\nc_bucket{le=\"0.5\"} 1\nc_bucket{le=\"1\"} 1\nc_bucket{le=\"+Inf\"} 3\n\
                    c_count 3\nc_sum 7.5\n# EOF\n";
        assert_eq!(written(Format::OpenMetrics), open);
        let older = written(Format::Prometheus);
        assert!(
            older.starts_with("# HELP a_total How many.\n# TYPE a_total counter\na_total{")
                && !older.contains("EOF")
        );
    }

    #[test]
    fn who_asks_for_openmetrics_gets_it() {
        let asked = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        assert_eq!(Format::accepted(asked), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Prometheus);
    }
}
