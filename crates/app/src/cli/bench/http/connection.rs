//! One connection that posts, and waits for each answer.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most headers of an answer.
const HEADERS_MAX: usize = 64;

/// Blocks, so that a thread of its own sleeps until the moment a transaction is due: timers of an event loop are good to a
/// millisecond, which is more than what is measured.
pub struct Connection {
    socket: TcpStream,
    /// What precedes the length of the body.
    head: String,
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl Connection {
    /// Connects to host:port; posts go to `path`, with `key` as a bearer token.
    ///
    /// # Errors
    /// If nobody answers there.
    pub fn open(address: &str, path: &str, key: Option<&str>) -> io::Result<Connection> {
        let mut found = address.to_socket_addrs()?;
        let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("no address is known of {address}"));
        let socket = TcpStream::connect_timeout(&found.next().ok_or_else(unknown)?, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let authorization = key.map(|key| format!("authorization: Bearer {key}\r\n")).unwrap_or_default();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\n{authorization}content-type: application/json\r\n\
             content-length: "
        );
        Ok(Connection { socket, head, sent: Vec::new(), received: Vec::new() })
    }

    /// Posts a body and gives the answer's status.
    ///
    /// # Errors
    /// If the connection breaks, or what comes is not HTTP.
    pub fn post(&mut self, body: &str) -> io::Result<u16> {
        self.sent.clear();
        write!(self.sent, "{}{}\r\n\r\n{body}", self.head, body.len())?;
        self.socket.write_all(&self.sent)?;
        self.received.clear();
        loop {
            self.read_more()?;
            if let Some((status, length)) = head_of(&self.received)? {
                while self.received.len() < length {
                    self.read_more()?;
                }
                return Ok(status);
            }
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let known = self.received.len();
        self.received.resize(known + 4_096, 0);
        let read = self.socket.read(&mut self.received[known..])?;
        self.received.truncate(known + read);
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// Status and length of an answer, head and body together; `None` if its head is not complete.
fn head_of(received: &[u8]) -> io::Result<Option<(u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let httparse::Status::Complete(head) =
        answer.parse(received).map_err(|error| wrong(error.to_string()))?
    else {
        return Ok(None);
    };
    let length = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok());
    let body = length.ok_or_else(|| wrong("an answer without content-length".to_string()))?;
    Ok(Some((answer.code.unwrap_or_default(), head + body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_known_when_its_head_is_complete() {
        let answer = b"HTTP/1.1 422 Unprocessable Entity\r\nContent-Length: 3\r\n\r\nno!";
        assert_eq!(head_of(&answer[..30]).unwrap(), None);
        assert_eq!(head_of(answer).unwrap(), Some((422, answer.len())));
        assert!(head_of(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(head_of(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
    }
}
