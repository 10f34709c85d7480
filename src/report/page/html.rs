//! The shell of a page: one HTML file with its style, its script and its data inside, and nothing from elsewhere.
//!
//! A library under test decides what stands in keys, replies and lanes, so a page treats all of its data as hostile: data
//! goes in as JSON that cannot end its element, scripts put it into the page as text only, and the page's own policy
//! lets nothing run but the script with the digest that stands in it.

use serde::Serialize;
use sha2::{Digest, Sha256};

const SHELL: &str = include_str!("assets/shell.html");
const STYLE: &str = include_str!("assets/style.css");

/// A kind of page: what it consists of beside its data.
pub(super) struct Kind {
    /// The markup of its body, without any data.
    pub body: &'static str,
    /// Its script, in parts.
    pub script: &'static [&'static str],
}

/// Makes a page.
pub(super) fn html(kind: &Kind, title: &str, data: &impl Serialize) -> String {
    let script = format!("(() => {{\n\"use strict\";\n{}}})();\n", kind.script.concat());
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        digest(&script),
        digest(STYLE)
    );
    let data = serde_json::to_string(data).expect("a page's data is plain");
    fill(SHELL, &|name| match name {
        "policy" => policy.clone(),
        "title" => text(title),
        "style" => STYLE.to_owned(),
        "body" => kind.body.to_owned(),
        "data" => json(&data),
        "script" => script.clone(),
        _ => unreachable!("the shell has no slot {name}"),
    })
}

/// Puts values into the slots of a template: `{{name}}`. What a value contains is no slot.
fn fill(template: &str, value: &dyn Fn(&str) -> String) -> String {
    let mut parts = template.split("{{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").expect("a slot of the shell is closed");
        out += &value(name);
        out += rest;
    }
    out
}

/// JSON that can stand in a script element: nothing in it ends the element or begins a comment.
fn json(json: &str) -> String {
    escape(json, |c| match c {
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => Some(format!("\\u{:04x}", c as u32)),
        _ => None,
    })
}

/// Text that can stand between tags.
fn text(text: &str) -> String {
    escape(text, |c| match c {
        '<' | '>' | '&' | '"' | '\'' | '\u{2028}' | '\u{2029}' => Some(format!("&#{};", c as u32)),
        _ => None,
    })
}

fn escape(text: &str, replacement: impl Fn(char) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match replacement(c) {
            Some(instead) => out += &instead,
            None => out.push(c),
        }
    }
    out
}

/// The SHA-256 of a text in base64, as a content security policy wants it.
fn digest(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in Sha256::digest(text).chunks(3) {
        let bits = (0..3).fold(0, |bits, i| bits << 8 | u32::from(three.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let is_filler = i > three.len();
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            out.push(if is_filler { '=' } else { digit as char });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { body: "<main></main>", script: &["let a = 1;\n", "let b = 2;\n"] };

    #[test]
    fn data_cannot_leave_its_element_and_reads_back_the_same() {
        let hostile = "</script><img src=x onerror=alert(1)><!--{{script}} & \u{2028}<b>";
        let page = html(&KIND, hostile, &[hostile]);
        assert!(!page.contains("<img") && !page.contains("<b>") && !page.contains('\u{2028}'), "{page}");
        assert_eq!((page.matches("<script").count(), page.matches("</script>").count()), (2, 2), "{page}");
        assert_eq!(page.matches("let a = 1;").count(), 1, "a slot's name in the data was filled");
        let data = page.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
        assert_eq!(serde_json::from_str::<Vec<String>>(data).unwrap(), [hostile]);
    }

    #[test]
    fn nothing_comes_from_elsewhere() {
        let page = html(&KIND, "a title", &0);
        for address in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!page.contains(address), "the page has a {address}");
        }
        assert!(page.contains("default-src 'none'"), "{page}");
    }

    #[test]
    fn digests_are_in_base64() {
        // `printf '' | openssl dgst -sha256 -binary | base64`
        assert_eq!(digest(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }
}
