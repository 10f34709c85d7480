//! The 80-bit floating point that INCRBYFLOAT and HINCRBYFLOAT compute with on x86-64, so that 0.1 + 0.2 is 0.3
//! and 5000 + 0.1 shows the same last digits as on a real server.
//!
//! Decimals are read and printed exactly, as far as such a number goes: 10^4932. Hexadecimal ones are read as an `f64`.

use num_bigint::BigUint;

use super::{NOT_A_FLOAT, parse_f64};
use crate::base::ErrorReply;

/// Ten to the power of 17: how many decimals a server prints, and so keeps.
const SCALE: u128 = 100_000_000_000_000_000;
/// A text of that many bytes is no number to a server.
const TOO_LONG: usize = 5 * 1024;
/// The exponent of the largest number's highest bit, and that of the smallest number's.
const EXPONENTS: std::ops::RangeInclusive<i32> = -16_445..=16_383;

/// The increment would give no number.
const NAN_OR_INFINITY: ErrorReply = ErrorReply::new("ERR increment would produce NaN or Infinity");

/// Adds two numbers given as text and prints the sum as `%.17Lf` without its trailing zeros.
///
/// ```
/// use valkey_sim::engine::number::extended;
/// assert_eq!(extended::add(b"0.1", b"0.2").unwrap(), "0.3");
/// assert!(extended::add(b"1", b"inf").is_err());
/// ```
pub fn add(a: &[u8], b: &[u8]) -> Result<String, ErrorReply> {
    let (a, b) = (Extended::parse(a)?, Extended::parse(b)?);
    let sum = a.zip(b).map(|(a, b)| a.plus(b)).filter(|sum| EXPONENTS.contains(&sum.highest_bit()));
    sum.map(Extended::to_text).ok_or(NAN_OR_INFINITY)
}

/// Whether a text says infinity.
///
/// # Errors
/// It is no number.
pub fn is_infinite(text: &[u8]) -> Result<bool, ErrorReply> {
    Ok(Extended::parse(text)?.is_none())
}

/// ± mantissa × 2^exponent; the mantissa has its top bit set unless the number is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extended {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

impl Extended {
    /// Reads a number; `None` is infinity.
    fn parse(text: &[u8]) -> Result<Option<Self>, ErrorReply> {
        if text.len() >= TOO_LONG {
            return Err(NOT_A_FLOAT);
        }
        if let Some((negative, digits, power)) = decimal(text) {
            return Self::from_decimal(negative, digits, power).map(Some).ok_or(NOT_A_FLOAT);
        }
        let value = parse_f64(text)?;
        Ok(value.is_finite().then(|| Self::from_f64(value)))
    }

    /// The nearest number to ± `digits` × 10^`power`; `None` if it is too large or too small.
    fn from_decimal(negative: bool, digits: BigUint, power: i32) -> Option<Self> {
        if digits.bits() == 0 {
            return Some(Self { negative, mantissa: 0, exponent: 0 });
        }
        let ten_to = |power: i32| BigUint::from(10_u8).pow(power.unsigned_abs());
        let nearest = match power {
            -10_000..0 => {
                let divisor = ten_to(power);
                // Enough bits for 64 of quotient and some to round by; what is left over is the sticky bit.
                let shift = (divisor.bits() + 70).saturating_sub(digits.bits());
                let dividend = digits << shift;
                let quotient = &dividend / &divisor;
                let sticky = &quotient * &divisor != dividend;
                Self::from_big(negative, quotient << 1 | BigUint::from(sticky), -(shift as i32) - 1)
            }
            0..10_000 => Self::from_big(negative, digits * ten_to(power), 0),
            _ => return None,
        };
        EXPONENTS.contains(&nearest.highest_bit()).then_some(nearest)
    }

    /// The nearest number to mantissa × 2^exponent.
    fn from_big(negative: bool, mantissa: BigUint, exponent: i32) -> Self {
        let excess = mantissa.bits().saturating_sub(120);
        let sticky = mantissa.trailing_zeros().is_some_and(|zeros| zeros < excess);
        let kept = u128::try_from(mantissa >> excess).unwrap_or_default();
        Self::rounded(negative, kept << 1 | u128::from(sticky), exponent + excess as i32 - 1)
    }

    /// The power of two that its highest bit stands for.
    fn highest_bit(self) -> i32 {
        if self.mantissa == 0 { 0 } else { self.exponent + 63 }
    }

    /// The same number: an `f64` always fits.
    fn from_f64(value: f64) -> Self {
        let bits = value.to_bits();
        let (fraction, biased) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i32);
        let implicit = if biased == 0 { 0 } else { 1 << 52 };
        Self::rounded(value.is_sign_negative(), u128::from(fraction | implicit), biased.max(1) - 1_075)
    }

    /// The nearest number to mantissa × 2^exponent, ties to even.
    fn rounded(negative: bool, mantissa: u128, exponent: i32) -> Self {
        let excess = 64 - mantissa.leading_zeros() as i32;
        if mantissa == 0 {
            return Self { negative, mantissa: 0, exponent: 0 };
        }
        if excess <= 0 {
            let mantissa = (mantissa as u64).checked_shl(-excess as u32).unwrap_or_default();
            return Self { negative, mantissa, exponent: exponent + excess };
        }
        let kept = divide_to_nearest(mantissa, excess as u32);
        match u64::try_from(kept) {
            Ok(mantissa) => Self { negative, mantissa, exponent: exponent + excess },
            // Rounded up to 2^64.
            Err(_) => Self { negative, mantissa: 1 << 63, exponent: exponent + excess + 1 },
        }
    }

    fn plus(self, other: Self) -> Self {
        if self.mantissa == 0 || other.mantissa == 0 {
            return if self.mantissa == 0 { other } else { self };
        }
        let (big, small) = if (self.exponent, self.mantissa) >= (other.exponent, other.mantissa) {
            (self, other)
        } else {
            (other, self)
        };
        const GUARD_BITS: i32 = 62;
        let aligned = u128::from(big.mantissa) << GUARD_BITS;
        let distance = big.exponent - small.exponent;
        let shifted = u128::from(small.mantissa) << GUARD_BITS;
        let addend = match distance {
            0..=126 => shifted >> distance | u128::from(shifted & ((1 << distance) - 1) != 0),
            // Too far below to matter but for the rounding.
            _ => 1,
        };
        let exponent = big.exponent - GUARD_BITS;
        if big.negative == small.negative {
            Self::rounded(big.negative, aligned + addend, exponent)
        } else {
            match aligned - addend {
                0 => Self { negative: false, mantissa: 0, exponent: 0 },
                difference => Self::rounded(big.negative, difference, exponent),
            }
        }
    }

    /// Prints as `%.17Lf`, without trailing zeros.
    fn to_text(self) -> String {
        let sign = if self.negative && self.mantissa > 0 { "-" } else { "" };
        if let Ok(up) = u32::try_from(self.exponent) {
            return format!("{sign}{}", BigUint::from(self.mantissa) << up);
        }
        let scaled = divide_to_nearest(u128::from(self.mantissa) * SCALE, self.exponent.unsigned_abs());
        let text = format!("{sign}{}.{:017}", scaled / SCALE, scaled % SCALE);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        if text == "-0" { "0".to_owned() } else { text.to_owned() }
    }
}

/// Takes a decimal apart: its sign, its digits without the point, and the power of ten that they are to be multiplied
/// by. `None` for what is none.
fn decimal(text: &[u8]) -> Option<(bool, BigUint, i32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, decimals].concat();
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits = BigUint::parse_bytes(digits.as_bytes(), 10)?;
    let power = power.parse::<i32>().ok()?.checked_sub(decimals.len() as i32)?;
    Some((negative, digits, power))
}

/// `value` / 2^`power`, to the nearest, ties to even.
fn divide_to_nearest(value: u128, power: u32) -> u128 {
    if power > 127 {
        return 0;
    }
    let quotient = value >> power;
    let rest = value - (quotient << power);
    let half = if power == 0 { 1 } else { 1 << (power - 1) };
    let up = rest > half || (rest == half && quotient & 1 == 1);
    quotient + u128::from(up)
}

#[cfg(test)]
mod tests {
    use super::{super::NOT_A_FLOAT, NAN_OR_INFINITY, add};

    /// As redis 7.0.15 answered on x86-64.
    #[test]
    fn sums_show_the_digits_of_a_long_double() {
        for (a, b, sum) in [
            ("0.1", "0.2", "0.3"),
            ("10.5", "0.1", "10.6"),
            ("3", "-3", "0"),
            ("-1.5", "1", "-0.5"),
            ("0", "0.00000000000000001", "0.00000000000000001"),
            ("1e3", "1", "1001"),
            ("5003.10000000000000009", "1e3", "6003.10000000000000009"),
            ("5003.10000000000000009", "1e20", "100000000000000005000"),
            ("0x10", "0.5", "16.5"),
            ("-9223372036854775808", "1", "-9223372036854775807"),
            ("0", "3.14159265358979323846264338327950288", "3.14159265358979324"),
            ("123456789012345678901234567890", "1", "123456789012345678899921813504"),
            ("1e30", "1", "1000000000000000000024696061952"),
            ("0", "100000000000000000000000000000000000001", "99999999999999999999312600448599326720"),
            ("-1e25", "0", "-10000000000000000000000000"),
            ("0", "-0", "0"),
            ("0", "1e-4900", "0"),
        ] {
            assert_eq!(add(a.as_bytes(), b.as_bytes()).as_deref(), Ok(sum), "{a} + {b}");
        }
    }

    #[test]
    fn numbers_beyond_a_long_double_are_refused() {
        for text in ["1e5000", "1e-5000", "1e99999999999", "nan", "", ".", "1e", "+-1"] {
            assert_eq!(add(b"0", text.as_bytes()), Err(NOT_A_FLOAT), "{text}");
        }
        for (a, b) in [("1e4932", "1e4932"), ("inf", "-inf"), ("0", "inf")] {
            assert_eq!(add(a.as_bytes(), b.as_bytes()), Err(NAN_OR_INFINITY), "{a} + {b}");
        }
        assert_eq!(add(b"1e4932", b"-1e4932").as_deref(), Ok("0"));
        assert_eq!(add(b"0", b"1e4932").map(|text| text.len()), Ok(4933));
    }
}
