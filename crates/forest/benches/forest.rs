//! Timings of scoring on one thread: `cargo bench -p forest --bench forest [-- NAME...]`.
//!
//! Prints the median of several runs and the spread between the quickest and the slowest. The forests have the shapes that the
//! libraries grow, with random questions about 30 features, so every machine times the same work and nothing
//! need be installed. `redflag bench forest` times real models, beside the libraries themselves.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use forest::{Forest, Instructions, Scorer, Scratch};

const RUNS: usize = 101;
const FEATURES: usize = 30;
/// Rows to score: more than stay in the first-level cache, as in a stream.
const ROWS: usize = 1024;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted =
        |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str()));
    let rows = rows();
    println!("us per row, one thread                                median   quickest    slowest");
    for shape in SHAPES.iter().filter(|shape| is_wanted(shape.name)) {
        let forest = shape.forest();
        let (trees, nodes, depth) = (forest.tree_count(), forest.node_count(), forest.max_depth());
        println!("\n{}: {trees} trees, {nodes} nodes, depth {depth}", shape.name);
        for instructions in [Instructions::Avx512, Instructions::Avx2, Instructions::Portable] {
            let scorer = forest.scorer_on(instructions);
            println!("  {}", scorer.describe());
            time(&scorer, &rows);
        }
    }
    if is_wanted("reading") {
        let text = SHAPES[0].forest().to_json();
        report("\nreading: from JSON to a scorer, ms", 1e3, || {
            black_box(Forest::from_json(black_box(&text)).expect("what was written is read").scorer());
        });
    }
}

/// A forest to be made up.
struct Shape {
    name: &'static str,
    trees: usize,
    growth: Growth,
    summation: &'static str,
    /// Different thresholds per feature.
    thresholds: u64,
    /// Of a hundred questions, how many are sets of categories.
    sets: u64,
}

const SHAPES: [Shape; 10] = [
    Shape::of("XGBoost-like: depth 6", 500, Growth::Depth(6), "single"),
    Shape::of("LightGBM-like: 31 leaves", 500, Growth::Leaves(31), "double"),
    Shape::of("CatBoost-like: symmetric, depth 6", 500, Growth::Symmetric(6), "eight-lanes"),
    Shape::of("ours: depth 6, 200 trees", 200, Growth::Depth(6), "eight-lanes"),
    Shape { thresholds: 1000, ..Shape::of("1,000 thresholds a feature", 500, Growth::Leaves(31), "double") },
    Shape { sets: 20, ..Shape::of("with sets: 31 leaves", 500, Growth::Leaves(31), "double") },
    Shape::of("wide trees: 127 leaves", 500, Growth::Leaves(127), "double"),
    Shape::of("depth 8", 500, Growth::Depth(8), "single"),
    Shape {
        thresholds: 5000,
        ..Shape::of("random forest, depth 12, 600 leaves", 200, Growth::Limited(600, 12), "double")
    },
    Shape {
        thresholds: 20_000,
        ..Shape::of("random forest, unlimited, 3,000 leaves", 200, Growth::Leaves(3000), "double")
    },
];

impl Shape {
    const fn of(name: &'static str, trees: usize, growth: Growth, summation: &'static str) -> Shape {
        Shape { name, trees, growth, summation, thresholds: 254, sets: 0 }
    }

    fn forest(&self) -> Forest {
        let mut random = Random(11);
        let names: Vec<String> = (0..FEATURES).map(|at| format!("\"f{at}\"")).collect();
        let trees: Vec<String> = (0..self.trees).map(|_| self.tree(&mut random)).collect();
        let text = format!(
            "{{\"format\":\"redflag-forest\",\"version\":2,\"features\":[{}],\"values\":\"double\",\"output\":\
             {{\"summation\":\"{}\",\"start\":0,\"divisor\":1,\"scale\":1,\"bias\":0,\"link\":\"logistic\"}},\
             \"trees\":[{}]}}",
            names.join(","),
            self.summation,
            trees.join(",")
        );
        Forest::from_json(&text).expect("the document is sound")
    }
    fn tree(&self, random: &mut Random) -> String {
        let growth = self.growth;
        let mut nodes: Vec<Option<String>> = vec![None];
        let mut depths = vec![0];
        let (splits, mut open) = match growth {
            Growth::Depth(depth) | Growth::Symmetric(depth) => ((1 << depth) - 1, vec![0]),
            Growth::Leaves(leaves) | Growth::Limited(leaves, _) => (leaves - 1, vec![0]),
        };
        let mut question = String::new();
        for at in 0..splits {
            let leaf_wise = matches!(growth, Growth::Leaves(_) | Growth::Limited(..));
            let pick = if leaf_wise { random.below(open.len() as u64) as usize } else { 0 };
            let node: usize = open.remove(pick);
            let level_starts = (at + 1_usize).is_power_of_two();
            if !matches!(growth, Growth::Symmetric(_)) || level_starts {
                question = self.ask(random);
            }
            let left = nodes.len();
            nodes[node] = Some(format!("{{{question},\"left\":{left},\"right\":{},\"gain\":1}}", left + 1));
            nodes.extend([None, None]);
            let depth = depths[node] + 1;
            depths.extend([depth, depth]);
            if !matches!(growth, Growth::Limited(_, most) if depth == most) {
                open.extend([left, left + 1]);
            }
        }
        let mut text = String::from("{\"nodes\":[");
        for (at, node) in nodes.into_iter().enumerate() {
            let leaf = || format!("{{\"leaf\":{:e}}}", random.below(2000) as f64 / 1e4 - 0.1);
            write!(text, "{}{}", if at == 0 { "" } else { "," }, node.unwrap_or_else(leaf))
                .expect("a string");
        }
        text + "]}"
    }

    fn ask(&self, random: &mut Random) -> String {
        let feature = random.below(FEATURES as u64);
        let side = if random.below(2) == 0 { "right" } else { "left" };
        if random.below(100) < self.sets {
            let from = random.below(40);
            return format!(
                "\"feature\":0,\"within\":[[{from},{}],[{},{}]],\"missing\":\"{side}\"",
                from + 3,
                from + 5,
                from + 6 + random.below(20)
            );
        }
        let threshold = random.below(self.thresholds) as f64 / self.thresholds as f64;
        format!("\"feature\":{feature},\"below\":{threshold:e},\"missing\":\"{side}\"")
    }
}

#[derive(Clone, Copy)]
enum Growth {
    Depth(u32),
    Symmetric(u32),
    /// Random leaves split until there are so many.
    Leaves(usize),
    /// The same, down to a depth at most.
    Limited(usize, u32),
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }
}

fn rows() -> Vec<f64> {
    let mut random = Random(5);
    (0..ROWS * FEATURES)
        .map(|at| {
            let x = random.below(1 << 31) as f64 / (1u64 << 31) as f64;
            if at % FEATURES == 0 { (x * 60.0).floor() / 60.0 } else { x }
        })
        .collect()
}

fn time(scorer: &Scorer, rows: &[f64]) {
    let mut scratch = Scratch::default();
    let mut out = Vec::new();
    let per_row = 1e6 / ROWS as f64;
    report("    row by row", per_row, || {
        for row in rows.chunks_exact(FEATURES) {
            black_box(scorer.margin(black_box(row), &mut scratch));
        }
    });
    for batch in [64, 1024] {
        report(&format!("    batches of {batch}"), per_row, || {
            for rows in rows.chunks_exact(batch * FEATURES) {
                scorer.margin_batch(black_box(rows), &mut scratch, &mut out);
                black_box(&out);
            }
        });
    }
}

/// Runs once to warm up, then several times; prints seconds times `scale`.
fn report(what: &str, scale: f64, mut work: impl FnMut()) {
    work();
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * scale
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{what:<50} {:>9.3}  {:>9.3}  {:>9.3}", times[RUNS / 2], times[0], times[RUNS - 1]);
}
