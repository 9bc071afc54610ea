//! Spans as OTLP in Protocol Buffers (<https://github.com/open-telemetry/opentelemetry-proto>, `trace/v1/trace.proto`). So little of
//! it is needed that it is written by hand.

use super::span::{Part, Span};

/// What is the same for all spans of a process.
#[derive(Debug, Clone)]
pub struct Resource {
    /// What the service is called.
    pub service: String,
    /// Its version.
    pub version: &'static str,
    /// Which process of it this is.
    pub instance: String,
    /// The system behind the store, as `sqlite`; empty without one.
    pub database: &'static str,
}

// Values of `SpanKind` and `StatusCode`.
const INTERNAL: u64 = 1;
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
const PRODUCER: u64 = 4;
const CONSUMER: u64 = 5;
const ERROR: u64 = 2;

/// An `ExportTraceServiceRequest` with these spans; `unix_ns` says when an instant was.
pub fn request(resource: &Resource, spans: &[Span], unix_ns: impl Fn(std::time::Instant) -> u64) -> Vec<u8> {
    let mut out = Message::default();
    out.message(1, |of_resource| {
        of_resource.message(1, |about| {
            about.attribute(1, "service.name", Value::Text(&resource.service));
            about.attribute(1, "service.version", Value::Text(resource.version));
            about.attribute(1, "service.instance.id", Value::Text(&resource.instance));
        });
        of_resource.message(2, |of_scope| {
            of_scope.message(1, |scope| {
                scope.bytes(1, b"redflag");
                scope.bytes(2, resource.version.as_bytes());
            });
            for span in spans {
                of_scope.message(2, |out| write_span(out, span, resource, &unix_ns));
            }
        });
    });
    out.0
}

/// Spans that a receiver did not take although it answered well: `partial_success.rejected_spans` of an
/// `ExportTraceServiceResponse`. What cannot be read rejects nothing.
pub fn rejected_spans(answer: &[u8]) -> u64 {
    const PARTIAL_SUCCESS: u8 = 1 << 3 | 2;
    const REJECTED_SPANS: u8 = 1 << 3;
    let [PARTIAL_SUCCESS, _, REJECTED_SPANS, number @ ..] = answer else { return 0 };
    let mut rejected = 0;
    for (at, byte) in number.iter().take(9).enumerate() {
        rejected |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return rejected;
        }
    }
    0
}

fn write_span(
    out: &mut Message,
    span: &Span,
    resource: &Resource,
    unix_ns: impl Fn(std::time::Instant) -> u64,
) {
    let (name, kind) = name_and_kind(&span.part);
    out.bytes(1, &span.trace.to_be_bytes());
    out.bytes(2, &span.id.to_be_bytes());
    if span.parent != 0 {
        out.bytes(4, &span.parent.to_be_bytes());
    }
    out.bytes(5, name.as_bytes());
    out.number(6, kind);
    out.fixed64(7, unix_ns(span.from));
    out.fixed64(8, unix_ns(span.to));
    write_attributes(out, &span.part, resource);
    if matches!(span.part, Part::Request { status: 500.., .. }) {
        out.message(15, |status| status.number(3, ERROR));
    }
}

/// Names say what is done, never to whom.
fn name_and_kind(part: &Part) -> (String, u64) {
    let (name, kind) = match part {
        Part::Request { method, route: Some(route), .. } => return (format!("{method} {route}"), SERVER),
        Part::Request { method, route: None, .. } => (*method, SERVER),
        Part::Queue => ("queue", INTERNAL),
        Part::Decide { .. } => ("decide", INTERNAL),
        Part::Commit { .. } => ("commit", CLIENT),
        Part::Answer => ("answer", INTERNAL),
        Part::Process => ("process", CONSUMER),
        Part::Produce => ("send", PRODUCER),
        Part::CommitTopics => ("commit topics", CLIENT),
    };
    (name.to_string(), kind)
}

/// The names of OpenTelemetry's semantic conventions, 1.30, and `redflag.` for our own.
fn write_attributes(out: &mut Message, part: &Part, resource: &Resource) {
    let mut say = |key: &str, value: Value| out.attribute(9, key, value);
    match part {
        Part::Request { method, route, status } => {
            say("http.request.method", Value::Text(method));
            say("http.response.status_code", Value::Number(i64::from(*status)));
            route.iter().for_each(|route| say("http.route", Value::Text(route)));
        }
        Part::Decide { group } => say("redflag.group.transactions", Value::Number(i64::from(*group))),
        Part::Commit { group } => {
            say("redflag.group.transactions", Value::Number(i64::from(*group)));
            say("db.system.name", Value::Text(resource.database));
        }
        Part::Process | Part::Produce | Part::CommitTopics => say("messaging.system", Value::Text("kafka")),
        Part::Queue | Part::Answer => {}
    }
}

/// The value of an attribute.
enum Value<'a> {
    Text(&'a str),
    Number(i64),
}

/// A message of Protocol Buffers that is being written (<https://protobuf.dev/programming-guides/encoding/>).
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn tag(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.tag(field, 0);
        self.varint(number);
    }

    fn fixed64(&mut self, field: u64, number: u64) {
        self.tag(field, 1);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.tag(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u64, write: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }

    /// A `KeyValue`.
    fn attribute(&mut self, field: u64, key: &str, value: Value) {
        self.message(field, |pair| {
            pair.bytes(1, key.as_bytes());
            pair.message(2, |any| match value {
                Value::Text(text) => any.bytes(1, text.as_bytes()),
                Value::Number(number) => any.number(3, number as u64),
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// The same message, as the package `opentelemetry-proto` 1.45.2 writes it.
    const OFFICIAL: &str = "\
        0aa0030a540a1a0a0c736572766963652e6e616d65120a0a087061796d656e74730a1a0a0f736572766963652e76657273696f6e12070a05302e312e300a1a\
        0a13736572766963652e696e7374616e63652e696412030a013712c7020a100a07726564666c61671205302e312e3012ae010a104bf92f3577b34da6a3ce92\
        9d0e0e4736120800f067aa0ba902b72a15504f5354202f76312f7472616e73616374696f6e7330023900002a36fe9c971741e0932e36fe9c97174a1d0a1368\
        7474702e726571756573742e6d6574686f6412060a04504f53544a200a19687474702e726573706f6e73652e7374617475735f636f6465120318f7034a200a\
        0a687474702e726f75746512120a102f76312f7472616e73616374696f6e737a0218021281010a104bf92f3577b34da6a3ce929d0e0e473612080000000000\
        000001220800f067aa0ba902b72a06636f6d6d6974300339a0862b36fe9c971741400d2d36fe9c97174a210a1a726564666c61672e67726f75702e7472616e\
        73616374696f6e73120318ac024a1a0a0e64622e73797374656d2e6e616d6512080a0673716c697465";

    #[test]
    fn bytes_are_those_of_the_official_library() {
        let began = Instant::now();
        let span = |id, parent, part, from_us, to_us| Span {
            trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            id,
            parent,
            part,
            from: began + Duration::from_micros(from_us),
            to: began + Duration::from_micros(to_us),
        };
        let request_part = Part::Request { method: "POST", route: Some("/v1/transactions"), status: 503 };
        let spans = [
            span(0x00f0_67aa_0ba9_02b7, 0, request_part, 0, 300),
            span(1, 0x00f0_67aa_0ba9_02b7, Part::Commit { group: 300 }, 100, 200),
        ];
        let resource = Resource {
            service: "payments".to_string(),
            version: "0.1.0",
            instance: "7".to_string(),
            database: "sqlite",
        };
        let unix_ns = |at: Instant| 1_700_000_000_000_000_000 + (at - began).as_nanos() as u64;
        let bytes = request(&resource, &spans, unix_ns);
        let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(written, OFFICIAL);
    }
}
