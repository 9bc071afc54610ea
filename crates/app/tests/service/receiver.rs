//! A receiver of traces: a small server that takes them in, as OTLP in Protocol Buffers, and reads them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::spawn;

use super::process::wait_until;

/// A span as it was received.
#[derive(Debug, Clone, Default)]
pub struct Span {
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    pub kind: u64,
    pub from_ns: u64,
    pub to_ns: u64,
    pub attributes: BTreeMap<String, String>,
    pub is_error: bool,
}

/// A receiver of traces on a port of its own.
pub struct Receiver {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
    bodies: Arc<Mutex<Vec<u8>>>,
}

impl Receiver {
    /// One that answers with these statuses, one after the other, and with the last one from then on; spans count where that is 200.
    pub fn start(statuses: &[u16]) -> Receiver {
        let said = |status: &u16| {
            (*status, format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"))
        };
        Receiver::saying(statuses.iter().map(said).collect())
    }

    /// One that says this, whatever it gets.
    #[allow(dead_code, reason = "only the tests of the service look at what receivers may say")]
    pub fn answering(answer: &str) -> Receiver {
        Receiver::saying(vec![(200, answer.to_string())])
    }

    fn saying(answers: Vec<(u16, String)>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (spans, bodies) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (kept, seen) = (Arc::clone(&spans), Arc::clone(&bodies));
        spawn(move || {
            let mut asked = 0;
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some((head, body)) = received(&mut stream) else { continue };
                assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
                assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
                let (status, answer) = &answers[asked.min(answers.len() - 1)];
                asked += 1;
                if *status == 200 {
                    kept.lock().unwrap().extend(spans_of(&body));
                    seen.lock().unwrap().extend(body);
                }
                // Who hangs up early has what it needs.
                drop(stream.write_all(answer.as_bytes()));
            }
        });
        Receiver { address, spans, bodies }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for so many spans of a trace.
    pub fn wait_for(&self, trace: &str, count: usize) -> Vec<Span> {
        let of_trace = || -> Vec<Span> {
            self.spans.lock().unwrap().iter().filter(|span| span.trace == trace).cloned().collect()
        };
        wait_until("the spans arrive", || of_trace().len() >= count);
        of_trace()
    }

    /// Everything, as it came.
    pub fn received(&self) -> Vec<u8> {
        self.bodies.lock().unwrap().clone()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }
}

/// A request's head and body.
fn received(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 64 << 10]);
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase().replacen("post", "POST", 1);
    let head = head.replacen("http/1.1", "HTTP/1.1", 1);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let length: usize = length.parse().unwrap();
    while bytes.len() < end + length {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
    }
    Some((head, bytes[end..].to_vec()))
}

/// A field of a message of Protocol Buffers.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn bytes(&self) -> &'a [u8] {
        match self {
            Field::Bytes(bytes) => bytes,
            Field::Number(number) => panic!("{number} is no message"),
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }

    fn hex(&self) -> String {
        self.bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn number(&self) -> u64 {
        match self {
            Field::Number(number) => *number,
            Field::Bytes(bytes) => panic!("{bytes:?} is no number"),
        }
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    number
}

/// The fields of a message (<https://protobuf.dev/programming-guides/encoding/>).
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => {
                let (number, rest) = bytes.split_at(8);
                bytes = rest;
                Field::Number(u64::from_le_bytes(number.try_into().unwrap()))
            }
            2 => {
                let length = varint(&mut bytes) as usize;
                let (inner, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(inner)
            }
            other => panic!("there is no wire type {other} here"),
        };
        found.push((tag >> 3, field));
    }
    found
}

/// All fields of that number.
fn each(bytes: &[u8], number: u64) -> impl Iterator<Item = Field<'_>> {
    fields(bytes).into_iter().filter(move |(found, _)| *found == number).map(|(_, field)| field)
}

fn attribute(pair: &[u8]) -> (String, String) {
    let key = each(pair, 1).next().unwrap().text();
    let value = each(pair, 2).next().unwrap();
    let value = fields(value.bytes()).into_iter().next().unwrap();
    let value = match value {
        (1, text) => text.text(),
        (3, number) => number.number().to_string(),
        (other, _) => panic!("{key}: no kind {other} of value is sent"),
    };
    (key, value)
}

/// The spans of an `ExportTraceServiceRequest`.
fn spans_of(body: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in each(body, 1) {
        let resource = each(of_resource.bytes(), 1).next().unwrap();
        let about: BTreeMap<_, _> = each(resource.bytes(), 1).map(|pair| attribute(pair.bytes())).collect();
        assert_eq!(about["service.name"], "payments", "{about:?}");
        assert_eq!(about["service.version"], env!("CARGO_PKG_VERSION"));
        for of_scope in each(of_resource.bytes(), 2) {
            spans.extend(each(of_scope.bytes(), 2).map(|span| span_of(span.bytes())));
        }
    }
    spans
}

fn span_of(bytes: &[u8]) -> Span {
    let mut span = Span::default();
    for (number, field) in fields(bytes) {
        match number {
            1 => span.trace = field.hex(),
            2 => span.id = field.hex(),
            4 => span.parent = field.hex(),
            5 => span.name = field.text(),
            6 => span.kind = field.number(),
            7 => span.from_ns = field.number(),
            8 => span.to_ns = field.number(),
            9 => span.attributes.extend([attribute(field.bytes())]),
            15 => span.is_error = each(field.bytes(), 3).any(|code| code.number() == 2),
            other => panic!("no field {other} of a span is sent"),
        }
    }
    span
}
