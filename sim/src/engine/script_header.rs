//! What a script declares about itself in its first line, `#!lua flags=…`.

use super::{ErrorReply, functions::split_words};
use crate::lua::FunctionFlags;

/// A script's optional first line: `#!lua flags=no-writes`.
pub struct ScriptHeader<'a> {
    /// What it declares; `None` without such a line.
    pub flags: Option<FunctionFlags>,
    /// The rest, from the end of that line on, so that line numbers stay right.
    pub body: &'a [u8],
}

impl<'a> ScriptHeader<'a> {
    /// Takes a script apart.
    ///
    /// # Errors
    /// What `EVAL` answers to such a first line.
    pub fn parse(code: &'a [u8]) -> Result<Self, ErrorReply> {
        if !code.starts_with(b"#!") {
            return Ok(Self { flags: None, body: code });
        }
        let invalid = || ErrorReply::new("ERR Invalid script shebang");
        let end = code.iter().position(|&b| b == b'\n').ok_or_else(invalid)?;
        let words = split_words(&code[..end]).ok_or_else(invalid)?;
        let (engine, options) = words.split_first().ok_or_else(invalid)?;
        if engine != "#!lua" {
            return Err(format!("ERR Unexpected engine in script shebang: {}", &engine[2..]).into());
        }
        let mut flags = FunctionFlags::default();
        for option in options {
            let Some(names) = option.strip_prefix("flags=") else {
                return Err(format!("ERR Unknown lua shebang option: {option}").into());
            };
            for name in names.split(',').filter(|name| !name.is_empty()) {
                let flag = FunctionFlags::named(name.as_bytes()).ok_or_else(|| {
                    ErrorReply::from(format!("ERR Unexpected flag in script shebang: {name}"))
                })?;
                flags = flags.and(flag);
            }
        }
        Ok(Self { flags: Some(flags), body: &code[end..] })
    }
}
