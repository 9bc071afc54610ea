//! The binary as a process: started on a free port, signalled, killed, watched.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::client::Client;

/// An empty folder by the name of the test.
pub fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("service").join(test);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The binary, untouched by settings of whoever runs the tests.
pub fn redflag() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redflag"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("REDFLAG_") {
            command.env_remove(name);
        }
    }
    command.env("RUST_LOG", "warn").stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

/// Runs `redflag` in a folder and expects success; what it printed.
pub fn succeed(folder: &Path, arguments: &str) -> String {
    let output = run(redflag().current_dir(folder).args(arguments.split_whitespace()));
    assert!(output.status.success(), "{arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Asks until it is so.
pub fn wait_until(what: &str, is_so: impl FnMut() -> bool) {
    wait_until_within(Duration::from_secs(30), what, is_so);
}

/// Asks until it is so, the less often the more patience there is: asking takes time from what is waited for.
pub fn wait_until_within(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(patience / 30_000);
    }
}

/// Settings of `serve`.
#[derive(Debug, Clone)]
pub struct Setup {
    data_dir: PathBuf,
    variables: Vec<(&'static str, String)>,
    file: Option<PathBuf>,
}

impl Setup {
    /// The detector `card-handbook` without a model, its data in this folder.
    pub fn new(data_dir: &Path) -> Setup {
        Setup { data_dir: data_dir.to_path_buf(), variables: Vec::new(), file: None }
            .with("REDFLAG_DETECTOR", "card-handbook")
    }

    pub fn with(mut self, variable: &'static str, value: impl Into<String>) -> Setup {
        self.variables.push((variable, value.into()));
        self
    }

    /// Reads a settings file as well.
    #[allow(dead_code, reason = "only the tests between topics set more than the defaults")]
    pub fn with_file(mut self, file: &Path) -> Setup {
        self.file = Some(file.to_path_buf());
        self
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub fn database(&self) -> PathBuf {
        self.data_dir.join("redflag.db")
    }

    pub fn command(&self) -> Command {
        let mut command = redflag();
        command.arg("serve").env("REDFLAG_LISTEN", "127.0.0.1:0").env("REDFLAG_DATA_DIR", &self.data_dir);
        command.args(self.file.iter().flat_map(|file| [OsStr::new("--config"), file.as_os_str()]));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the process; what it logs is appended to a file beside the data folder.
    pub fn spawn(&self) -> Starting {
        Starting::of(&mut self.command(), self.data_dir.with_extension("log"))
    }

    /// Starts the service and waits until it answers.
    pub fn start(&self) -> Service {
        self.spawn().wait()
    }
}

/// A child that does not outlive the test.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A process that may not listen yet.
pub struct Starting {
    child: Reaped,
    log: PathBuf,
}

impl Starting {
    /// Starts a process; what it logs is appended to this file.
    pub fn of(command: &mut Command, log: PathBuf) -> Starting {
        let errors = File::options().create(true).append(true).open(&log).unwrap();
        let child = command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        Starting { child: Reaped(child), log }
    }

    /// SIGKILL, whatever it is doing.
    pub fn kill(mut self) {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
    }

    /// Waits until it answers and is ready.
    pub fn wait(self) -> Service {
        let service = self.wait_to_listen();
        assert_eq!(service.client().get("/readyz").text(), "ready\n");
        service
    }

    /// Waits until it answers, ready or not.
    pub fn wait_to_listen(mut self) -> Service {
        let mut said = Vec::new();
        let lines = BufReader::new(self.child.0.stdout.take().unwrap()).lines();
        let address = lines.map_while(Result::ok).find_map(|line| {
            let address = line.trim_end().rsplit_once("://").and_then(|(_, address)| address.parse().ok());
            said.push(line);
            address
        });
        let Some(address) = address else {
            panic!("it does not serve: {said:?}\n{}", std::fs::read_to_string(&self.log).unwrap())
        };
        Service { child: Mutex::new(self.child), address }
    }
}

/// A service that answers.
pub struct Service {
    child: Mutex<Reaped>,
    pub address: SocketAddr,
}

impl Service {
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// SIGKILL.
    pub fn kill(self) {
        let mut child = self.child.lock().unwrap();
        child.0.kill().unwrap();
        child.0.wait().unwrap();
    }

    /// `TERM` or `INT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end, and how long it took.
    pub fn ended(&self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        let mut status = None;
        wait_until("the service ends", || {
            status = self.try_wait();
            status.is_some()
        });
        (status.unwrap(), started.elapsed())
    }

    /// SIGTERM, and expects a good end.
    pub fn stop(self) {
        self.signal("TERM");
        let (status, _) = self.ended();
        assert_eq!(status.code(), Some(0), "{status}");
    }

    pub fn is_alive(&self) -> bool {
        self.try_wait().is_none()
    }

    fn try_wait(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().0.try_wait().unwrap()
    }

    fn id(&self) -> u32 {
        self.child.lock().unwrap().0.id()
    }

    /// Resident memory; `None` where the system does not say.
    pub fn memory_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
    }
}
