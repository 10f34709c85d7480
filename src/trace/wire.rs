//! How bytes and replies stand in a trace's JSON: text as text, anything else in hex.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use valkey_sim::engine::{Effects, ErrorReply, Reply};

/// Bytes: a string where they are text, else `{"hex": "…"}`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Bytes { hex: String },
}

impl Word {
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Word::Text(text.to_owned()),
            Err(_) => Word::Bytes { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() },
        }
    }

    fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Word::Text(text) => Some(text.into_bytes()),
            Word::Bytes { hex } => (hex.len() % 2 == 0 && hex.is_ascii())
                .then(|| {
                    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).ok()).collect()
                })
                .flatten(),
        }
    }
}

fn bytes<E: serde::de::Error>(word: Word) -> Result<Vec<u8>, E> {
    word.bytes().ok_or_else(|| E::custom("hex digits come in pairs of 0 to f"))
}

/// A command's words.
pub mod words {
    use super::*;

    pub fn serialize<S: Serializer>(words: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(words.iter().map(|word| Word::of(word)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
        Vec::<Word>::deserialize(deserializer)?.into_iter().map(bytes).collect()
    }
}

/// Effects: a list of commands.
pub mod effects {
    use super::*;

    pub fn serialize<S: Serializer>(effects: &Effects, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(effects.iter().map(|effect| effect.args().map(Word::of).collect::<Vec<_>>()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Effects, D::Error> {
        let mut effects = Effects::default();
        for words in Vec::<Vec<Word>>::deserialize(deserializer)? {
            let args = words.into_iter().map(bytes).collect::<Result<Vec<_>, D::Error>>()?;
            if args.is_empty() {
                return Err(D::Error::custom("an effect has at least a name"));
            }
            effects.extend(args.iter().map(Vec::as_slice));
        }
        Ok(effects)
    }
}

/// A reply as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    Status(String),
    Error(String),
    Int(i64),
    Bulk(Word),
    Null,
    NullArray,
    Array(Vec<Shape>),
    Map(Vec<(Shape, Shape)>),
    Set(Vec<Shape>),
    Double(String),
    Bool(bool),
    Big(String),
    Verbatim(String, Word),
    Push(Vec<Shape>),
    Nothing,
}

impl Shape {
    fn of(reply: &Reply) -> Self {
        let all = |items: &[Reply]| items.iter().map(Self::of).collect();
        match reply {
            Reply::Status(text) => Shape::Status(text.to_string()),
            Reply::Error(error) => Shape::Error(error.to_string()),
            Reply::Int(number) => Shape::Int(*number),
            Reply::Bulk(bytes) => Shape::Bulk(Word::of(bytes)),
            Reply::Null => Shape::Null,
            Reply::NullArray => Shape::NullArray,
            Reply::Array(items) => Shape::Array(all(items)),
            Reply::Map(pairs) => Shape::Map(pairs.iter().map(|(k, v)| (Self::of(k), Self::of(v))).collect()),
            Reply::Set(items) => Shape::Set(all(items)),
            Reply::Double(number) => Shape::Double(number.to_string()),
            Reply::Bool(value) => Shape::Bool(*value),
            Reply::BigNumber(digits) => Shape::Big(digits.clone()),
            Reply::Verbatim(format, bytes) => {
                Shape::Verbatim(String::from_utf8_lossy(format).into_owned(), Word::of(bytes))
            }
            Reply::Push(items) => Shape::Push(all(items)),
            Reply::Nothing => Shape::Nothing,
        }
    }

    fn reply(self) -> Result<Reply, &'static str> {
        let all = |items: Vec<Shape>| items.into_iter().map(Self::reply).collect::<Result<Vec<_>, _>>();
        let bytes =
            |word: Word| word.bytes().map(bytes::Bytes::from).ok_or("hex digits come in pairs of 0 to f");
        Ok(match self {
            Shape::Status(text) => Reply::Status(text.into()),
            Shape::Error(text) => Reply::Error(ErrorReply::from(text)),
            Shape::Int(number) => Reply::Int(number),
            Shape::Bulk(word) => Reply::Bulk(bytes(word)?),
            Shape::Null => Reply::Null,
            Shape::NullArray => Reply::NullArray,
            Shape::Array(items) => Reply::Array(all(items)?),
            Shape::Map(pairs) => {
                let pairs = pairs.into_iter().map(|(k, v)| Ok((k.reply()?, v.reply()?)));
                Reply::Map(pairs.collect::<Result<_, &'static str>>()?)
            }
            Shape::Set(items) => Reply::Set(all(items)?),
            Shape::Double(text) => Reply::Double(text.parse().map_err(|_| "a double is a number")?),
            Shape::Bool(value) => Reply::Bool(value),
            Shape::Big(digits) => Reply::BigNumber(digits),
            Shape::Verbatim(format, word) => Reply::Verbatim(
                format.into_bytes().try_into().map_err(|_| "a verbatim text's format has three letters")?,
                bytes(word)?,
            ),
            Shape::Push(items) => Reply::Push(all(items)?),
            Shape::Nothing => Reply::Nothing,
        })
    }
}

/// A reply.
pub mod reply {
    use super::*;

    pub fn serialize<S: Serializer>(reply: &Reply, serializer: S) -> Result<S::Ok, S::Error> {
        Shape::of(reply).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Reply, D::Error> {
        Shape::deserialize(deserializer)?.reply().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Line {
        #[serde(with = "words")]
        args: Vec<Vec<u8>>,
        #[serde(with = "reply")]
        reply: Reply,
        #[serde(with = "effects")]
        effects: Effects,
    }

    #[test]
    fn every_kind_of_reply_and_every_byte_survives_json() {
        let mut effects = Effects::default();
        effects.push(&[b"HSET", b"k", b"f", b"\xff\x00"]);
        effects.push(&[b"DEL", b"k"]);
        let all = vec![
            Reply::OK,
            Reply::Error(ErrorReply::new("ERR no")),
            Reply::Int(-1),
            Reply::bulk(b"\xfe"),
            Reply::Null,
            Reply::NullArray,
            Reply::Map(vec![(Reply::bulk("k"), Reply::Bool(true))]),
            Reply::Set(vec![Reply::bulk("m")]),
            Reply::Double(f64::INFINITY),
            Reply::BigNumber("12345678901234567890".into()),
            Reply::Verbatim(*b"txt", bytes::Bytes::from_static(b"hello")),
            Reply::Push(vec![Reply::Nothing]),
        ];
        let line = Line { args: vec![b"FCALL".to_vec(), vec![0xff]], reply: Reply::Array(all), effects };
        let json = serde_json::to_string(&line).unwrap();
        assert_eq!(serde_json::from_str::<Line>(&json).unwrap(), line, "{json}");
    }

    #[test]
    fn broken_hex_is_an_error() {
        for hex in ["f", "zz", "é"] {
            let json = format!(r#"{{"args":[{{"hex":"{hex}"}}],"reply":"null","effects":[]}}"#);
            assert!(serde_json::from_str::<Line>(&json).is_err(), "{json}");
        }
    }
}
