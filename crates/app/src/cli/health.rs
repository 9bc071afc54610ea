//! `redflag health`: asks a running service whether it decides. An image without curl or a shell checks itself by this.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use reqwest::{StatusCode, Url};
use serde_json::Value;

use super::WrongInput;
use crate::service::settings::Settings;

/// How long the service may take: what checks it gives up soon after.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Ask a running service whether it decides
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if it does, 1 if it does not or nobody answers.\n\nExamples:\n  redflag health\n  \
                        redflag health --url https://redflag.example:8443 --alive"
)]
pub struct Args {
    /// Where it serves; by default where these settings (REDFLAG_LISTEN) say, on this machine
    #[arg(long)]
    url: Option<String>,
    /// Only whether the process answers: it may be replaying its log, or waiting for Kafka or its database
    #[arg(long)]
    alive: bool,
}

/// Runs the command.
///
/// # Errors
/// If nobody answers, or the service does not decide; the message says which parts keep it from that.
pub fn run(args: &Args) -> Result<()> {
    let mut url = match &args.url {
        Some(url) => parse(url)?,
        None => parse(&own_url(Settings::load(None, |name| std::env::var(name).ok())?.listen))?,
    };
    url.set_path(if args.alive { "/healthz" } else { "/readyz" });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (status, body) = runtime.block_on(ask(url.clone())).with_context(|| format!("no answer at {url}"))?;
    if status.is_success() {
        println!("{}", if args.alive { "alive" } else { "ready" });
        return Ok(());
    }
    Err(anyhow!("{url} answers {status}{}", troubles(&body)))
}

fn parse(url: &str) -> Result<Url> {
    let expected = format!("--url is \"{url}\", expected an address, as http://127.0.0.1:8080");
    let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    Ok(parsed.ok_or(WrongInput(expected))?)
}

/// A service that listens everywhere is asked on loopback.
fn own_url(listen: SocketAddr) -> String {
    let loopback = match listen.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let address = if listen.ip().is_unspecified() { loopback } else { listen.ip() };
    format!("http://{}", SocketAddr::new(address, listen.port()))
}

async fn ask(url: Url) -> reqwest::Result<(StatusCode, String)> {
    let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).no_proxy().build()?;
    let answer = client.get(url).send().await?;
    Ok((answer.status(), answer.text().await?))
}

/// The parts of a health document that are degraded, one a line; nothing of another document.
fn troubles(body: &str) -> String {
    let document: Value = serde_json::from_str(body).unwrap_or_default();
    let parts = document["parts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let degraded = parts.iter().filter(|part| part["status"] == "degraded");
    let words = |value: &Value| value.as_str().unwrap_or_default().to_string();
    degraded.map(|part| format!("\n  {}: {}", words(&part["name"]), words(&part["detail"]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_listens_everywhere_is_asked_on_loopback() {
        let asked = |listen: &str| own_url(listen.parse().unwrap());
        assert_eq!(asked("0.0.0.0:8080"), "http://127.0.0.1:8080");
        assert_eq!(asked("[::]:9000"), "http://[::1]:9000");
        assert_eq!(asked("10.1.2.3:80"), "http://10.1.2.3:80");
    }

    #[test]
    fn what_is_degraded_is_told_and_nothing_else() {
        let body = r#"{"parts":[{"name":"store","status":"degraded","detail":"it refuses"},{"name":"disk","status":"ok"}]}"#;
        assert_eq!(troubles(body), "\n  store: it refuses");
        assert_eq!(troubles("<html>"), "");
    }
}
