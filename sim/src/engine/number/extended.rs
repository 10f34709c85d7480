//! The 80-bit floating point that INCRBYFLOAT and HINCRBYFLOAT compute with on x86-64, so that 0.1 + 0.2 is 0.3
//! and 5000 + 0.1 shows the same last digits as on a real server.
//!
//! Exact for numbers of at most 17 decimals and up to 10^21, which is nearly all that a server stores for them;
//! beyond that an `f64` has to do.

use super::{super::ErrorReply, parse_f64};

/// How many decimals a server prints, and so keeps.
const DECIMALS: usize = 17;
/// Ten to the power of [`DECIMALS`].
const SCALE: u128 = 100_000_000_000_000_000;
/// The largest magnitude, in units of 1/[`SCALE`], that is read exactly: 1.7 × 10^21.
const LARGEST: u128 = u128::MAX >> 1;

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
    let sum = parse_f64(a)? + parse_f64(b)?;
    if !sum.is_finite() {
        return Err(NAN_OR_INFINITY);
    }
    let exact = Extended::parse(a)?.plus(Extended::parse(b)?);
    if let Some(scaled) = exact.to_scaled() {
        let sign = if exact.negative { "-" } else { "" };
        return Ok(trimmed(format!("{sign}{}.{:017}", scaled / SCALE, scaled % SCALE)));
    }
    Ok(trimmed(format!("{sum:.DECIMALS$}")))
}

fn trimmed(text: String) -> String {
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// ± mantissa × 2^exponent; the mantissa has its top bit set unless the number is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extended {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

impl Extended {
    /// Reads a decimal that can be kept exactly; takes another text for the `f64` that it means.
    fn parse(text: &[u8]) -> Result<Self, ErrorReply> {
        let value = parse_f64(text)?;
        Ok(Self::parse_decimal(text).unwrap_or_else(|| Self::from_f64(value)))
    }

    fn parse_decimal(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, power) = match text.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, power.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: u128 = 0;
        for digit in whole.bytes().chain(decimals.bytes()) {
            let digit = char::from(digit).to_digit(10)?;
            digits = digits.checked_mul(10)?.checked_add(digit.into())?;
        }
        let shift = (DECIMALS as i32).checked_add(power)?.checked_sub(i32::try_from(decimals.len()).ok()?)?;
        let scaled = digits.checked_mul(10_u128.checked_pow(u32::try_from(shift).ok()?)?)?;
        (scaled <= LARGEST).then(|| Self::from_scaled(negative, scaled))
    }

    /// The same number: an `f64` always fits.
    fn from_f64(value: f64) -> Self {
        let bits = value.to_bits();
        let (fraction, biased) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i32);
        let implicit = if biased == 0 { 0 } else { 1 << 52 };
        Self::rounded(value.is_sign_negative(), u128::from(fraction | implicit), biased.max(1) - 1_075)
    }

    /// The nearest number to `scaled` / [`SCALE`].
    fn from_scaled(negative: bool, scaled: u128) -> Self {
        // Enough bits for 64 of quotient and some to round by; what the division leaves over is the sticky bit.
        let shift = (scaled.leading_zeros() as i32 - 1).min(126);
        let dividend = scaled << shift;
        let (quotient, rest) = (dividend / SCALE, dividend % SCALE);
        // The quotient has about 70 bits: room below for one sticky bit.
        Self::rounded(negative, quotient << 1 | u128::from(rest != 0), -shift - 1)
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

    /// The magnitude in units of 1/[`SCALE`], to the nearest; `None` if that is too large.
    fn to_scaled(self) -> Option<u128> {
        let product = u128::from(self.mantissa) * SCALE;
        match u32::try_from(self.exponent) {
            Ok(up) => (self.exponent < 7).then(|| product << up),
            Err(_) => Some(divide_to_nearest(product, self.exponent.unsigned_abs())),
        }
    }
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
    use super::add;

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
        ] {
            assert_eq!(add(a.as_bytes(), b.as_bytes()).as_deref(), Ok(sum), "{a} + {b}");
        }
    }
}
