//! The address of a PostgreSQL server, and a connection to it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use openssl::ssl::{SslConnector, SslFiletype, SslMethod, SslVerifyMode};
use postgres::config::SslMode;
use postgres::{Client, Config};
use postgres_openssl::MakeTlsConnector;

use crate::{Result, StoreError};

/// How long a server may take to answer the first call.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A server that does not answer a probe of the connection is dead after three of these and the one before.
const PROBE_AFTER: Duration = Duration::from_secs(5);
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
const PROBES: u32 = 3;

/// Sent and not acknowledged for this long, the connection is dead.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=ca.pem`.
#[derive(Clone)]
pub struct Address {
    /// As it was given, with its password.
    text: String,
    config: Config,
    tls: Tls,
    /// The address without its password.
    shown: String,
}

/// What of the server is checked when the connection is encrypted, by `sslmode`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tls {
    verify_chain: bool,
    verify_host: bool,
    root: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Address {
    /// Reads an address; `None` if it is not one of PostgreSQL.
    ///
    /// # Errors
    /// What is wrong with it; the password is not repeated.
    pub fn parse(text: &str) -> Option<std::result::Result<Address, String>> {
        let known = text.starts_with("postgres://") || text.starts_with("postgresql://");
        known.then(|| read(text))
    }

    /// The same, with this schema before all others.
    pub(super) fn in_schema(&self, schema: &str) -> Address {
        let mut address = self.clone();
        let given = self.config.get_options().unwrap_or_default();
        address.config.options(&format!("{given} -c search_path={schema}"));
        address.text.push_str(schema);
        address
    }

    /// Connects.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses.
    pub fn connect(&self) -> Result<Client> {
        let connector = self.tls.connector().map_err(|error| StoreError::Tls(error.to_string()))?;
        Ok(self.config.connect(connector)?)
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Address) -> bool {
        self.text == other.text
    }
}

impl Eq for Address {}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.shown)
    }
}

fn read(text: &str) -> std::result::Result<Address, String> {
    let (server, query) = text.split_once('?').unwrap_or((text, ""));
    let mut tls = Tls::default();
    let mut mode = SslMode::Prefer;
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "sslmode" => mode = tls.set_mode(value)?,
            "sslrootcert" => tls.root = Some(PathBuf::from(value)),
            "sslcert" => tls.certificate = Some(PathBuf::from(value)),
            "sslkey" => tls.key = Some(PathBuf::from(value)),
            _ => rest.push(pair),
        }
    }
    let server = [server, if rest.is_empty() { "" } else { "?" }, &rest.join("&")].concat();
    let mut config: Config = server.parse().map_err(|error: postgres::Error| why(&error))?;
    config
        .ssl_mode(mode)
        .connect_timeout(CONNECT_TIMEOUT)
        .keepalives_idle(PROBE_AFTER)
        .keepalives_interval(PROBE_INTERVAL)
        .keepalives_retries(PROBES)
        .tcp_user_timeout(UNACKNOWLEDGED);
    if config.get_application_name().is_none() {
        config.application_name("redflag");
    }
    Ok(Address { text: text.to_string(), config, tls, shown: without_password(text) })
}

/// The error with what caused it: the first part alone says little.
pub(crate) fn why(error: &postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        let deeper_text = deeper.to_string();
        if !text.contains(&deeper_text) {
            text = format!("{text}: {deeper_text}");
        }
        cause = deeper.source();
    }
    text
}

/// `postgres://user:***@host/database`.
fn without_password(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let (server, query) = rest.split_once('?').map_or((rest, None), |(server, query)| (server, Some(query)));
    let server = match server.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:***@{host}"),
            None => server.to_string(),
        },
        None => server.to_string(),
    };
    let pairs = query.map(|query| {
        let hide = |pair: &str| if pair.starts_with("password=") { "password=***" } else { pair }.to_string();
        format!("?{}", query.split('&').map(hide).collect::<Vec<_>>().join("&"))
    });
    format!("{scheme}://{server}{}", pairs.unwrap_or_default())
}

impl Tls {
    fn set_mode(&mut self, mode: &str) -> std::result::Result<SslMode, String> {
        (self.verify_chain, self.verify_host) = match mode {
            "verify-ca" => (true, false),
            "verify-full" => (true, true),
            _ => (false, false),
        };
        match mode {
            "disable" => Ok(SslMode::Disable),
            "allow" | "prefer" => Ok(SslMode::Prefer),
            "require" | "verify-ca" | "verify-full" => Ok(SslMode::Require),
            _ => Err(format!(
                "sslmode is \"{mode}\", expected disable, prefer, require, verify-ca or verify-full"
            )),
        }
    }

    fn connector(&self) -> std::result::Result<MakeTlsConnector, openssl::error::ErrorStack> {
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        if !self.verify_chain {
            builder.set_verify(SslVerifyMode::NONE);
        }
        if let Some(root) = &self.root {
            builder.set_ca_file(root)?;
        }
        if let Some(certificate) = &self.certificate {
            builder.set_certificate_chain_file(certificate)?;
        }
        if let Some(key) = &self.key {
            builder.set_private_key_file(key, SslFiletype::PEM)?;
        }
        let mut connector = MakeTlsConnector::new(builder.build());
        let verify_host = self.verify_host;
        connector.set_callback(move |configuration, _| {
            configuration.set_verify_hostname(verify_host);
            Ok(())
        });
        Ok(connector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> std::result::Result<Address, String> {
        Address::parse(text).unwrap()
    }

    #[test]
    fn no_password_is_shown() {
        for (text, shown) in [
            ("postgres://me:se@cret@host:5433/cards", "postgres://me:***@host:5433/cards"),
            ("postgresql://me@host/cards?password=secret", "postgresql://me@host/cards?password=***"),
            ("postgres://host/cards?sslmode=require", "postgres://host/cards?sslmode=require"),
        ] {
            let address = parse(&text.replace("se@cret", "se%40cret")).unwrap();
            assert_eq!(address.to_string(), shown);
            assert!(!format!("{address:?}").contains("cret"));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(Address::parse("decisions.db").is_none());
        assert!(parse("postgres://host/cards?sslmode=maybe").unwrap_err().contains("verify-full"));
        assert!(parse("postgres://me:secret@host:port/cards").unwrap_err().contains("port"));
        assert!(!parse("postgres://me:secret@host:port/cards").unwrap_err().contains("secret"));
        let address = parse("postgres://host/cards?sslmode=verify-full&sslrootcert=absent.pem").unwrap();
        assert!(address.connect().err().unwrap().to_string().contains("TLS"));
    }
}
