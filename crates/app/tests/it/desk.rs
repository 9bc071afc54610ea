//! A folder for one test, and the binary run in it.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use engine::Detector;
use lab::dataset::{Block, ColumnMap, open};

/// A folder of its own for each test.
pub struct Desk {
    folder: PathBuf,
}

/// What a run of the binary came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    fn of(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The object that was printed.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Desk {
    /// An empty folder by the name of the test.
    pub fn new(test: &str) -> Desk {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        std::fs::create_dir_all(&folder).unwrap();
        Desk { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// Names of all files.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs the binary with arguments that hold no blanks.
    pub fn run(&self, arguments: &str) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Runs it with a standard output that nobody reads.
    pub fn run_unread(&self, arguments: &str) -> Ran {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Ran::of(
            self.command(arguments)
                .stdout(writer)
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
                .wait_with_output()
                .unwrap(),
        )
    }

    /// Runs it with a variable of the environment.
    pub fn run_with(&self, variable: (&str, &str), arguments: &str) -> Ran {
        Ran::of(self.command(arguments).env(variable.0, variable.1).output().unwrap())
    }

    /// Runs it and expects success.
    pub fn ok(&self, arguments: &str) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments}: {ran:?}");
        ran
    }

    /// Runs it with `input` on its standard input.
    pub fn pipe(&self, arguments: &str, input: &[u8]) -> Ran {
        let mut command = self.command(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writing = std::thread::spawn(move || stdin.write_all(&input));
        let ran = Ran::of(child.wait_with_output().unwrap());
        writing.join().unwrap().unwrap();
        ran
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_redflag"));
        command.current_dir(&self.folder).args(arguments.split_whitespace());
        command
    }
}

/// Columns of numbers by id, read from any file that has these columns.
pub fn numbers(
    path: &Path,
    id: &str,
    time: &str,
    amount: &str,
    columns: &[String],
) -> HashMap<String, Vec<f64>> {
    let fields: Vec<String> = columns.iter().map(|name| format!("{name} = \"number\"\n")).collect();
    let file = format!(
        "name = \"numbers\"\n[event]\nid = \"{id}\"\ntime = \"{time}\"\namount = \"{amount}\"\nas_features = [\"{amount}\"]\n\
         [event.fields]\n{}",
        fields.concat(),
    );
    let detector = Detector::parse(&file).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let schema = Arc::new(detector.schema);
    let mut reader = open(path, &schema, &ColumnMap::default()).unwrap();
    let mut block = Block::new(&schema);
    while reader.read(&mut block, 1_000_000).unwrap() {}
    assert_eq!(block.rejects, []);
    let row = |row: usize| (0..columns.len()).map(|slot| block.batch.number(row, slot)).collect();
    (0..block.batch.len()).map(|at| (block.batch.id(at).to_string(), row(at))).collect()
}

/// A file of the real data, which is not part of the repository: it is looked for in REDFLAG_SHARED_DATA, then in
/// `shared/data` beside the repository. A test that lacks it says so and passes.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("REDFLAG_SHARED_DATA").map_or(beside, PathBuf::from).join(name);
    if path.exists() {
        return Some(path);
    }
    // Straight to the standard error: what a passing test prints is not shown.
    let line = format!("NOT RUN: {} is absent; set REDFLAG_SHARED_DATA to its folder\n", path.display());
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}
