//! Numbers as a server reads and prints them.
//!
//! Integers are read strictly, floats as C's `strtod` reads them. What INCRBYFLOAT computes with is in
//! [`extended`].

pub mod extended;

use super::{Dialect, ErrorReply, NOT_A_FLOAT, NOT_AN_INTEGER};

/// Reads a 64-bit integer as strictly as a server does: no leading `+`, no leading zeros, no spaces, no `-0`.
pub fn parse_i64(text: &[u8]) -> Result<i64, ErrorReply> {
    read_i64(text).ok_or(NOT_AN_INTEGER)
}

/// As [`parse_i64`] where a text that is no integer is no error.
pub fn read_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'0'] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !matches!(digits.first(), Some(b'1'..=b'9')) || digits.len() > 19 {
        return None;
    }
    let mut magnitude: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        // Nineteen digits fit.
        magnitude = magnitude * 10 + u64::from(digit - b'0');
    }
    if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Reads a number as a server does, by the rules of `strtod`: decimal or hexadecimal, `inf` and `infinity` with
/// or without a sign; no spaces, no `nan`, nothing that overflows or vanishes to zero.
///
/// ```
/// use valkey_sim::engine::number::parse_f64;
/// assert_eq!(parse_f64(b"+1.5e3"), Ok(1500.0));
/// assert_eq!(parse_f64(b"-inf"), Ok(f64::NEG_INFINITY));
/// assert!(parse_f64(b"nan").is_err() && parse_f64(b" 1").is_err() && parse_f64(b"1e400").is_err());
/// ```
pub fn parse_f64(text: &[u8]) -> Result<f64, ErrorReply> {
    if let Some(integer) = read_i64(text) {
        return Ok(integer as f64);
    }
    read_f64(text).ok_or(NOT_A_FLOAT)
}

fn read_f64(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => parse_hexadecimal(&unsigned[2..])?,
        [b'0'..=b'9' | b'.', ..] => {
            let value: f64 = unsigned.parse().ok()?;
            let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
            let vanished = value == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
            if value.is_infinite() || vanished {
                return None;
            }
            value
        }
        _ if unsigned.eq_ignore_ascii_case("inf") || unsigned.eq_ignore_ascii_case("infinity") => {
            f64::INFINITY
        }
        _ => return None,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// The rest of a hexadecimal float after `0x`: digits, perhaps a point, perhaps `p` and a power of two.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (digits, power) = match text.split_once(['p', 'P']) {
        Some((digits, power)) => (digits, power.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (mut mantissa, mut exponent, mut seen_point, mut seen_digit) =
        (0_u64, i64::from(power), false, false);
    for c in digits.chars() {
        if c == '.' && !seen_point {
            seen_point = true;
            continue;
        }
        let digit = u64::from(c.to_digit(16)?);
        seen_digit = true;
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
            exponent -= if seen_point { 4 } else { 0 };
        } else {
            // Past what an f64 can hold: only whether anything was there matters, for the rounding.
            mantissa |= u64::from(digit != 0);
            exponent += if seen_point { 0 } else { 4 };
        }
    }
    let value = mantissa as f64 * 2_f64.powi(exponent.clamp(-1_100, 1_100) as i32);
    (seen_digit && value.is_finite() && (value != 0.0 || mantissa == 0)).then_some(value)
}

/// Prints a score or a double: shortest round-trip on Valkey 8, `%.17g` on Redis 7.
///
/// ```
/// use valkey_sim::engine::{Dialect, number::format_double};
/// assert_eq!(format_double(0.1, Dialect::Valkey8), "0.1");
/// assert_eq!(format_double(1e17, Dialect::Valkey8), "100000000000000000");
/// assert_eq!(format_double(0.1, Dialect::Redis7), "0.10000000000000001");
/// ```
pub fn format_double(value: f64, dialect: Dialect) -> String {
    match dialect {
        Dialect::Valkey8 => format_shortest(value),
        Dialect::Redis7 => format_g(value, 17),
    }
}

/// The fewest digits that read back as the same number, laid out as Valkey's `fpconv` lays them out.
fn format_shortest(value: f64) -> String {
    // Half of i64::MAX is where `double2ll` stops taking a number for an integer.
    const LARGEST_INTEGER: f64 = (i64::MAX / 2) as f64;
    if value.is_nan() || value.is_infinite() || value == 0.0 {
        return format_g(value, 17);
    }
    if value.abs() <= LARGEST_INTEGER && value == value.trunc() {
        return (value as i64).to_string();
    }
    let Scientific { negative, digits, exponent } = Scientific::of(format!("{value:e}"));
    let sign = if negative { "-" } else { "" };
    let count = digits.len() as i32;
    // The power of ten of the last digit.
    let last = exponent - count + 1;
    if last >= 0 && exponent.abs() < count + 7 {
        return format!("{sign}{digits}{}", "0".repeat(last as usize));
    }
    if last < 0 && (last > -7 || exponent.abs() < 4) {
        return match count + last {
            whole if whole > 0 => {
                format!("{sign}{}.{}", &digits[..whole as usize], &digits[whole as usize..])
            }
            zeros => format!("{sign}0.{}{digits}", "0".repeat(-zeros as usize)),
        };
    }
    let point = if count > 1 { "." } else { "" };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{}{point}{}e{exponent_sign}{}", &digits[..1], &digits[1..], exponent.abs())
}

/// Prints as C's `%.{precision}g`.
///
/// ```
/// use valkey_sim::engine::number::format_g;
/// assert_eq!(format_g(0.1, 17), "0.10000000000000001");
/// assert_eq!(format_g(1e15, 14), "1e+15");
/// assert_eq!(format_g(3.0, 14), "3");
/// ```
pub fn format_g(value: f64, precision: usize) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() { "-nan" } else { "nan" }.to_owned();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let precision = precision.max(1);
    let Scientific { negative, digits, exponent } =
        Scientific::of(format!("{value:.places$e}", places = precision - 1));
    let sign = if negative { "-" } else { "" };
    if exponent < -4 || exponent >= precision as i32 {
        let digits = digits.trim_end_matches('0');
        let (first, rest) = if digits.is_empty() { ("0", "") } else { digits.split_at(1) };
        let point = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{point}{rest}e{exponent_sign}{:02}", exponent.abs());
    }
    let text = match usize::try_from(exponent) {
        Ok(exponent) => format!("{}.{}", &digits[..=exponent], &digits[exponent + 1..]),
        Err(_) => format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize)),
    };
    format!("{sign}{}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// The digits and the exponent of a number in scientific notation: digit one, the point, the others.
struct Scientific {
    negative: bool,
    digits: String,
    exponent: i32,
}

impl Scientific {
    /// Takes apart what Rust's `{:e}` prints: `-1.25e-7`.
    fn of(text: String) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        Self {
            negative: mantissa.starts_with('-'),
            digits: mantissa.chars().filter(char::is_ascii_digit).collect(),
            exponent: exponent.parse().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_strictly() {
        for (text, value) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(read_i64(text.as_bytes()), value, "{text}");
        }
        for text in ["", "-", "-0", "+1", "01", " 1", "1 ", "1.0", "0x1", "a"] {
            assert_eq!(parse_i64(text.as_bytes()), Err(NOT_AN_INTEGER), "{text}");
        }
    }

    #[test]
    fn floats_are_read_as_strtod_reads_them() {
        for (text, value) in [
            (".5", 0.5),
            ("5.", 5.0),
            ("+5", 5.0),
            ("1e3", 1000.0),
            ("0x1p4", 16.0),
            ("-0x.8", -0.5),
            ("0x10", 16.0),
            ("Infinity", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("1e-310", 1e-310),
            ("0e500", 0.0),
        ] {
            assert_eq!(parse_f64(text.as_bytes()), Ok(value), "{text}");
        }
        for text in
            ["", "nan", "-nan", " 1", "1 ", "1e400", "1e-400", "0x", "0xp1", "1e", "--1", "+-1", ".", "infi"]
        {
            assert_eq!(parse_f64(text.as_bytes()), Err(NOT_A_FLOAT), "{text}");
        }
    }

    #[test]
    fn valkey_prints_the_shortest_text_that_reads_back() {
        for (value, text) in [
            (0.1, "0.1"),
            (1e17, "100000000000000000"),
            (1e20, "1e+20"),
            (1e-7, "1e-7"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (-0.001, "-0.001"),
            (123456.789, "123456.789"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(format_double(value, Dialect::Valkey8), text);
        }
    }

    #[test]
    fn redis_prints_seventeen_digits() {
        for (value, text) in [
            (0.1, "0.10000000000000001"),
            (1e17, "1e+17"),
            (1e16, "10000000000000000"),
            (1e-7, "9.9999999999999995e-08"),
            (-0.0, "-0"),
            (0.0001, "0.0001"),
            (3.0, "3"),
        ] {
            assert_eq!(format_double(value, Dialect::Redis7), text);
        }
    }
}
