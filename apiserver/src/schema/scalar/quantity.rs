//! The canonical form of a `resource.Quantity`: what Go prints after reading it (`apimachinery/pkg/api/resource/quantity.go`).
//!
//! `0.5` becomes `500m`, `1024Mi` becomes `1Gi`; a text that Go keeps as it is (`12.345`, `+5`) is kept.

use std::borrow::Cow;

const WRONG_FORMAT: &str = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const WRONG_NUMBER: &str = "unable to parse numeric part of quantity";
const WRONG_SUFFIX: &str = "unable to parse quantity's suffix";
/// 10^18 fits an `int64`: the fast path of Go.
const MAX_FACTORS: i32 = 18;
const NANO: i32 = -9;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    DecimalSi,
    DecimalExponent,
    BinarySi,
}

/// The canonical form of a quantity; the error is Go's sentence.
pub fn canonical(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if text == "0" {
        return Ok(text.into());
    }
    let parts = split(text)?;
    let (exponent, format) = interpret(parts.suffix).ok_or(WRONG_SUFFIX)?;
    let digits = format!("{}{}", parts.whole, parts.fraction);
    let length = i32::try_from(digits.len()).map_err(|_| WRONG_NUMBER)?;
    let (precision, scale) = match format {
        Format::DecimalSi | Format::DecimalExponent => (MAX_FACTORS - length, exponent - fraction_digits(&parts)),
        // floor(exponent * 3 / 10): the decimal digits of a power of two
        Format::BinarySi if parts.fraction.is_empty() => (15 - length - exponent * 3 / 10 - 1, 0),
        Format::BinarySi => (-1, 0),
    };
    if precision >= 0 && scale >= NANO {
        let value: i64 = digits.parse().map_err(|_| WRONG_NUMBER)?;
        let keeps = match format {
            Format::BinarySi => exponent % 10 == 0 && value & 7 != 0,
            Format::DecimalSi | Format::DecimalExponent => scale % 3 == 0 && !digits.ends_with("000") && !digits.starts_with('0'),
        };
        if keeps {
            return Ok(text.into());
        }
    }
    Ok(Amount::exact(&digits, fraction_digits(&parts), exponent, format, parts.negative).ok_or(WRONG_NUMBER)?.print().into())
}

fn fraction_digits(parts: &Parts<'_>) -> i32 {
    i32::try_from(parts.fraction.len()).unwrap_or(i32::MAX)
}

struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

/// `parseQuantityString`.
fn split(text: &str) -> Result<Parts<'_>, &'static str> {
    if text.is_empty() {
        return Err(WRONG_FORMAT);
    }
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let trimmed = unsigned.trim_start_matches('0');
    if trimmed.is_empty() {
        return Ok(Parts { negative, whole: "0", fraction: "", suffix: "" });
    }
    let (whole, rest) = take(trimmed, |byte| byte.is_ascii_digit());
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => take(rest, |byte| byte.is_ascii_digit()),
        None => ("", rest),
    };
    let (_, rest) = take(suffix, |byte| b"eEinumkKMGTP".contains(&byte));
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    if !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WRONG_FORMAT);
    }
    Ok(Parts { negative, whole: if whole.is_empty() { "0" } else { whole }, fraction, suffix })
}

fn take(text: &str, wanted: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|byte| !wanted(byte)).unwrap_or(text.len());
    text.split_at(end)
}

/// The exponent (of ten, or of two) that a suffix stands for.
fn interpret(suffix: &str) -> Option<(i32, Format)> {
    const DECIMAL: [(&str, i32); 10] = [("", 0), ("n", -9), ("u", -6), ("m", -3), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
    const BINARY: [(&str, i32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
    if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((*exponent, Format::DecimalSi));
    }
    if let Some((_, exponent)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Some((*exponent, Format::BinarySi));
    }
    let digits = suffix.strip_prefix(['e', 'E']).filter(|digits| !digits.is_empty())?;
    digits.parse::<i32>().ok().filter(|exponent| exponent.abs() < 64).map(|exponent| (exponent, Format::DecimalExponent))
}

/// `unscaled / 10^9`, exactly.
struct Amount {
    nanos: i128,
    format: Format,
}

impl Amount {
    fn exact(digits: &str, fraction: i32, exponent: i32, format: Format, negative: bool) -> Option<Self> {
        let unscaled: i128 = digits.parse().ok()?;
        let (unscaled, ten) = match format {
            // more than an int64 is cut to its most, so nothing overflows here
            Format::BinarySi => (unscaled.min(i128::from(i64::MAX) * 1_000_000_000) << exponent.clamp(0, 60), 9 - fraction),
            Format::DecimalSi | Format::DecimalExponent => (unscaled, 9 + exponent - fraction),
        };
        let mut nanos = match u32::try_from(ten) {
            Ok(ten) if format == Format::BinarySi => unscaled.saturating_mul(10i128.checked_pow(ten)?),
            Ok(ten) => unscaled.checked_mul(10i128.checked_pow(ten)?)?,
            Err(_) => {
                // what is smaller than a billionth is rounded up
                let divisor = 10i128.checked_pow(ten.unsigned_abs())?;
                unscaled / divisor + i128::from(unscaled % divisor != 0)
            }
        };
        let mut format = format;
        if format == Format::BinarySi {
            nanos = nanos.min(i128::from(i64::MAX) * 1_000_000_000);
            if nanos > 0 && nanos < 1_000_000_000 {
                format = Format::DecimalSi;
            }
        }
        Some(Self { nanos: if negative { -nanos } else { nanos }, format })
    }

    /// `CanonicalizeBytes`.
    fn print(&self) -> String {
        if self.nanos == 0 {
            return "0".to_owned();
        }
        let whole = self.nanos % 1_000_000_000 == 0;
        let small = self.nanos.abs() < 1024 * 1_000_000_000;
        if self.format == Format::BinarySi && whole && !small {
            let (mut value, mut power) = (self.nanos / 1_000_000_000, 0);
            while value % 1024 == 0 && power < 6 {
                (value, power) = (value / 1024, power + 1);
            }
            return format!("{value}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power]);
        }
        let (mut value, mut exponent) = (self.nanos, -9);
        while value % 1000 == 0 {
            (value, exponent) = (value / 1000, exponent + 3);
        }
        if self.format == Format::DecimalExponent {
            return if exponent == 0 { value.to_string() } else { format!("{value}e{exponent}") };
        }
        let suffix = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"].get(usize::try_from((exponent + 9) / 3).unwrap_or(3)).unwrap_or(&"");
        format!("{value}{suffix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_go_prints() {
        // as apimachinery 0.35 answers
        let cases = [
            ("0", "0"),
            ("0.5", "500m"),
            ("1024Mi", "1Gi"),
            ("1000m", "1"),
            ("100m", "100m"),
            ("1500m", "1500m"),
            ("1.5Gi", "1536Mi"),
            ("0.1", "100m"),
            ("1.0", "1"),
            ("12.345", "12.345"),
            ("1Gi", "1Gi"),
            ("1024Ki", "1Mi"),
            ("1e3", "1e3"),
            ("1000", "1k"),
            ("100", "100"),
            ("1000000", "1M"),
            ("1.5", "1500m"),
            ("0.5Gi", "512Mi"),
            ("0.5Ki", "512"),
            ("512Ki", "512Ki"),
            ("8Gi", "8Gi"),
            ("-1", "-1"),
            ("+5", "+5"),
            ("00.5", "500m"),
            ("5000e-3", "5"),
            ("2Ti", "2Ti"),
            ("1e6", "1e6"),
            ("0.0000000001", "1n"),
            ("123456789012345678901", "123456789012345678901"),
            ("10E", "10E"),
            ("0Mi", "0"),
            ("1Ei", "1Ei"),
            ("000", "0"),
            (".5", "500m"),
            (".", "0"),
            ("-", "0"),
            ("1.G", "1.G"),
            ("e3", "0"),
            ("1e21", "1e21"),
            ("1000E", "1"),
            ("5.", "5."),
            ("1E3", "1E3"),
            ("1e-3", "1e-3"),
            ("0.001Ki", "1024m"),
            ("-0.5Gi", "-512Mi"),
            ("999999999999999999", "999999999999999999"),
            ("9999999999999999999Ei", "9223372036854775807"),
            ("1.1Ki", "1126400m"),
            ("16Ki", "16Ki"),
            ("m", "0"),
            ("Ki", "0"),
            ("-5m", "-5m"),
            ("1000000000000Ki", "976562500Mi"),
            ("0.1m", "100u"),
            ("0.0001n", "1n"),
            ("0100", "0100"),
            ("1.500", "1.500"),
            ("1E", "1E"),
            ("1e+3", "1e+3"),
            ("1e03", "1e03"),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text).map(|one| one.into_owned()), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn says_what_go_says() {
        for (text, expected) in [
            ("", WRONG_FORMAT),
            ("abc", WRONG_FORMAT),
            ("1Q", WRONG_FORMAT),
            ("1Mib", WRONG_FORMAT),
            ("1mm", WRONG_SUFFIX),
            ("1K", WRONG_SUFFIX),
            ("1 Gi", WRONG_FORMAT),
        ] {
            assert_eq!(canonical(text), Err(expected), "{text}");
        }
    }
}
