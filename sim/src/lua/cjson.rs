//! `cjson`: lua-cjson 2.1.0, its answers and its errors.

use std::os::raw::c_int;

use super::{
    number::{parse_prefix, write_general},
    raw::{Kind, Lua, Native, Outcome, Raised, native},
};

/// The library.
pub const FUNCTIONS: &[(&str, Native)] = &[
    ("encode", native!(encode)),
    ("decode", native!(decode)),
    ("encode_sparse_array", native!(encode_sparse_array)),
    ("encode_max_depth", native!(encode_max_depth)),
    ("decode_max_depth", native!(decode_max_depth)),
    ("encode_number_precision", native!(encode_number_precision)),
    ("encode_keep_buffer", native!(encode_keep_buffer)),
    ("encode_invalid_numbers", native!(encode_invalid_numbers)),
    ("decode_invalid_numbers", native!(decode_invalid_numbers)),
];

/// Adds `null` and the names to the table on top of the stack.
pub fn add_constants(lua: &mut Lua<'_>) {
    lua.push_pointer(std::ptr::null());
    lua.set_raw_field(-2, "null");
    lua.push_bytes(b"cjson");
    lua.set_raw_field(-2, "_NAME");
    lua.push_bytes(b"2.1.0");
    lua.set_raw_field(-2, "_VERSION");
}

/// What the library's settings are set to. They last from call to call, as on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    sparse_convert: bool,
    sparse_ratio: i32,
    sparse_safe: i32,
    encode_max_depth: i32,
    decode_max_depth: i32,
    precision: i32,
    keep_buffer: bool,
    encode_invalid: InvalidNumbers,
    decode_invalid: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InvalidNumbers {
    Refuse,
    Print,
    Null,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_max_depth: 1000,
            decode_max_depth: 1000,
            precision: 14,
            keep_buffer: true,
            encode_invalid: InvalidNumbers::Refuse,
            decode_invalid: true,
        }
    }
}

fn config(lua: &Lua<'_>) -> Config {
    lua.with(|state| state.persistent.cjson)
}

/// The deepest nesting that may be asked for, so that no recursion exhausts the thread's own stack.
const DEPTH_LIMIT: i32 = 1000;

/// Reads an optional integer setting at an index, and pushes what it is now.
fn integer_option(lua: &Lua<'_>, index: c_int, setting: &mut i32, low: i32, high: i32) -> Result<(), Raised> {
    if !matches!(lua.kind(index), Kind::Nil | Kind::None) {
        let value = lua.check_integer(index);
        if value < i64::from(low) || value > i64::from(high) {
            lua.push_fmt(format_args!("expected integer between {low} and {high}"));
            return Err(lua.bad_argument_on_top(index));
        }
        *setting = value as i32;
    }
    lua.push_number(f64::from(*setting));
    Ok(())
}

/// Reads an optional truth value (or `on`, `off`) at an index.
fn switch_option(lua: &Lua<'_>, index: c_int, setting: &mut bool) -> Result<(), Raised> {
    match lua.kind(index) {
        Kind::Nil | Kind::None => {}
        Kind::Boolean => *setting = lua.truth(index),
        _ => match lua.check_bytes(index) {
            b"on" => *setting = true,
            b"off" => *setting = false,
            _ => return Err(invalid_option(lua, index)),
        },
    }
    Ok(())
}

fn invalid_option(lua: &Lua<'_>, index: c_int) -> Raised {
    lua.push_fmt(format_args!("invalid option '{}'", super::sandbox::Lossy(lua.check_bytes(index))));
    lua.bad_argument_on_top(index)
}

/// Lets a setter take at most so many arguments.
fn at_most(lua: &mut Lua<'_>, count: c_int) -> Result<(), Raised> {
    if lua.top() > count {
        return Err(lua.bad_argument(count + 1, c"found too many arguments"));
    }
    lua.set_top(count);
    Ok(())
}

fn store(lua: &Lua<'_>, config: Config, results: c_int) -> Outcome {
    lua.with(|state| state.persistent.cjson = config);
    Ok(results)
}

fn encode_sparse_array(lua: &mut Lua<'_>) -> Outcome {
    at_most(lua, 3)?;
    let mut config = config(lua);
    switch_option(lua, 1, &mut config.sparse_convert)?;
    lua.push_bool(config.sparse_convert);
    integer_option(lua, 2, &mut config.sparse_ratio, 0, i32::MAX)?;
    integer_option(lua, 3, &mut config.sparse_safe, 0, i32::MAX)?;
    store(lua, config, 3)
}

fn encode_max_depth(lua: &mut Lua<'_>) -> Outcome {
    at_most(lua, 1)?;
    let mut config = config(lua);
    integer_option(lua, 1, &mut config.encode_max_depth, 1, i32::MAX)?;
    store(lua, config, 1)
}

fn decode_max_depth(lua: &mut Lua<'_>) -> Outcome {
    at_most(lua, 1)?;
    let mut config = config(lua);
    integer_option(lua, 1, &mut config.decode_max_depth, 1, i32::MAX)?;
    store(lua, config, 1)
}

fn encode_number_precision(lua: &mut Lua<'_>) -> Outcome {
    at_most(lua, 1)?;
    let mut config = config(lua);
    integer_option(lua, 1, &mut config.precision, 1, 14)?;
    store(lua, config, 1)
}

fn encode_keep_buffer(lua: &mut Lua<'_>) -> Outcome {
    at_most(lua, 1)?;
    let mut config = config(lua);
    switch_option(lua, 1, &mut config.keep_buffer)?;
    lua.push_bool(config.keep_buffer);
    store(lua, config, 1)
}

fn encode_invalid_numbers(lua: &mut Lua<'_>) -> Outcome {
    at_most(lua, 1)?;
    let mut config = config(lua);
    config.encode_invalid = match lua.kind(1) {
        Kind::Nil => config.encode_invalid,
        Kind::String if lua.bytes(1) == Some(b"null") => InvalidNumbers::Null,
        _ => {
            let mut print = false;
            switch_option(lua, 1, &mut print)?;
            if print { InvalidNumbers::Print } else { InvalidNumbers::Refuse }
        }
    };
    match config.encode_invalid {
        InvalidNumbers::Null => lua.push_bytes(b"null"),
        other => lua.push_bool(other == InvalidNumbers::Print),
    }
    store(lua, config, 1)
}

fn decode_invalid_numbers(lua: &mut Lua<'_>) -> Outcome {
    at_most(lua, 1)?;
    let mut config = config(lua);
    switch_option(lua, 1, &mut config.decode_invalid)?;
    lua.push_bool(config.decode_invalid);
    store(lua, config, 1)
}

fn encode(lua: &mut Lua<'_>) -> Outcome {
    if lua.top() != 1 {
        return Err(lua.bad_argument(1, c"expected 1 argument"));
    }
    lua.with(|state| state.output.clear());
    let config = config(lua);
    append_value(lua, &config, 0)?;
    lua.push_output();
    Ok(1)
}

fn append(lua: &Lua<'_>, text: &[u8]) {
    lua.with(|state| state.output.extend_from_slice(text));
}

/// `Cannot serialise table: …`, for the value at an index.
fn cannot_serialise(lua: &Lua<'_>, index: c_int, reason: &str) -> Raised {
    lua.error_here(format_args!("Cannot serialise {}: {reason}", lua.type_name(index)))
}

/// Appends the value on top of the stack.
fn append_value(lua: &mut Lua<'_>, config: &Config, depth: i32) -> Result<(), Raised> {
    let text = lua.bytes(-1).unwrap_or_default();
    lua.charge_output(text.len())?;
    match lua.kind(-1) {
        Kind::String => append_string(lua, text),
        Kind::Number => append_number(lua, config, -1)?,
        Kind::Boolean => append(lua, if lua.truth(-1) { b"true" } else { b"false" }),
        Kind::Nil => append(lua, b"null"),
        Kind::LightUserdata if lua.pointer(-1).is_null() => append(lua, b"null"),
        Kind::Table => {
            let depth = depth + 1;
            if depth > config.encode_max_depth.min(DEPTH_LIMIT) || !lua.reserve(8) {
                return Err(lua.error_here(format_args!("Cannot serialise, excessive nesting ({depth})")));
            }
            match array_length(lua, config)? {
                Some(length) => append_array(lua, config, depth, length)?,
                None => append_object(lua, config, depth)?,
            }
        }
        _ => return Err(cannot_serialise(lua, -1, "type not supported")),
    }
    Ok(())
}

/// The length of the table on top of the stack if it is to be an array: all keys positive integers, at least one.
fn array_length(lua: &mut Lua<'_>, config: &Config) -> Result<Option<i32>, Raised> {
    let (mut max, mut items) = (0.0f64, 0.0f64);
    lua.push_nil();
    while lua.next(-2) {
        lua.charge(1)?;
        let key = if lua.kind(-2) == Kind::Number { lua.number(-2) } else { 0.0 };
        if key < 1.0 || key != key.floor() {
            lua.pop(2);
            return Ok(None);
        }
        max = max.max(key);
        items += 1.0;
        lua.pop(1);
    }
    let ratio = f64::from(config.sparse_ratio);
    if ratio > 0.0 && max > items * ratio && max > f64::from(config.sparse_safe) {
        if config.sparse_convert {
            return Ok(None);
        }
        return Err(cannot_serialise(lua, -1, "excessively sparse array"));
    }
    Ok((max > 0.0).then_some(max as i32))
}

fn append_array(lua: &mut Lua<'_>, config: &Config, depth: i32, length: i32) -> Result<(), Raised> {
    append(lua, b"[");
    for position in 1..=length {
        if position > 1 {
            append(lua, b",");
        }
        lua.raw_geti(-1, position);
        append_value(lua, config, depth)?;
        lua.pop(1);
    }
    append(lua, b"]");
    Ok(())
}

fn append_object(lua: &mut Lua<'_>, config: &Config, depth: i32) -> Result<(), Raised> {
    append(lua, b"{");
    lua.push_nil();
    let mut first = true;
    while lua.next(-2) {
        if !first {
            append(lua, b",");
        }
        first = false;
        let key = lua.bytes(-2).unwrap_or_default();
        lua.charge_output(key.len())?;
        match lua.kind(-2) {
            Kind::String => append_string(lua, key),
            Kind::Number => {
                append(lua, b"\"");
                append_number(lua, config, -2)?;
                append(lua, b"\"");
            }
            _ => return Err(cannot_serialise(lua, -2, "table key must be a number or string")),
        }
        append(lua, b":");
        append_value(lua, config, depth)?;
        lua.pop(1);
    }
    append(lua, b"}");
    Ok(())
}

fn append_number(lua: &Lua<'_>, config: &Config, index: c_int) -> Result<(), Raised> {
    let value = lua.number(index);
    if !value.is_finite() {
        match config.encode_invalid {
            InvalidNumbers::Refuse => return Err(cannot_serialise(lua, index, "must not be NaN or Inf")),
            InvalidNumbers::Null => {
                append(lua, b"null");
                return Ok(());
            }
            InvalidNumbers::Print if value.is_nan() => {
                append(lua, b"nan");
                return Ok(());
            }
            InvalidNumbers::Print => {}
        }
    }
    lua.with(|state| write_general(&mut state.output, value, config.precision as usize));
    Ok(())
}

fn append_string(lua: &Lua<'_>, text: &[u8]) {
    lua.with(|state| {
        let out = &mut state.output;
        out.push(b'"');
        for &byte in text {
            match byte {
                b'"' | b'\\' | b'/' => out.extend_from_slice(&[b'\\', byte]),
                8 => out.extend_from_slice(b"\\b"),
                9 => out.extend_from_slice(b"\\t"),
                10 => out.extend_from_slice(b"\\n"),
                12 => out.extend_from_slice(b"\\f"),
                13 => out.extend_from_slice(b"\\r"),
                0..=31 | 127 => {
                    let digit = |n: u8| b"0123456789abcdef"[usize::from(n)];
                    out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
                }
                _ => out.push(byte),
            }
        }
        out.push(b'"');
    });
}

/// One word of JSON.
#[derive(Clone, Copy, PartialEq)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// The string itself is in the state's output buffer.
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

impl Token {
    /// The name in error texts.
    fn name(self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Error(what) => what,
        }
    }
}

/// A reader of JSON: plain data, since Lua may jump over its frame.
struct Parser<'a, 'l> {
    lua: &'a mut Lua<'l>,
    text: &'l [u8],
    at: usize,
    /// Where the last token begins, or where it went wrong.
    token_at: usize,
    depth: i32,
    config: Config,
}

fn decode(lua: &mut Lua<'_>) -> Outcome {
    if lua.top() != 1 {
        return Err(lua.bad_argument(1, c"expected 1 argument"));
    }
    // SAFETY: nothing below takes argument 1 off the stack.
    let text = unsafe { lua.check_held(1) };
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(lua.error_here(format_args!("JSON parser does not support UTF-16 or UTF-32")));
    }
    lua.charge(text.len() as u64 / 4)?;
    let config = config(lua);
    let mut parser = Parser { lua, text, at: 0, token_at: 0, depth: 0, config };
    let token = parser.next();
    parser.value(token)?;
    match parser.next() {
        Token::End => Ok(1),
        token => Err(parser.expected("the end", token)),
    }
}

impl Parser<'_, '_> {
    fn byte(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn expected(&self, what: &str, found: Token) -> Raised {
        let (found, at) = (found.name(), self.token_at + 1);
        self.lua.error_here(format_args!("Expected {what} but found {found} at character {at}"))
    }

    fn wrong(&mut self, what: &'static str) -> Token {
        self.token_at = self.at;
        Token::Error(what)
    }

    fn next(&mut self) -> Token {
        while matches!(self.byte(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.token_at = self.at;
        let single = match self.byte(0) {
            0 if self.at >= self.text.len() => return Token::End,
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => {
                if !self.config.decode_invalid && self.is_invalid_number() {
                    return self.wrong("invalid number");
                }
                return self.number();
            }
            _ => return self.word(),
        };
        self.at += 1;
        single
    }

    fn word(&mut self) -> Token {
        for (word, token) in [
            (&b"true"[..], Token::Boolean(true)),
            (&b"false"[..], Token::Boolean(false)),
            (&b"null"[..], Token::Null),
        ] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        if self.config.decode_invalid
            && matches!(self.byte(0), b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+')
            && self.is_invalid_number()
        {
            return self.number();
        }
        self.wrong("invalid token")
    }

    /// Whether a number is here that JSON does not know: `+1`, `0x10`, `01`, `inf`, `nan`.
    fn is_invalid_number(&self) -> bool {
        let mut ahead = 0;
        match self.byte(0) {
            b'+' => return true,
            b'-' => ahead = 1,
            _ => {}
        }
        let rest = &self.text[(self.at + ahead).min(self.text.len())..];
        match rest.first() {
            Some(b'0') => rest.get(1).is_some_and(|&b| b | 0x20 == b'x' || b.is_ascii_digit()),
            Some(&b) if b <= b'9' => false,
            _ => {
                rest.len() >= 3
                    && [&b"inf"[..], &b"nan"[..]].iter().any(|w| rest[..3].eq_ignore_ascii_case(w))
            }
        }
    }

    fn number(&mut self) -> Token {
        match parse_prefix(&self.text[self.at..]) {
            Some((value, length)) => {
                self.at += length;
                Token::Number(value)
            }
            None => self.wrong("invalid number"),
        }
    }

    /// Reads a string into the state's output buffer.
    fn string(&mut self) -> Token {
        self.lua.with(|state| state.output.clear());
        self.at += 1;
        loop {
            let plain = self.text[self.at..].iter().take_while(|b| !matches!(b, b'"' | b'\\' | 0)).count();
            let run = &self.text[self.at..self.at + plain];
            append(self.lua, run);
            self.at += plain;
            match self.byte(0) {
                b'"' => break,
                b'\\' => {
                    let escape = match self.byte(1) {
                        byte @ (b'"' | b'\\' | b'/') => byte,
                        b'b' => 8,
                        b't' => 9,
                        b'n' => 10,
                        b'f' => 12,
                        b'r' => 13,
                        b'u' => {
                            if !self.unicode() {
                                return self.wrong("invalid unicode escape code");
                            }
                            continue;
                        }
                        _ => return self.wrong("invalid escape code"),
                    };
                    append(self.lua, &[escape]);
                    self.at += 2;
                }
                _ => return self.wrong("unexpected end of string"),
            }
        }
        self.at += 1;
        Token::String
    }

    /// The four hexadecimal digits at an offset.
    fn hex4(&self, ahead: usize) -> Option<u32> {
        let digits = self.text.get(self.at + ahead..self.at + ahead + 4)?;
        digits.iter().try_fold(0, |value, &b| Some(value << 4 | char::from(b).to_digit(16)?))
    }

    /// Reads `\uXXXX`, or two of them that make a pair; false when they make no character.
    fn unicode(&mut self) -> bool {
        let Some(mut code) = self.hex4(2) else { return false };
        let mut length = 6;
        if code & 0xF800 == 0xD800 {
            if code & 0x400 != 0 || self.byte(6) != b'\\' || self.byte(7) != b'u' {
                return false;
            }
            match self.hex4(8) {
                Some(low) if low & 0xFC00 == 0xDC00 => {
                    code = 0x10000 + ((code & 0x3FF) << 10 | (low & 0x3FF))
                }
                _ => return false,
            }
            length = 12;
        }
        let Some(character) = char::from_u32(code) else { return false };
        append(self.lua, character.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += length;
        true
    }

    fn descend(&mut self) -> Result<(), Raised> {
        self.depth += 1;
        let depth = self.depth;
        if depth > self.config.decode_max_depth.min(DEPTH_LIMIT) || !self.lua.reserve(8) {
            let text =
                format_args!("Found too many nested data structures ({depth}) at character {}", self.at);
            return Err(self.lua.error_here(text));
        }
        Ok(())
    }

    /// Pushes the value that begins with a token.
    fn value(&mut self, token: Token) -> Result<(), Raised> {
        match token {
            Token::String => self.lua.push_output(),
            Token::Number(value) => self.lua.push_number(value),
            Token::Boolean(value) => self.lua.push_bool(value),
            Token::Null => self.lua.push_pointer(std::ptr::null()),
            Token::ObjectBegin => self.object()?,
            Token::ArrayBegin => self.array()?,
            other => return Err(self.expected("value", other)),
        }
        Ok(())
    }

    fn object(&mut self) -> Result<(), Raised> {
        self.descend()?;
        self.lua.push_table(0, 0);
        let mut token = self.next();
        if token != Token::ObjectEnd {
            loop {
                if token != Token::String {
                    return Err(self.expected("object key string", token));
                }
                self.lua.push_output();
                token = self.next();
                if token != Token::Colon {
                    return Err(self.expected("colon", token));
                }
                token = self.next();
                self.value(token)?;
                self.lua.raw_set(-3);
                token = self.next();
                match token {
                    Token::ObjectEnd => break,
                    Token::Comma => token = self.next(),
                    other => return Err(self.expected("comma or object end", other)),
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self) -> Result<(), Raised> {
        self.descend()?;
        self.lua.push_table(0, 0);
        let mut token = self.next();
        if token != Token::ArrayEnd {
            for position in 1.. {
                self.value(token)?;
                self.lua.raw_seti(-2, position);
                token = self.next();
                match token {
                    Token::ArrayEnd => break,
                    Token::Comma => token = self.next(),
                    other => return Err(self.expected("comma or array end", other)),
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }
}
