//! The libraries of others as trainers: what they grow through us is what they grow in Python with the same parameters, score
//! for score. `fixtures/engines/train_and_score.py` is the other side, run by the Python of the engines.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use engine::Detector;
use engine::time::DAY_US;
use forest::grow::{Algorithm, Direction, Params, Table};
use lab::engines::{Engine, EngineError, Foreign, Grower, Place, Request};
use lab::train::{Recipe, Row, TrainingSet, train};
use serde_json::{Value, json};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/engines/train_and_score.py");

/// The engines of this machine. A test without its engine says so and passes.
fn place(test: &str, engine: Engine) -> Option<Place> {
    let place = std::env::var_os("REDFLAG_ENGINES").map(|folder| Place::new(PathBuf::from(folder)));
    let found = place.filter(|place| place.find(engine).is_ok());
    if found.is_none() {
        // Straight to the standard error: what a passing test prints is not shown.
        let line = format!(
            "NOT RUN: {test}: {engine} is absent; `redflag engines install {engine}`, and set REDFLAG_ENGINES to its folder\n"
        );
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    found
}

/// Rows of five columns: three numbers, one of them with gaps, one of whole numbers, one of categories.
struct Rows {
    columns: Vec<Vec<f64>>,
    labels: Vec<bool>,
    names: Vec<String>,
}

impl Rows {
    fn made(count: usize, seed: u64) -> Rows {
        let mut state = seed;
        let mut uniform = || {
            // Steele and Vigna, "Computationally easy, spectrally good multipliers", 2021.
            state = state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let mut rows = Rows {
            columns: vec![Vec::new(); 5],
            labels: Vec::new(),
            names: ["amount", "mean", "risk", "count", "channel"].map(String::from).to_vec(),
        };
        for _ in 0..count {
            let (amount, mean, risk) = (100.0 * uniform(), uniform() + uniform(), uniform() * uniform());
            let (count, channel) = ((uniform() * 9.0).floor(), (uniform() * 7.0).floor());
            let odds = 5.0 * risk + mean - 0.01 * amount + if channel == 3.0 { 1.5 } else { 0.0 } - 3.5;
            rows.labels.push(uniform() < 1.0 / (1.0 + (-odds).exp()));
            let risk = if uniform() < 0.2 { f64::NAN } else { risk };
            let values = [amount, mean, risk, count, channel];
            rows.columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        }
        rows
    }

    fn table(&self) -> Table<'_> {
        Table { columns: &self.columns, labels: &self.labels, names: &self.names, weights: None }
    }

    fn row(&self, at: usize) -> Vec<f64> {
        self.columns.iter().map(|column| column[at]).collect()
    }

    fn write(&self, folder: &Path, name: &str) {
        let values: Vec<u8> = self.columns.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(folder.join(format!("{name}.values")), values).unwrap();
        let labels: Vec<u8> = self.labels.iter().map(|label| u8::from(*label)).collect();
        std::fs::write(folder.join(format!("{name}.labels")), labels).unwrap();
    }
}

fn request(algorithm: Algorithm) -> Request {
    Request {
        algorithm,
        trees: None,
        early_stopping: None,
        given: Vec::new(),
        categorical: Vec::new(),
        monotone: Vec::new(),
        own: Vec::new(),
    }
}

fn given(algorithm: Algorithm, trees: usize, given: &[(&'static str, &str)]) -> Request {
    let given = given.iter().map(|(name, value)| (*name, value.to_string())).collect();
    Request { trees: Some(trees), given, ..request(algorithm) }
}

/// One training, in our words and in the library's.
struct Case {
    ours: Request,
    class: &'static str,
    parameters: Value,
    categorical: Vec<usize>,
}

fn case(ours: Request, class: &'static str, parameters: Value) -> Case {
    let categorical = if ours.categorical.is_empty() { Vec::new() } else { vec![4] };
    Case { ours, class, parameters, categorical }
}

/// Trains on both sides and compares scores of rows that neither has seen: to the bit, or within `tolerance`.
fn check(test: &str, engine: Engine, tolerance: f64, cases: Vec<Case>) {
    let Some(place) = place(test, engine) else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::create_dir_all(&folder).unwrap();
    let (learnt, scored) = (Rows::made(6_000, 1), Rows::made(2_000, 2));
    learnt.write(&folder, "learnt");
    scored.write(&folder, "scored");
    let asked: Vec<Value> = cases
        .iter()
        .map(|case| json!({"class": case.class, "parameters": case.parameters, "categorical": case.categorical}))
        .collect();
    let asked = json!({"columns": 5, "threads": lab::train::cores(), "cases": asked});
    std::fs::write(folder.join("cases.json"), asked.to_string()).unwrap();
    let python = place.folder().join("bin/python");
    let ran = Command::new(python).args(["-W", "ignore", SCRIPT]).arg(&folder).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    for (at, case) in cases.into_iter().enumerate() {
        let words = format!("{}({})", case.class, case.parameters);
        let grower = Grower::Foreign(Foreign::new(engine, case.ours, &place).unwrap());
        let mut told = 0;
        let forest = grower.grow(&learnt.table(), None, &mut |progress| told = progress.trees_done).unwrap();
        assert_eq!((told, forest.feature_names()), (grower.trees(), &learnt.names[..]), "{words}");
        let theirs = std::fs::read(folder.join(format!("{at}.scores"))).unwrap();
        let theirs: Vec<f64> =
            theirs.chunks(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect();
        assert_eq!(theirs.len(), scored.labels.len(), "{words}");
        let (scorer, mut scratch) = (forest.scorer(), forest::Scratch::default());
        for (row, theirs) in theirs.into_iter().enumerate() {
            let ours = scorer.margin(&scored.row(row), &mut scratch);
            assert!((ours - theirs).abs() <= tolerance, "{words}, row {row}: {ours} instead of {theirs}");
        }
    }
}

#[test]
fn what_xgboost_grows_is_what_it_grows_in_python() {
    let set = |request: Request, name: &str, value: &str| Request {
        own: vec![(name.to_string(), value.to_string())],
        ..request
    };
    let gbdt = || request(Algorithm::Gbdt);
    let many = [
        ("max_depth", "4"),
        ("learning_rate", "0.1"),
        ("lambda", "3"),
        ("l1", "0.5"),
        ("min_child_weight", "2"),
        ("min_gain", "0.1"),
        ("row_subsample", "0.7"),
        ("column_subsample", "0.8"),
        ("bins", "64"),
        ("positive_weight", "4"),
        ("seed", "7"),
    ];
    let theirs = json!({
        "n_estimators": 30, "max_depth": 4, "learning_rate": 0.1, "reg_lambda": 3, "reg_alpha": 0.5, "min_child_weight": 2,
        "gamma": 0.1, "subsample": 0.7, "colsample_bytree": 0.8, "max_bin": 64, "scale_pos_weight": 4, "random_state": 7,
    });
    let leaf_wise =
        given(Algorithm::Gbdt, 20, &[("growth", "leaf-wise"), ("max_leaves", "12"), ("max_depth", "0")]);
    let categorical = Request { categorical: vec!["channel".to_string()], ..gbdt() };
    let monotone = Request {
        monotone: vec![("risk".to_string(), Direction::Rising), ("amount".to_string(), Direction::Falling)],
        ..gbdt()
    };
    check(
        "what_xgboost_grows_is_what_it_grows_in_python",
        Engine::XgBoost,
        0.0,
        vec![
            case(gbdt(), "xgboost.XGBClassifier", json!({})),
            case(given(Algorithm::Gbdt, 30, &many), "xgboost.XGBClassifier", theirs),
            case(
                leaf_wise,
                "xgboost.XGBClassifier",
                json!({"n_estimators": 20, "grow_policy": "lossguide", "max_leaves": 12, "max_depth": 0}),
            ),
            case(
                set(gbdt(), "tree_method", "exact"),
                "xgboost.XGBClassifier",
                json!({"tree_method": "exact"}),
            ),
            case(categorical, "xgboost.XGBClassifier", json!({"enable_categorical": true})),
            case(monotone, "xgboost.XGBClassifier", json!({"monotone_constraints": "(-1,0,1,0,0)"})),
            case(request(Algorithm::RandomForest), "xgboost.XGBRFClassifier", json!({})),
            case(
                given(Algorithm::RandomForest, 20, &[("column_subsample", "0.5"), ("max_depth", "9")]),
                "xgboost.XGBRFClassifier",
                json!({"n_estimators": 20, "colsample_bynode": 0.5, "max_depth": 9}),
            ),
            case(
                request(Algorithm::DecisionTree),
                "xgboost.XGBClassifier",
                json!({"n_estimators": 1, "learning_rate": 1}),
            ),
        ],
    );
}

#[test]
fn what_lightgbm_grows_is_what_it_grows_in_python() {
    let gbdt = || request(Algorithm::Gbdt);
    let many = [
        ("max_depth", "6"),
        ("max_leaves", "20"),
        ("growth", "leaf-wise"),
        ("learning_rate", "0.2"),
        ("lambda", "3"),
        ("l1", "0.5"),
        ("min_samples_leaf", "15"),
        ("min_child_weight", "0.01"),
        ("min_gain", "0.1"),
        ("row_subsample", "0.7"),
        ("column_subsample", "0.8"),
        ("bins", "64"),
        ("positive_weight", "4"),
        ("seed", "7"),
    ];
    let theirs = json!({
        "n_estimators": 30, "max_depth": 6, "num_leaves": 20, "learning_rate": 0.2, "reg_lambda": 3, "reg_alpha": 0.5,
        "min_child_samples": 15, "min_child_weight": 0.01, "min_split_gain": 0.1, "subsample": 0.7, "subsample_freq": 1,
        "colsample_bytree": 0.8, "max_bin": 64, "scale_pos_weight": 4, "random_state": 7,
    });
    let categorical = Request { categorical: vec!["channel".to_string()], ..gbdt() };
    let monotone = Request {
        monotone: vec![("risk".to_string(), Direction::Rising), ("amount".to_string(), Direction::Falling)],
        ..gbdt()
    };
    let random = Request { own: vec![("extra_trees".to_string(), "true".to_string())], ..gbdt() };
    let forest = json!({"boosting_type": "rf", "subsample": 0.632, "subsample_freq": 1});
    check(
        "what_lightgbm_grows_is_what_it_grows_in_python",
        Engine::LightGbm,
        0.0,
        vec![
            case(gbdt(), "lightgbm.LGBMClassifier", json!({})),
            case(given(Algorithm::Gbdt, 30, &many), "lightgbm.LGBMClassifier", theirs),
            case(categorical, "lightgbm.LGBMClassifier", json!({})),
            case(monotone, "lightgbm.LGBMClassifier", json!({"monotone_constraints": [-1, 0, 1, 0, 0]})),
            case(random, "lightgbm.LGBMClassifier", json!({"extra_trees": true})),
            case(request(Algorithm::RandomForest), "lightgbm.LGBMClassifier", forest),
            case(
                request(Algorithm::DecisionTree),
                "lightgbm.LGBMClassifier",
                json!({"n_estimators": 1, "learning_rate": 1}),
            ),
        ],
    );
}

/// CatBoost adds the leaves of a row in another order, block by block.
#[test]
fn what_catboost_grows_is_what_it_grows_in_python() {
    let many = [
        ("max_depth", "4"),
        ("learning_rate", "0.1"),
        ("lambda", "5"),
        ("row_subsample", "0.7"),
        ("column_subsample", "0.8"),
        ("bins", "64"),
        ("positive_weight", "4"),
        ("seed", "7"),
    ];
    let theirs = json!({
        "iterations": 60, "depth": 4, "learning_rate": 0.1, "l2_leaf_reg": 5, "subsample": 0.7, "rsm": 0.8,
        "border_count": 64, "scale_pos_weight": 4, "random_seed": 7,
    });
    let leaf_wise = given(
        Algorithm::Gbdt,
        20,
        &[("growth", "leaf-wise"), ("max_leaves", "12"), ("min_samples_leaf", "9")],
    );
    check(
        "what_catboost_grows_is_what_it_grows_in_python",
        Engine::CatBoost,
        1e-12,
        vec![
            case(request(Algorithm::Gbdt), "catboost.CatBoostClassifier", json!({})),
            case(given(Algorithm::Gbdt, 60, &many), "catboost.CatBoostClassifier", theirs),
            case(
                leaf_wise,
                "catboost.CatBoostClassifier",
                json!({"iterations": 20, "grow_policy": "Lossguide", "max_leaves": 12, "min_data_in_leaf": 9}),
            ),
            case(
                request(Algorithm::DecisionTree),
                "catboost.CatBoostClassifier",
                json!({"iterations": 1, "learning_rate": 1}),
            ),
        ],
    );
}

#[test]
fn what_scikit_learn_grows_is_what_it_grows_in_python() {
    let many = [
        ("max_depth", "7"),
        ("min_samples_leaf", "3"),
        ("row_subsample", "0.5"),
        ("column_subsample", "1"),
        ("positive_weight", "4"),
        ("seed", "7"),
    ];
    let theirs = json!({
        "n_estimators": 33, "max_depth": 7, "min_samples_leaf": 3, "max_samples": 0.5, "max_features": 1.0,
        "class_weight": [1, 4], "random_state": 7,
    });
    let leaf_wise = given(Algorithm::DecisionTree, 1, &[("max_leaves", "20")]);
    check(
        "what_scikit_learn_grows_is_what_it_grows_in_python",
        Engine::ScikitLearn,
        0.0,
        vec![
            case(
                request(Algorithm::RandomForest),
                "sklearn.RandomForestClassifier",
                json!({"random_state": 0}),
            ),
            case(given(Algorithm::RandomForest, 33, &many), "sklearn.RandomForestClassifier", theirs),
            case(
                leaf_wise,
                "sklearn.DecisionTreeClassifier",
                json!({"random_state": 0, "max_leaf_nodes": 20}),
            ),
        ],
    );
}

/// Early stopping keeps the best number of rounds, whoever grows, and trains on all rows again.
#[test]
fn early_stopping_settles_the_number_of_trees() {
    let test = "early_stopping_settles_the_number_of_trees";
    for engine in [Engine::XgBoost, Engine::LightGbm, Engine::CatBoost] {
        let Some(place) = place(test, engine) else { continue };
        let rows = Rows::made(4_000, 3);
        let mut set = TrainingSet::new(5, None);
        for (row, fraud) in rows.labels.iter().enumerate() {
            let features: Vec<f64> = rows.columns.iter().map(|column| column[row]).collect();
            let of = Row { time_us: row as i64 * DAY_US / 400, fraud: *fraud, ..Row::default() };
            set.push(of, &features);
        }
        let asked = Request { early_stopping: Some(5), ..given(Algorithm::Gbdt, 200, &[]) };
        let grower = Grower::Foreign(Foreign::new(engine, asked, &place).unwrap());
        let recipe = Recipe { grower, ..Recipe::plain(Params::defaults(Algorithm::Gbdt)) };
        let mut figures = Vec::new();
        let model =
            train(&detector(), &set, &recipe, &mut |progress| figures.extend(progress.average_precision))
                .unwrap();
        let best = figures.iter().copied().fold(0.0, f64::max);
        let first = 1 + figures.iter().position(|figure| *figure == best).unwrap();
        assert_eq!(model.parameters["trees"], first.to_string(), "{engine}: {figures:?}");
        assert_eq!(model.forest.tree_count(), first, "{engine}");
        assert!(first < 200 && figures.len() <= first + 5, "{engine}: {figures:?}");
        assert_eq!(
            (model.engine.as_str(), model.parameters["early_stopping"].as_str()),
            (engine.name(), "5")
        );
        assert!(model.parameters["engine_version"].starts_with(|c: char| c.is_ascii_digit()), "{model:?}");
    }
}

fn detector() -> Detector {
    let file = "name = \"known\"\n[event]\nid = \"id\"\ntime = \"time\"\namount = \"amount\"\nlabel = \"fraud\"\n\
                key = \"card\"\ncurrency = \"EUR\"\nas_features = [\"amount\", \"mean\", \"risk\", \"count\", \"channel\"]\n\
                [event.fields]\nmean = \"number\"\nrisk = \"number\"\ncount = \"number\"\nchannel = \"number\"\n";
    Detector::parse(file).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// Nothing is quietly left out: what an engine does not have is named, with what it has instead.
#[test]
fn what_a_library_does_not_have_is_refused_by_name() {
    let nowhere = Place::new(PathBuf::from("/nonexistent"));
    let own = |name: &str, value: &str| Request {
        own: vec![(name.to_string(), value.to_string())],
        ..given(Algorithm::Gbdt, 10, &[("max_depth", "3")])
    };
    let stopped = Request { early_stopping: Some(3), ..request(Algorithm::RandomForest) };
    let gbdt = |name, value| given(Algorithm::Gbdt, 10, &[(name, value)]);
    for (engine, request, expected) in [
        (
            Engine::CatBoost,
            request(Algorithm::RandomForest),
            "catboost has no random-forest, expected --algorithm gbdt",
        ),
        (Engine::ScikitLearn, request(Algorithm::Gbdt), "scikit-learn has no gbdt"),
        (Engine::XgBoost, gbdt("warm_up", "3"), "--warm-up: xgboost has no such parameter"),
        (Engine::XgBoost, gbdt("min_samples_leaf", "3"), "; it has min_child_weight"),
        (Engine::XgBoost, gbdt("growth", "symmetric"), "xgboost expects depth-wise or leaf-wise"),
        (Engine::LightGbm, gbdt("growth", "depth-wise"), "lightgbm expects leaf-wise"),
        (Engine::CatBoost, gbdt("l1", "1"), "--l1: catboost has no such parameter; it has lambda"),
        (Engine::CatBoost, gbdt("max_depth", "0"), "catboost expects 1 to 16"),
        (Engine::XgBoost, own("objective", "rank:ndcg"), "--set objective=rank:ndcg: redflag decides this"),
        (Engine::XgBoost, own("max_depth", "5"), "--set max_depth=5: is given as --max-depth already"),
        (Engine::LightGbm, own("a b", "5"), "expected NAME=VALUE without blanks"),
        (Engine::XgBoost, stopped, "--early-stopping is of boosting"),
        (
            Engine::XgBoost,
            given(Algorithm::DecisionTree, 2, &[("learning_rate", "0.1")]),
            "a decision tree is one\n--learning-rate is of boosting",
        ),
    ] {
        match Foreign::new(engine, request, &nowhere) {
            Err(EngineError::Refused(message)) => assert!(message.contains(expected), "{message}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
    let missing = Foreign::new(Engine::LightGbm, request(Algorithm::Gbdt), &nowhere).unwrap_err().to_string();
    assert!(missing.contains("`redflag engines install lightgbm`"), "{missing}");
}

/// A misspelt parameter is an error, though the libraries go on with a warning, and so is a value out of range.
#[test]
fn what_the_library_refuses_is_said_in_its_words() {
    let rows = Rows::made(500, 4);
    for (engine, name, value, expected) in [
        (Engine::XgBoost, "max_bins", "9", "max_bins"),
        (Engine::XgBoost, "max_bin", "-1", "max_bin"),
        (Engine::XgBoost, "booster", "gblinear", "gblinear"),
        (Engine::LightGbm, "max_binz", "9", "max_binz"),
        (Engine::LightGbm, "num_leaves", "1", "num_leaves"),
        (Engine::CatBoost, "deep", "9", "deep"),
        (Engine::CatBoost, "depth", "99", "depth"),
        (Engine::ScikitLearn, "max_deep", "9", "max_deep"),
        (Engine::ScikitLearn, "max_depth", "-3", "max_depth"),
    ] {
        let Some(place) = place("what_the_library_refuses_is_said_in_its_words", engine) else { continue };
        let algorithm = if engine == Engine::ScikitLearn { Algorithm::RandomForest } else { Algorithm::Gbdt };
        let own = vec![(name.to_string(), value.to_string())];
        let grower =
            Grower::Foreign(Foreign::new(engine, Request { own, ..request(algorithm) }, &place).unwrap());
        match grower.grow(&rows.table(), None, &mut |_| {}) {
            Err(EngineError::Refused(message)) => {
                assert!(message.starts_with(engine.name()) && message.contains(expected), "{message}");
            }
            other => panic!("{engine} {name}={value}: {:?}", other.map(|forest| forest.tree_count())),
        }
    }
}
