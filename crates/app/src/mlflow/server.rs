//! The server's address, and calls to it that say what went wrong.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Url};
use serde_json::Value;
use tokio::runtime::Runtime;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may take: as long as MLflow's own client waits.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a file may take on its way through the server into the store.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(600);

/// What of an answer that is not MLflow's is shown.
const SHOWN_CHARS: usize = 200;

/// Code of MLflow for something that is not there.
pub const ABSENT: &str = "RESOURCE_DOES_NOT_EXIST";

/// Code of MLflow for something that is there already.
pub const PRESENT: &str = "RESOURCE_ALREADY_EXISTS";

/// Address of a tracking server, and who asks. Never shown with a password.
#[derive(Clone)]
pub struct Server {
    url: Url,
    credentials: Credentials,
}

/// What MLflow's own client takes from the environment.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Nothing, or what the address says.
    #[default]
    None,
    /// `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`.
    Basic(String, String),
    /// `MLFLOW_TRACKING_TOKEN`.
    Token(String),
}

impl Credentials {
    /// Name and password go before a token, as in MLflow's own client.
    pub fn from_environment() -> Credentials {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (variable("MLFLOW_TRACKING_USERNAME"), variable("MLFLOW_TRACKING_PASSWORD")) {
            (Some(name), Some(password)) => Credentials::Basic(name, password),
            _ => variable("MLFLOW_TRACKING_TOKEN").map_or(Credentials::None, Credentials::Token),
        }
    }
}

impl Server {
    /// Reads an address such as `https://name:password@host:port/path`; what it says goes before `credentials`.
    ///
    /// # Errors
    /// What is wrong with it; a password is not repeated.
    pub fn parse(text: &str, credentials: Credentials) -> Result<Server, String> {
        let expected = "expected the address of an MLflow server, as http://127.0.0.1:5000";
        let url = Url::parse(text).map_err(|error| format!("{error}: {expected}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("the scheme is {}: {expected}", url.scheme()));
        }
        let named = !url.username().is_empty() || url.password().is_some();
        Ok(Server { url, credentials: if named { Credentials::None } else { credentials } })
    }

    /// The address of something below the server's own.
    fn at<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.path_segments_mut().expect("http has a path").pop_if_empty().extend(path);
        url
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.credentials {
            Credentials::None => request,
            Credentials::Basic(name, password) => request.basic_auth(name, Some(password)),
            Credentials::Token(token) => request.bearer_auth(token),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.url.clone();
        // Only an address without a host refuses this, and http has one.
        let _is_cleared = shown.set_password(None).and_then(|()| shown.set_username(""));
        shown.set_query(None);
        f.write_str(shown.as_str().trim_end_matches('/'))
    }
}

/// A call that did not do what it was for.
#[derive(Debug, thiserror::Error)]
#[error("{call} failed: {problem}")]
pub struct CallError {
    /// What was asked of which server, and how.
    call: String,
    problem: String,
    /// MLflow's own, as [`ABSENT`]; empty where no answer came, or another program answered.
    pub code: String,
}

/// Calls, one after the other.
pub struct Client {
    server: Server,
    http: reqwest::Client,
    runtime: Runtime,
}

impl Client {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// If TLS or a runtime cannot be set up.
    pub fn new(server: Server) -> anyhow::Result<Client> {
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Client { server, http, runtime })
    }

    /// The server's address without what is secret.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Reads something from the REST API. `purpose` is what MLflow is asked to do, for an error.
    pub fn get(&self, purpose: &str, path: &str, query: &[(&str, &str)]) -> Result<Value, CallError> {
        let mut url = self.api(path);
        url.query_pairs_mut().extend_pairs(query);
        self.call(purpose, Method::GET, url, Body::None)
    }

    /// Creates or adds something by the REST API.
    pub fn post(&self, purpose: &str, path: &str, body: &Value) -> Result<Value, CallError> {
        self.call(purpose, Method::POST, self.api(path), Body::Json(body.to_string()))
    }

    /// Changes something by the REST API.
    pub fn patch(&self, purpose: &str, path: &str, body: &Value) -> Result<Value, CallError> {
        self.call(purpose, Method::PATCH, self.api(path), Body::Json(body.to_string()))
    }

    /// Hands a file to the server for its store. `place` is a path below the store's root.
    pub fn upload(&self, place: &str, bytes: Vec<u8>) -> Result<(), CallError> {
        let below = ["api", "2.0", "mlflow-artifacts", "artifacts"];
        let url = self.server.at(below.into_iter().chain(place.split('/')));
        self.call("store a file", Method::PUT, url, Body::File(bytes)).map(drop)
    }

    fn api(&self, path: &str) -> Url {
        self.server.at(["api", "2.0", "mlflow"].into_iter().chain(path.split('/')))
    }

    fn call(&self, purpose: &str, method: Method, url: Url, body: Body) -> Result<Value, CallError> {
        let call = format!("asking MLflow at {} to {purpose} ({method} {})", self.server, url.path());
        let request = body.put_into(self.http.request(method, url));
        let answered = self.runtime.block_on(answer(self.server.authorized(request)));
        answered.map_err(|Problem { problem, code }| CallError { call, problem, code })
    }
}

/// What a call carries.
enum Body {
    None,
    Json(String),
    File(Vec<u8>),
}

impl Body {
    fn put_into(self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Body::None => request.timeout(ANSWER_TIMEOUT),
            Body::Json(text) => {
                request.timeout(ANSWER_TIMEOUT).header("content-type", "application/json").body(text)
            }
            Body::File(bytes) => {
                request.timeout(UPLOAD_TIMEOUT).header("content-type", "application/octet-stream").body(bytes)
            }
        }
    }
}

/// Why there is no good answer.
struct Problem {
    problem: String,
    code: String,
}

async fn answer(request: RequestBuilder) -> Result<Value, Problem> {
    let received = async {
        let response = request.send().await?;
        Ok((response.status(), response.bytes().await?))
    };
    let (status, bytes) =
        received.await.map_err(|error| Problem { problem: causes(error), code: String::new() })?;
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    if status.is_success() {
        return Ok(answer);
    }
    let code = answer["error_code"].as_str().unwrap_or_default().to_string();
    // Another program than MLflow answers in its own way: the beginning tells enough.
    let text = || String::from_utf8_lossy(&bytes).trim().chars().take(SHOWN_CHARS).collect();
    let message = answer["message"].as_str().map_or_else(text, str::to_string);
    Err(Problem { problem: format!("{status} {code}: {message}"), code })
}

/// An error of the client with what is behind it. Without its address: that may hold a password.
fn causes(error: reqwest::Error) -> String {
    let error = anyhow::Error::new(error.without_url());
    format!("{error:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_password_to_itself() {
        let server = Server::parse("https://ann:hidden@example.org/mlflow/?x=hidden", Credentials::None);
        let server = server.unwrap();
        assert_eq!(server.to_string(), "https://example.org/mlflow");
        let url = server.at(["api", "report one.html"]);
        assert_eq!(url.as_str(), "https://ann:hidden@example.org/mlflow/api/report%20one.html");
    }

    #[test]
    fn an_address_is_one_of_http() {
        for wrong in ["127.0.0.1:5000", "ftp://example.org", "mlflow", "http://"] {
            let error = Server::parse(wrong, Credentials::None).err();
            assert!(error.is_some_and(|error| error.contains("expected the address")), "{wrong}");
        }
    }
}
