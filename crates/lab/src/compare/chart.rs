//! Line charts and bars as SVG, small and without a script, for a page that is one file.

use std::fmt::Write;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 448.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 256.0;

/// From values to a place between the ends of an axis.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    low: f64,
    high: f64,
    is_log: bool,
}

impl Scale {
    /// 0 to 1.
    pub const SHARE: Scale = Scale { low: 0.0, high: 1.0, is_log: false };

    /// Even, from 0 to a round number.
    pub fn up_to(high: f64) -> Scale {
        let step = step_of(high.max(f64::MIN_POSITIVE));
        Scale { low: 0.0, high: (high / step).ceil().max(1.0) * step, is_log: false }
    }

    /// Even, between two values, moved outwards to round ones.
    pub fn between(low: f64, high: f64) -> Scale {
        let step = step_of((high - low).max(f64::MIN_POSITIVE));
        Scale { low: (low / step).floor() * step, high: (high / step).ceil() * step, is_log: false }
    }

    /// By powers of ten.
    pub fn log(low: f64, high: f64) -> Scale {
        let low = low.max(1e-9).log10().floor();
        Scale { low, high: high.max(1e-9).log10().ceil().max(low + 1.0), is_log: true }
    }

    fn share(self, value: f64) -> f64 {
        let value = if self.is_log { value.max(1e-12).log10() } else { value };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    fn ticks(self) -> Vec<f64> {
        if self.is_log {
            let step = ((self.high - self.low) / 6.0).ceil().max(1.0) as usize;
            return (self.low as i32..=self.high as i32)
                .step_by(step)
                .map(|power| 10f64.powi(power))
                .collect();
        }
        let step = step_of(self.high - self.low);
        let count = ((self.high - self.low) / step).round() as usize;
        (0..=count).map(|number| self.low + number as f64 * step).collect()
    }
}

/// A round step of which about five fill a length.
fn step_of(length: f64) -> f64 {
    let magnitude = 10f64.powf((length / 5.0).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let fits = steps.into_iter().find(|step| length / (step * magnitude) <= 5.5);
    fits.unwrap_or(10.0) * magnitude
}

/// A chart that is being drawn.
pub struct Chart {
    body: String,
    x: Scale,
    y: Scale,
}

impl Chart {
    /// Axes with their names.
    pub fn new(title: &str, (x_name, x): (&str, Scale), (y_name, y): (&str, Scale)) -> Chart {
        let mut chart = Chart { body: String::new(), x, y };
        let middle = f64::midpoint(LEFT, RIGHT);
        chart.text(LEFT, 16.0, "start", "title", title);
        chart.text(middle, HEIGHT - 8.0, "middle", "quiet", x_name);
        chart.text(LEFT, TOP - 2.0, "start", "quiet", y_name);
        for tick in x.ticks() {
            let at = chart.place_x(tick);
            chart.line([at, TOP + 4.0, at, BOTTOM], "grid");
            chart.text(at, BOTTOM + 15.0, "middle", "quiet", &short(tick));
        }
        for tick in y.ticks() {
            let at = chart.place_y(tick);
            chart.line([LEFT, at, RIGHT, at], "grid");
            chart.text(LEFT - 6.0, at + 4.0, "end", "quiet", &short(tick));
        }
        chart
    }

    fn place_x(&self, value: f64) -> f64 {
        LEFT + self.x.share(value) * (RIGHT - LEFT)
    }

    fn place_y(&self, value: f64) -> f64 {
        BOTTOM - self.y.share(value) * (BOTTOM - TOP - 4.0)
    }

    /// A curve of the colour of that number; broken for the second of a pair.
    pub fn curve(&mut self, points: &[(f64, f64)], colour: usize, is_broken: bool) {
        let mut path = String::new();
        for (number, (x, y)) in points.iter().enumerate() {
            let (x, y) = (self.place_x(*x), self.place_y(*y));
            write!(path, "{}{x:.1},{y:.1}", if number == 0 { 'M' } else { 'L' })
                .expect("text can be written to");
        }
        let dashes = if is_broken { " broken" } else { "" };
        writeln!(self.body, "<path class=\"curve c{colour}{dashes}\" d=\"{path}\"/>")
            .expect("text can be written to");
    }

    /// Dots.
    pub fn dots(&mut self, points: &[(f64, f64)], colour: usize) {
        for (x, y) in points {
            let (x, y) = (self.place_x(*x), self.place_y(*y));
            writeln!(self.body, "<circle class=\"dot c{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>")
                .expect("text can be written to");
        }
    }

    /// A bar from the ground up, between two values of the horizontal axis.
    pub fn bar(&mut self, from: f64, to: f64, height: f64, colour: usize) {
        let (left, right, top) = (self.place_x(from), self.place_x(to), self.place_y(height));
        let (width, tall) = ((right - left - 1.0).max(0.5), BOTTOM - top);
        if tall > 0.0 {
            writeln!(
                self.body,
                "<rect class=\"bar c{colour}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{tall:.1}\"/>"
            )
            .expect("text can be written to");
        }
    }

    /// A thin line from corner to corner: where a perfect calibration or mere chance would be.
    pub fn diagonal(&mut self) {
        self.line([LEFT, BOTTOM, RIGHT, TOP + 4.0], "quiet-line");
    }

    /// A thin upright line where something happened.
    pub fn upright(&mut self, x: f64) {
        let at = self.place_x(x);
        self.line([at, TOP + 4.0, at, BOTTOM], "quiet-line");
    }

    /// A thin level line where something begins to matter.
    pub fn level(&mut self, y: f64) {
        let at = self.place_y(y);
        self.line([LEFT, at, RIGHT, at], "quiet-line");
    }

    fn line(&mut self, [x1, y1, x2, y2]: [f64; 4], class: &str) {
        writeln!(
            self.body,
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        )
        .expect("text can be written to");
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
        let text = escaped(text);
        writeln!(
            self.body,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        )
        .expect("text can be written to");
    }

    /// The finished drawing.
    pub fn svg(self, described: &str) -> String {
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n{}</svg>\n",
            escaped(described),
            self.body
        )
    }
}

/// A drawing as a file of its own, with the style that it has on a page.
pub fn standalone(svg: &str, style: &str) -> String {
    let opening = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\"",
        2.0 * WIDTH,
        2.0 * HEIGHT
    );
    let styled = svg.replacen("<svg", &opening, 1);
    let end_of_tag = styled.find('>').map_or(0, |at| at + 1);
    format!(
        "{}<style>svg{{background:var(--ground)}}{style}</style>{}",
        &styled[..end_of_tag],
        &styled[end_of_tag..]
    )
}

/// Text inside of HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number as an axis says it.
pub fn short(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if value == 0.0 => "0".to_string(),
        _ if size >= 1e6 => format!("{}M", trimmed(value / 1e6)),
        _ if size >= 1e4 => format!("{}k", trimmed(value / 1e3)),
        _ if size >= 0.001 => trimmed(value),
        _ => format!("{value:.0e}"),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_ticks() {
        assert_eq!(Scale::SHARE.ticks(), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(Scale::up_to(873.0).ticks(), [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]);
        assert_eq!(Scale::log(0.002, 3.0).ticks(), [0.001, 0.01, 0.1, 1.0, 10.0]);
        assert_eq!(["0", "0.25", "12.5k", "3M", "1e-4"], [0.0, 0.25, 12_500.0, 3e6, 1e-4].map(short));
    }

    #[test]
    fn what_lies_beyond_the_axes_is_drawn_at_their_ends() {
        let mut chart = Chart::new("a < b", ("x", Scale::SHARE), ("y", Scale::SHARE));
        chart.curve(&[(-1.0, 2.0), (5.0, -3.0)], 0, false);
        let svg = chart.svg("two points");
        assert!(svg.contains("M56.0,34.0L448.0,256.0") && svg.contains("a &lt; b"), "{svg}");
    }
}
