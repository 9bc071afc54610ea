//! `redflag serve` as a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long it may take until its state is restored, and with Kafka its partitions are owned.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ticks of processor time a second: what Linux reports on every architecture that redflag is built for.
const TICKS_PER_SECOND: f64 = 100.0;

/// The running service.
pub struct ServiceProcess {
    child: Child,
    address: String,
}

impl ServiceProcess {
    /// Starts it with these settings on a port of its own, and waits until it is ready.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start(settings: &[(&str, &str)]) -> Result<ServiceProcess> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("serve")
            .env("REDFLAG_LISTEN", "127.0.0.1:0")
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped());
        command.envs(settings.iter().copied());
        let mut child = command.spawn().context("cannot start redflag serve")?;
        let out = child.stdout.take().context("its output was piped")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let Some((_, address)) = line.trim().rsplit_once("http://") else {
            bail!("redflag serve did not start")
        };
        let service = ServiceProcess { address: address.to_string(), child };
        service.await_ready()?;
        Ok(service)
    }

    /// Where it listens, as host:port.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn await_ready(&self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if self.is_ready() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("redflag serve is not ready after {} s", PATIENCE.as_secs())
    }

    fn is_ready(&self) -> bool {
        self.get("/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// What it answers on a path, head and body.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn get(&self, path: &str) -> Result<String> {
        let mut socket = TcpStream::connect(&self.address)?;
        write!(socket, "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address)?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// # Errors
    /// If it has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("redflag serve has ended: {status}"),
            None => Ok(()),
        }
    }

    /// Ends it as an operator would.
    ///
    /// # Errors
    /// If it cannot be told.
    pub fn stop(mut self) -> Result<()> {
        Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .context("cannot stop redflag serve")?;
        self.child.wait().context("cannot wait for redflag serve")?;
        Ok(())
    }
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Processor time that a process has used.
///
/// # Errors
/// If there is no such process.
pub fn cpu_seconds(process: u32) -> Result<f64> {
    let text =
        std::fs::read_to_string(format!("/proc/{process}/stat")).context("cannot read its processor time")?;
    // The name in parentheses may hold blanks; user and system time are the 12th and 13th fields after it.
    let fields = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect::<Vec<_>>());
    let ticks = |at: usize| fields.as_ref()?.get(at)?.parse::<f64>().ok();
    let ticks = ticks(11).zip(ticks(12)).context("/proc says something else")?;
    Ok((ticks.0 + ticks.1) / TICKS_PER_SECOND)
}

/// Memory that a process holds, in bytes.
///
/// # Errors
/// If there is no such process.
pub fn resident_bytes(process: u32) -> Result<u64> {
    let text =
        std::fs::read_to_string(format!("/proc/{process}/status")).context("cannot read its memory")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1_024).context("/proc says something else")
}
