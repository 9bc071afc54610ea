//! The messages of ONNX that matter here (<https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>).

use super::wire::{Field, Message, Value, WireError};

/// Of `ModelProto`.
#[derive(Default)]
pub(super) struct Model<'a> {
    pub(super) producer: &'a str,
    pub(super) producer_version: &'a str,
    pub(super) graph: Graph<'a>,
}

/// Of `GraphProto`.
#[derive(Default)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Operator<'a>>,
    pub(super) inputs: Vec<Input<'a>>,
    pub(super) initializers: Vec<Tensor<'a>>,
}

/// Of `NodeProto`.
#[derive(Default)]
pub(super) struct Operator<'a> {
    pub(super) kind: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) attributes: Vec<Attribute<'a>>,
}

/// Of `AttributeProto`.
#[derive(Default)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) integer: i64,
    pub(super) text: &'a [u8],
    pub(super) tensor: Option<Tensor<'a>>,
    pub(super) floats: Vec<f32>,
    pub(super) integers: Vec<i64>,
    pub(super) texts: Vec<&'a [u8]>,
}

/// Of `ValueInfoProto`: a graph input that is a tensor.
#[derive(Default)]
pub(super) struct Input<'a> {
    pub(super) name: &'a str,
    pub(super) element: i64,
    /// None where a dimension is not fixed.
    pub(super) shape: Vec<Option<usize>>,
}

/// Of `TensorProto`.
#[derive(Default)]
pub(super) struct Tensor<'a> {
    pub(super) name: &'a str,
    pub(super) element: i64,
    pub(super) floats: Vec<f32>,
    pub(super) doubles: Vec<f64>,
    pub(super) integers: Vec<i64>,
    pub(super) raw: Option<Message<'a>>,
    pub(super) is_elsewhere: bool,
}

/// Values of `TensorProto.DataType`.
pub(super) const FLOAT: i64 = 1;
pub(super) const UINT8: i64 = 2;
pub(super) const INT32: i64 = 6;
pub(super) const INT64: i64 = 7;
pub(super) const DOUBLE: i64 = 11;

type Outcome<T> = Result<T, WireError>;

impl<'a> Model<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Outcome<Model<'a>> {
        let mut model = Model::default();
        for field in Message::file(bytes).fields() {
            let Field { number, value } = field?;
            match (number, value.message()) {
                (2, Some(text)) => model.producer = text.text()?,
                (3, Some(text)) => model.producer_version = text.text()?,
                (7, Some(graph)) => model.graph = Graph::read(graph)?,
                _ => {}
            }
        }
        Ok(model)
    }
}

impl<'a> Graph<'a> {
    fn read(message: Message<'a>) -> Outcome<Graph<'a>> {
        let mut graph = Graph::default();
        for field in message.fields() {
            let Field { number, value } = field?;
            match (number, value.message()) {
                (1, Some(node)) => graph.nodes.push(Operator::read(node)?),
                (5, Some(tensor)) => graph.initializers.push(Tensor::read(tensor)?),
                (11, Some(input)) => graph.inputs.push(Input::read(input)?),
                _ => {}
            }
        }
        Ok(graph)
    }
}

impl<'a> Operator<'a> {
    fn read(message: Message<'a>) -> Outcome<Operator<'a>> {
        let mut operator = Operator::default();
        for field in message.fields() {
            let Field { number, value } = field?;
            match (number, value.message()) {
                (1, Some(name)) => operator.inputs.push(name.text()?),
                (2, Some(name)) => operator.outputs.push(name.text()?),
                (4, Some(kind)) => operator.kind = kind.text()?,
                (5, Some(attribute)) => operator.attributes.push(Attribute::read(attribute)?),
                _ => {}
            }
        }
        Ok(operator)
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute<'a>> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

impl<'a> Attribute<'a> {
    fn read(message: Message<'a>) -> Outcome<Attribute<'a>> {
        let mut attribute = Attribute::default();
        for field in message.fields() {
            let Field { number, value } = field?;
            match (number, value) {
                (1, Value::Bytes(name)) => attribute.name = name.text()?,
                (3, Value::Varint(_)) => attribute.integer = value.integer().unwrap_or(0),
                (4, Value::Bytes(text)) => attribute.text = text.bytes,
                (5, Value::Bytes(tensor)) => attribute.tensor = Some(Tensor::read(tensor)?),
                (7, _) => push_floats(&mut attribute.floats, value)?,
                (8, _) => push_integers(&mut attribute.integers, value)?,
                (9, Value::Bytes(text)) => attribute.texts.push(text.bytes),
                _ => {}
            }
        }
        Ok(attribute)
    }
}

impl<'a> Tensor<'a> {
    fn read(message: Message<'a>) -> Outcome<Tensor<'a>> {
        let mut tensor = Tensor::default();
        for field in message.fields() {
            let Field { number, value } = field?;
            match (number, value) {
                (2, Value::Varint(_)) => tensor.element = value.integer().unwrap_or(0),
                (4, _) => push_floats(&mut tensor.floats, value)?,
                (5 | 7, _) => push_integers(&mut tensor.integers, value)?,
                (8, Value::Bytes(name)) => tensor.name = name.text()?,
                (9, Value::Bytes(raw)) => tensor.raw = Some(raw),
                (10, _) => push_doubles(&mut tensor.doubles, value)?,
                (13, _) => tensor.is_elsewhere = true,
                _ => {}
            }
        }
        Ok(tensor)
    }

    /// The numbers, if it holds floating-point ones.
    pub(super) fn numbers(&self) -> Outcome<Option<Vec<f64>>> {
        Ok(match (self.element, self.raw) {
            (FLOAT, Some(raw)) => {
                Some(raw.chunks::<4>()?.iter().map(|x| f64::from(f32::from_le_bytes(*x))).collect())
            }
            (DOUBLE, Some(raw)) => Some(raw.chunks::<8>()?.iter().map(|x| f64::from_le_bytes(*x)).collect()),
            (FLOAT, None) => Some(self.floats.iter().copied().map(f64::from).collect()),
            (DOUBLE, None) => Some(self.doubles.clone()),
            _ => None,
        })
    }

    /// The bytes, if it holds bytes.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        match (self.element, self.raw) {
            (UINT8, Some(raw)) => Some(raw.bytes.to_vec()),
            (UINT8, None) => Some(self.integers.iter().map(|byte| *byte as u8).collect()),
            _ => None,
        }
    }
}

impl<'a> Input<'a> {
    fn read(message: Message<'a>) -> Outcome<Input<'a>> {
        let mut input = Input::default();
        for field in message.fields() {
            let Field { number, value } = field?;
            match (number, value.message()) {
                (1, Some(name)) => input.name = name.text()?,
                // TypeProto, of which 1 is the tensor.
                (2, Some(kind)) => nested(kind, 1, |tensor| input.read_tensor(tensor))?,
                _ => {}
            }
        }
        Ok(input)
    }

    /// `TypeProto.Tensor`, whose 2 is the shape, whose 1 are the dimensions, whose 1 is the size.
    fn read_tensor(&mut self, message: Message<'a>) -> Outcome<()> {
        for field in message.fields() {
            let Field { number, value } = field?;
            match (number, value) {
                (1, Value::Varint(_)) => self.element = value.integer().unwrap_or(0),
                (2, Value::Bytes(shape)) => nested(shape, 1, |dimension| self.read_dimension(dimension))?,
                _ => {}
            }
        }
        Ok(())
    }

    fn read_dimension(&mut self, message: Message<'a>) -> Outcome<()> {
        let mut size = None;
        for field in message.fields() {
            let Field { number, value } = field?;
            if number == 1 {
                size = value.integer().and_then(|size| usize::try_from(size).ok());
            }
        }
        self.shape.push(size);
        Ok(())
    }
}

/// Calls `visit` with every message that has this number in another.
fn nested<'a>(
    message: Message<'a>,
    wanted: u64,
    mut visit: impl FnMut(Message<'a>) -> Outcome<()>,
) -> Outcome<()> {
    for field in message.fields() {
        let Field { number, value } = field?;
        if let Some(inner) = value.message().filter(|_| number == wanted) {
            visit(inner)?;
        }
    }
    Ok(())
}

// Repeated numbers come one by one or packed.

fn push_floats(to: &mut Vec<f32>, value: Value) -> Outcome<()> {
    match value {
        Value::Fixed32(bytes) => to.push(f32::from_le_bytes(bytes)),
        Value::Bytes(packed) => to.extend(packed.chunks()?.iter().map(|bytes| f32::from_le_bytes(*bytes))),
        Value::Varint(_) | Value::Fixed64(_) => {}
    }
    Ok(())
}

fn push_doubles(to: &mut Vec<f64>, value: Value) -> Outcome<()> {
    match value {
        Value::Fixed64(bytes) => to.push(f64::from_le_bytes(bytes)),
        Value::Bytes(packed) => to.extend(packed.chunks()?.iter().map(|bytes| f64::from_le_bytes(*bytes))),
        Value::Varint(_) | Value::Fixed32(_) => {}
    }
    Ok(())
}

fn push_integers(to: &mut Vec<i64>, value: Value) -> Outcome<()> {
    match value {
        Value::Varint(number) => to.push(number as i64),
        Value::Bytes(packed) => to.extend(packed.varints()?.into_iter().map(|number| number as i64)),
        Value::Fixed32(_) | Value::Fixed64(_) => {}
    }
    Ok(())
}
