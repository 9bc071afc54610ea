//! The wire format of Protocol Buffers (<https://protobuf.dev/programming-guides/encoding/>), as much as ONNX needs.
//!
//! A message is a run of numbered fields; nothing is copied, and a length counts only once the bytes for it are there.

/// What is wrong with the bytes, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WireError(pub(super) String);

/// One field of a message.
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) value: Value<'a>,
}

#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Message<'a>),
    Fixed32([u8; 4]),
}

/// Bytes with a length: a message, text, or packed numbers. Knows where in the file it stands.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) bytes: &'a [u8],
    start: usize,
}

impl<'a> Message<'a> {
    pub(super) fn file(bytes: &'a [u8]) -> Message<'a> {
        Message { bytes, start: 0 }
    }

    /// Every field, in the order of the file. After an error there is nothing more.
    pub(super) fn fields(self) -> Fields<'a> {
        Fields { message: self, at: 0 }
    }

    pub(super) fn text(self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes).map_err(|_| self.fail(0, "expected text in UTF-8"))
    }

    /// Packed variable-length numbers.
    pub(super) fn varints(self) -> Result<Vec<u64>, WireError> {
        let mut fields = self.fields();
        let mut numbers = Vec::new();
        while fields.at < self.bytes.len() {
            numbers.push(fields.varint()?);
        }
        Ok(numbers)
    }

    /// Packed numbers of a fixed size.
    pub(super) fn chunks<const SIZE: usize>(self) -> Result<&'a [[u8; SIZE]], WireError> {
        match self.bytes.as_chunks() {
            (chunks, []) => Ok(chunks),
            _ => {
                Err(self
                    .fail(0, &format!("expected numbers of {SIZE} bytes, got {} bytes", self.bytes.len())))
            }
        }
    }

    fn fail(self, at: usize, problem: &str) -> WireError {
        WireError(format!("byte {}: {problem}", self.start + at))
    }
}

pub(super) struct Fields<'a> {
    message: Message<'a>,
    at: usize,
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64, WireError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.message.fail(self.at, "a number of more than ten bytes"))
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], WireError> {
        let left = self.message.bytes.len() - self.at;
        let Some(count) = usize::try_from(count).ok().filter(|count| *count <= left) else {
            return Err(self.message.fail(self.at, &format!("expected {count} bytes, {left} are left")));
        };
        let taken = &self.message.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    fn array<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], WireError> {
        let taken = self.take(SIZE as u64)?;
        Ok(*taken.first_chunk().expect("as many bytes as were asked for"))
    }

    fn field(&mut self) -> Result<Field<'a>, WireError> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.array()?),
            2 => {
                let length = self.varint()?;
                let bytes = self.take(length)?;
                Value::Bytes(Message { bytes, start: self.message.start + self.at - bytes.len() })
            }
            5 => Value::Fixed32(self.array()?),
            kind => return Err(self.message.fail(self.at, &format!("unknown wire type {kind}"))),
        };
        Ok(Field { number: key >> 3, value })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.message.bytes.len() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.message.bytes.len();
        }
        Some(field)
    }
}

impl<'a> Value<'a> {
    pub(super) fn message(self) -> Option<Message<'a>> {
        if let Value::Bytes(message) = self { Some(message) } else { None }
    }

    pub(super) fn integer(self) -> Option<i64> {
        // Two's complement: how negative numbers are written.
        if let Value::Varint(number) = self { Some(number as i64) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &str) {
        let mut found = Vec::new();
        for field in Message::file(bytes).fields() {
            found.push(match field {
                Ok(Field { number, value: Value::Varint(value) }) => format!("{number}={value}"),
                Ok(Field { number, value: Value::Bytes(value) }) => format!("{number}:{:?}", value.bytes),
                Ok(Field { number, value: Value::Fixed32(value) }) => format!("{number}~{value:?}"),
                Ok(Field { number, value: Value::Fixed64(value) }) => format!("{number}~{value:?}"),
                Err(WireError(problem)) => problem,
            });
        }
        assert_eq!(found.join(" "), expected, "{bytes:?}");
    }

    #[test]
    fn fields_are_told_apart_and_lengths_not_believed() {
        check(b"\x08\x96\x01\x12\x02hi", "1=150 2:[104, 105]");
        check(b"\x1d\x00\x00\x80\x3f", "3~[0, 0, 128, 63]");
        check(b"\x12\xff\xff\xff\xff\x0fhi", "byte 6: expected 4294967295 bytes, 2 are left");
        check(
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            "byte 11: a number of more than ten bytes",
        );
        check(b"\x0b", "byte 1: unknown wire type 3");
        check(b"\x09\x00", "byte 1: expected 8 bytes, 1 are left");
    }
}
