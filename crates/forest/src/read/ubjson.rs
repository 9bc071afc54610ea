//! UBJSON, draft 12 (<https://ubjson.org>): JSON with a byte for the type and big-endian numbers, as XGBoost
//! writes it. One deserializer of [`serde`], so that the same types read both spellings of a model.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Deeper nesting is refused, so that no file can exhaust the stack. A model nests eight deep.
const DEPTH_MAX: usize = 32;

/// What is wrong, with the offset of the byte where it showed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UbjError(String);

impl fmt::Display for UbjError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UbjError {}

impl de::Error for UbjError {
    fn custom<T: fmt::Display>(message: T) -> UbjError {
        UbjError(message.to_string())
    }
}

/// Reads one value, which must be all there is. No length is believed before the bytes for it are there.
pub(super) fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, UbjError> {
    let mut reader = Reader { bytes, at: 0, depth: 0 };
    let value = T::deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|UbjError(problem)| UbjError(format!("byte {}: {problem}", reader.at)))
}

struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    fn end(&self) -> Result<(), UbjError> {
        if self.at < self.bytes.len() { fail("expected the end of the file") } else { Ok(()) }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, count: usize) -> Result<&'de [u8], UbjError> {
        if count > self.left() {
            return fail(format!("expected {count} more bytes, the file ends after {}", self.left()));
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    fn array<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], UbjError> {
        let taken = self.take(SIZE)?;
        Ok(*taken.first_chunk().expect("as many bytes as were asked for"))
    }

    /// The next byte that is not a no-op.
    fn marker(&mut self) -> Result<u8, UbjError> {
        loop {
            match self.array()? {
                [b'N'] => {}
                [marker] => return Ok(marker),
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn integer(&mut self, marker: u8) -> Result<i64, UbjError> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(u8::from_be_bytes(self.array()?)),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return fail(format!("expected an integer, got {}", shown(marker))),
        })
    }

    fn length(&mut self) -> Result<usize, UbjError> {
        let marker = self.marker()?;
        let length = self.integer(marker)?;
        usize::try_from(length).or_else(|_| fail(format!("expected a length, got {length}")))
    }

    fn text(&mut self) -> Result<&'de str, UbjError> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).or_else(|_| fail("expected text in UTF-8"))
    }

    /// What follows a marker.
    fn value<V: Visitor<'de>>(&mut self, marker: u8, visitor: V) -> Result<V::Value, UbjError> {
        match marker {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'd' => visitor.visit_f32(f32::from_be_bytes(self.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(self.array()?)),
            b'C' => visitor.visit_char(char::from(self.array::<1>()?[0])),
            b'S' => visitor.visit_borrowed_str(self.text()?),
            b'[' => self.nested(b']', |items| visitor.visit_seq(items)),
            b'{' => self.nested(b'}', |items| visitor.visit_map(items)),
            _ => visitor.visit_i64(self.integer(marker)?),
        }
    }

    fn nested<T>(
        &mut self,
        close: u8,
        visit: impl FnOnce(&mut Items<'_, 'de>) -> Result<T, UbjError>,
    ) -> Result<T, UbjError> {
        if self.depth == DEPTH_MAX {
            return fail(format!("nested more than {DEPTH_MAX} deep"));
        }
        self.depth += 1;
        let (kind, count) = self.header()?;
        let mut items = Items { reader: self, close, kind, count };
        let value = visit(&mut items)?;
        items.close()?;
        self.depth -= 1;
        Ok(value)
    }

    /// The type and number of what a container holds, where it says.
    fn header(&mut self) -> Result<(Option<u8>, Option<usize>), UbjError> {
        let mut kind = None;
        if self.peek() == Some(b'$') {
            let [_, marker] = self.array()?;
            kind = Some(marker);
            if self.peek() != Some(b'#') {
                return fail("expected a count after the type of a container");
            }
        }
        if self.peek() != Some(b'#') {
            return Ok((kind, None));
        }
        self.at += 1;
        let count = self.length()?;
        let size = kind.map_or(Ok(1), size_min)?;
        if count > self.left() / size {
            return fail(format!("expected {count} values, the file ends after {} bytes", self.left()));
        }
        Ok((kind, Some(count)))
    }
}

/// The least bytes that a value of this type takes after its marker.
fn size_min(marker: u8) -> Result<usize, UbjError> {
    match marker {
        b'i' | b'U' | b'C' | b'[' | b'{' => Ok(1),
        b'I' | b'S' => Ok(2),
        b'l' | b'd' => Ok(4),
        b'L' | b'D' => Ok(8),
        _ => fail(format!("expected the type of a container's values, got {}", shown(marker))),
    }
}

fn shown(marker: u8) -> String {
    format!("{:?}", char::from(marker))
}

fn fail<T>(problem: impl Into<String>) -> Result<T, UbjError> {
    Err(UbjError(problem.into()))
}

/// What is inside a container.
struct Items<'r, 'de> {
    reader: &'r mut Reader<'de>,
    close: u8,
    kind: Option<u8>,
    /// How many are still to come, where the container says.
    count: Option<usize>,
}

impl<'de> Items<'_, 'de> {
    /// Whether another item follows.
    fn advance(&mut self) -> Result<bool, UbjError> {
        match &mut self.count {
            Some(count) => {
                let more = *count > 0;
                *count = count.saturating_sub(1);
                Ok(more)
            }
            None => {
                while self.reader.peek() == Some(b'N') {
                    self.reader.at += 1;
                }
                Ok(self.reader.peek() != Some(self.close))
            }
        }
    }

    /// Past the end of the container.
    fn close(&mut self) -> Result<(), UbjError> {
        if self.count.is_some_and(|count| count > 0) || self.advance()? {
            return fail("expected the end of a container");
        }
        self.reader.at += usize::from(self.count.is_none());
        Ok(())
    }

    fn value<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, UbjError> {
        let marker = match self.kind {
            Some(kind) => kind,
            None => self.reader.marker()?,
        };
        seed.deserialize(Value { reader: self.reader, marker })
    }
}

impl<'de> SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = UbjError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, UbjError> {
        if self.advance()? { self.value(seed).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        self.count
    }
}

impl<'de> MapAccess<'de> for &mut Items<'_, 'de> {
    type Error = UbjError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, UbjError> {
        if !self.advance()? {
            return Ok(None);
        }
        let key = self.reader.text()?;
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, UbjError> {
        self.value(seed)
    }
}

/// A value whose marker was read.
struct Value<'r, 'de> {
    reader: &'r mut Reader<'de>,
    marker: u8,
}

impl<'de> de::Deserializer<'de> for Value<'_, 'de> {
    type Error = UbjError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, UbjError> {
        self.reader.value(self.marker, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, UbjError> {
        if self.marker == b'Z' { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, UbjError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = UbjError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, UbjError> {
        let marker = self.marker()?;
        self.value(marker, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &str) {
        let found = match from_slice::<serde_json::Value>(bytes) {
            Ok(value) => value.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{bytes:?}");
    }

    #[test]
    fn every_kind_of_value_is_read() {
        check(b"[ZTFi\xffU\xffI\x01\x00l\x00\x01\x00\x00]", "[null,true,false,-1,255,256,65536]");
        check(b"[d\x3f\x00\x00\x00D\x3f\xe0\x00\x00\x00\x00\x00\x00SU\x02ab]", "[0.5,0.5,\"ab\"]");
        check(b"{U\x01aN[$U#U\x02\x01\x02U\x01b[#i\x01[]U\x01c{}}", r#"{"a":[1,2],"b":[[]],"c":{}}"#);
    }

    #[test]
    fn lengths_are_not_believed() {
        check(
            b"[$l#L\x7f\xff\xff\xff\xff\xff\xff\xff",
            "byte 13: expected 9223372036854775807 values, the file ends after 0 bytes",
        );
        check(b"SL\xff\xff\xff\xff\xff\xff\xff\xff", "byte 10: expected a length, got -1");
        check(b"SU\xffab", "byte 3: expected 255 more bytes, the file ends after 2");
        check(b"[$Z#l\x7f\xff\xff\xff", "byte 9: expected the type of a container's values, got 'Z'");
        check(b"[$d", "byte 3: expected a count after the type of a container");
        check(&b"[".repeat(1_000), "byte 33: nested more than 32 deep");
        check(b"[i\x01", "byte 3: expected 1 more bytes, the file ends after 0");
        check(b"ZZ", "byte 1: expected the end of the file");
        check(b"", "byte 0: expected 1 more bytes, the file ends after 0");
    }
}
