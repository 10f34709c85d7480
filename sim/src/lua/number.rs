//! Numbers as C's `printf` writes and `strtod` reads them: what Lua and cjson are built on.

use std::io::Write;

/// Writes `value` as `%.{precision}g` does.
///
/// ```text
/// 0.1 → 0.1, 1e15 → 1e+15, 1e-5 → 1e-05   (precision 14)
/// ```
pub fn write_general(out: &mut Vec<u8>, value: f64, precision: usize) {
    if !value.is_finite() {
        let text = if value.is_nan() { "nan" } else { "inf" };
        let sign = if value.is_sign_negative() { "-" } else { "" };
        let _ = write!(out, "{sign}{text}");
        return;
    }
    if value == value.trunc()
        && value.abs() < 1e14
        && precision >= 14
        && (value != 0.0 || value.is_sign_positive())
    {
        let _ = write!(out, "{}", value as i64);
        return;
    }
    let precision = precision.max(1);
    let start = out.len();
    let _ = write!(out, "{value:.*e}", precision - 1);
    let Some(mark) = out[start..].iter().rposition(|&b| b == b'e').map(|at| start + at) else { return };
    let exponent: i32 = std::str::from_utf8(&out[mark + 1..]).ok().and_then(|e| e.parse().ok()).unwrap_or(0);
    if exponent < -4 || exponent >= precision as i32 {
        out.truncate(mark);
        trim_fraction(out, start);
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.abs());
    } else {
        out.truncate(start);
        let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
        let _ = write!(out, "{value:.decimals$}");
        trim_fraction(out, start);
    }
}

/// Takes off the zeros that end a fraction, and the point when nothing is left behind it.
fn trim_fraction(out: &mut Vec<u8>, start: usize) {
    if !out[start..].contains(&b'.') {
        return;
    }
    while out.last() == Some(&b'0') {
        out.pop();
    }
    if out.last() == Some(&b'.') {
        out.pop();
    }
}

/// Reads the longest prefix that `strtod` takes for a number (decimal, hexadecimal, `inf`, `nan`; an optional
/// sign): its value and length. `None` when there is none.
pub fn parse_prefix(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let negative = text.first() == Some(&b'-');
    let signed = |magnitude: f64| if negative { -magnitude } else { magnitude };
    let digits = &text[sign..];
    for (word, value) in
        [(&b"infinity"[..], f64::INFINITY), (&b"inf"[..], f64::INFINITY), (&b"nan"[..], f64::NAN)]
    {
        if digits.len() >= word.len() && digits[..word.len()].eq_ignore_ascii_case(word) {
            return Some((signed(value), sign + word.len()));
        }
    }
    if let Some((value, length)) = parse_hexadecimal(digits) {
        return Some((signed(value), sign + length));
    }
    let length = decimal_length(digits)?;
    let value: f64 = std::str::from_utf8(&digits[..length]).ok()?.parse().ok()?;
    Some((signed(value), sign + length))
}

fn count_digits(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_digit()).count()
}

fn decimal_length(text: &[u8]) -> Option<usize> {
    let whole = count_digits(text);
    let mut length = whole;
    if text.get(length) == Some(&b'.') {
        let fraction = count_digits(&text[length + 1..]);
        if whole + fraction == 0 {
            return None;
        }
        length += 1 + fraction;
    }
    if length == 0 {
        return None;
    }
    if matches!(text.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(length + 1), Some(b'-' | b'+')));
        let digits = count_digits(&text[length + 1 + sign..]);
        if digits > 0 {
            length += 1 + sign + digits;
        }
    }
    Some(length)
}

/// `0x1F`, `0x.8`, `0x1p4`: the value and length.
fn parse_hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    if text.len() < 3 || text[0] != b'0' || text[1] | 0x20 != b'x' {
        return None;
    }
    let (mut value, mut at, mut seen, mut scale) = (0.0f64, 2, false, None::<f64>);
    while let Some(&byte) = text.get(at) {
        match (char::from(byte).to_digit(16), scale) {
            (Some(digit), None) => value = value * 16.0 + f64::from(digit),
            (Some(digit), Some(unit)) => {
                value += f64::from(digit) * unit;
                scale = Some(unit / 16.0);
            }
            (None, None) if byte == b'.' => {
                scale = Some(1.0 / 16.0);
                at += 1;
                continue;
            }
            (None, _) => break,
        }
        seen = true;
        at += 1;
    }
    if !seen {
        return None;
    }
    if text.get(at).is_some_and(|b| b | 0x20 == b'p') {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'-' | b'+')));
        let digits = count_digits(&text[at + 1 + sign..]);
        if digits > 0 {
            let end = at + 1 + sign + digits;
            let exponent = std::str::from_utf8(&text[at + 1..end]).ok()?;
            let exponent: i32 = exponent.trim_start_matches('+').parse().unwrap_or(0);
            return Some((value * 2f64.powi(exponent), end));
        }
    }
    Some((value, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn general(value: f64, precision: usize) -> String {
        let mut out = Vec::new();
        write_general(&mut out, value, precision);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_print_as_c_prints_them() {
        for (value, precision, text) in [
            (0.1, 14, "0.1"),
            (0.1, 17, "0.10000000000000001"),
            (1e15, 14, "1e+15"),
            (1e14, 14, "1e+14"),
            (123456789012345.0, 14, "1.2345678901234e+14"),
            (99999999999999.0, 14, "99999999999999"),
            (1e-5, 14, "1e-05"),
            (0.0001, 14, "0.0001"),
            (-0.0, 14, "-0"),
            (1.5, 14, "1.5"),
            (1e17, 17, "1e+17"),
            (12345678901234567890.0, 17, "1.2345678901234567e+19"),
            (f64::INFINITY, 14, "inf"),
            (100.0, 2, "1e+02"),
        ] {
            assert_eq!(general(value, precision), text);
        }
    }

    #[test]
    fn the_longest_number_is_read() {
        for (text, value, length) in [
            ("12,", 12.0, 2),
            ("0x10]", 16.0, 4),
            ("01", 1.0, 2),
            ("+1", 1.0, 2),
            ("-1.5e3x", -1500.0, 6),
            ("1e", 1.0, 1),
            ("0x", 0.0, 1),
            ("-inf", f64::NEG_INFINITY, 4),
            ("1.", 1.0, 2),
        ] {
            assert_eq!(parse_prefix(text.as_bytes()), Some((value, length)), "{text}");
        }
        assert_eq!(parse_prefix(b"-"), None);
        assert_eq!(parse_prefix(b"."), None);
    }
}
