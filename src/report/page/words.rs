//! Bytes and replies as text for the page. A key that is named a thousand times stands in the page once.

use std::collections::BTreeMap;

use valkey_sim::engine::Reply;

/// How much of one value is shown: a library may write megabytes.
const MOST_BYTES: usize = 4_096;

/// The words of all commands, each once.
#[derive(Default)]
pub(super) struct Words {
    places: BTreeMap<Vec<u8>, usize>,
    texts: Vec<String>,
}

impl Words {
    /// The place of a word among all words.
    pub fn place(&mut self, word: &[u8]) -> usize {
        if let Some(place) = self.places.get(word) {
            return *place;
        }
        let place = self.texts.len();
        self.texts.push(text(word));
        self.places.insert(word.to_owned(), place);
        place
    }

    /// All words, by place.
    pub fn into_texts(self) -> Vec<String> {
        self.texts
    }
}

/// A reply on one line, in the notation of JSON where there is one.
pub(super) fn reply(reply: &Reply) -> String {
    let all = |items: &[Reply]| items.iter().map(self::reply).collect::<Vec<_>>().join(", ");
    match reply {
        Reply::Status(status) => text(status.as_bytes()),
        Reply::Error(error) => format!("error: {}", text(error.to_string().as_bytes())),
        Reply::Int(number) => number.to_string(),
        Reply::Bulk(bytes) | Reply::Verbatim(_, bytes) => quoted(bytes),
        Reply::Null | Reply::NullArray => "null".to_owned(),
        Reply::Array(items) | Reply::Push(items) | Reply::Set(items) => format!("[{}]", all(items)),
        Reply::Map(pairs) => {
            let pairs = pairs.iter().map(|(k, v)| format!("{}: {}", self::reply(k), self::reply(v)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Reply::Double(number) => number.to_string(),
        Reply::Bool(value) => value.to_string(),
        Reply::BigNumber(digits) => digits.clone(),
        Reply::Nothing => "nothing".to_owned(),
    }
}

/// Text as it is, other bytes in hex; what is too long is cut, and says so.
fn text(bytes: &[u8]) -> String {
    let shown = match std::str::from_utf8(bytes) {
        Ok(text) => text[..text.floor_char_boundary(MOST_BYTES)].to_owned(),
        Err(_) => {
            let some = &bytes[..bytes.len().min(MOST_BYTES / 2)];
            some.iter().fold("0x".to_owned(), |hex, byte| hex + &format!("{byte:02x}"))
        }
    };
    if bytes.len() > MOST_BYTES { format!("{shown}… ({} bytes)", bytes.len()) } else { shown }
}

fn quoted(bytes: &[u8]) -> String {
    serde_json::Value::String(text(bytes)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_one_place_and_bytes_that_are_no_text_are_shown_in_hex() {
        let mut words = Words::default();
        let places = [b"key".as_slice(), b"\xff\x00", b"key", b""].map(|word| words.place(word));
        assert_eq!(places, [0, 1, 0, 2]);
        assert_eq!(words.into_texts(), ["key", "0xff00", ""]);
    }

    #[test]
    fn a_long_value_is_cut_between_characters_and_says_how_long_it_was() {
        let long = "é".repeat(MOST_BYTES);
        let told = text(long.as_bytes());
        assert!(told.ends_with("… (8192 bytes)") && told.len() < MOST_BYTES + 40, "{}", told.len());
    }

    #[test]
    fn replies_read_as_json_does() {
        let nested = Reply::Array(vec![
            Reply::Int(1),
            Reply::bulk("a \"b\""),
            Reply::Null,
            Reply::Map(vec![(Reply::bulk("k"), Reply::Bool(true))]),
        ]);
        assert_eq!(reply(&nested), r#"[1, "a \"b\"", null, {"k": true}]"#);
    }
}
