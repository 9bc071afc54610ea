//! A small HTTP/1.1 client that keeps its connection and can say what no proper client would.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Nothing here takes that long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// One connection, made when it is needed.
pub struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    /// Received beyond the last answer.
    rest: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Each line as JSON.
    pub fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Expects success.
    pub fn ok(self) -> Answer {
        assert_eq!(self.status, 200, "{self:?}");
        self
    }

    /// The fields at fault; expects a problem document of its own status.
    pub fn problem_fields(&self) -> Vec<String> {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document = self.json();
        assert_eq!(document["status"], self.status, "{document}");
        for member in ["type", "title", "detail"] {
            assert!(document[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {document}");
        }
        let errors = document["errors"].as_array().unwrap();
        errors.iter().map(|error| error["field"].as_str().unwrap().to_string()).collect()
    }
}

impl Client {
    pub fn new(address: SocketAddr) -> Client {
        Client { address, stream: None, rest: Vec::new() }
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, b"").unwrap()
    }

    /// Whether any part but the disk, which others fill as well, is not as it should be; the status of the whole must be that of
    /// all its parts.
    #[allow(dead_code, reason = "only the tests of the service look at health as a whole")]
    pub fn is_degraded(&mut self) -> bool {
        let health = self.get("/v1/health").ok().json();
        let parts = health["parts"].as_array().unwrap();
        let is_well = |part: &Value| part["status"] == "ok" || part["status"] == "off";
        let status = if parts.iter().all(is_well) { "ok" } else { "degraded" };
        assert_eq!(health["status"], status, "{health}");
        parts.iter().any(|part| part["name"] != "disk" && !is_well(part))
    }

    pub fn post(&mut self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.send("POST", path, body.as_ref()).unwrap()
    }

    /// One request and its answer. After an error the next request makes a new connection.
    pub fn send(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.send_raw(head.as_bytes(), body)
    }

    /// Sends these bytes and reads an answer.
    pub fn send_raw(&mut self, head: &[u8], body: &[u8]) -> io::Result<Answer> {
        let answer = self.exchange(head, body);
        let closing = |answer: &Answer| answer.header("connection") == Some("close");
        if answer.as_ref().map_or(true, closing) {
            self.close();
        }
        answer
    }

    pub fn close(&mut self) {
        self.stream = None;
        self.rest.clear();
    }

    /// Makes the connection, if there is none.
    pub fn connect(&mut self) -> io::Result<&mut TcpStream> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            self.stream = Some(stream);
        }
        Ok(self.stream.as_mut().expect("it was just made"))
    }

    fn exchange(&mut self, head: &[u8], body: &[u8]) -> io::Result<Answer> {
        let stream = self.connect()?;
        let mut message = head.to_vec();
        message.extend_from_slice(body);
        // Who is refused before all is sent cannot send the rest, but has an answer.
        let sent = stream.write_all(&message);
        self.receive().map_err(|error| sent.err().unwrap_or(error))
    }

    fn receive(&mut self) -> io::Result<Answer> {
        let head_end = loop {
            if let Some(at) = self.rest.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.receive_more()?;
        };
        let head = String::from_utf8(self.rest[..head_end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value);
        let length: usize = length.map_or(0, |text| text.parse().unwrap());
        while self.rest.len() < head_end + length {
            self.receive_more()?;
        }
        let body = self.rest[head_end..head_end + length].to_vec();
        self.rest.drain(..head_end + length);
        Ok(Answer { status, headers, body })
    }

    fn receive_more(&mut self) -> io::Result<()> {
        let mut buffer = [0_u8; 16 << 10];
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        match stream.read(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.rest.extend_from_slice(&buffer[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}
