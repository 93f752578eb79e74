//! `resource.Quantity`: exact arithmetic on `500m`, `1Gi`, `1e3`, and their canonical form.
//!
//! See `apimachinery/pkg/api/resource/quantity.go`. A value is held in billionths; what is finer is rounded up, as Kubernetes does.

use std::fmt;
use std::str::FromStr;

/// Billionths in one.
const ONE: i128 = 1_000_000_000;
/// The largest magnitude: 2^63 - 1, as in Kubernetes.
const MOST: i128 = (i64::MAX as i128) * ONE;

/// How a quantity was written, and will be again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// `12e6`
    DecimalExponent,
    /// `12M`, `500m`, `3`
    DecimalSi,
    /// `12Mi`
    BinarySi,
}

/// An amount of a resource. Compares by value; prints in canonical form.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Why a text is no quantity. The sentence is Kubernetes' (`resource.ErrFormatWrong`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct Malformed;

impl Quantity {
    /// Nothing of it.
    pub const ZERO: Self = Self { nanos: 0, format: Format::DecimalSi };

    /// This many whole units.
    pub fn from_units(units: i64) -> Self {
        Self { nanos: i128::from(units) * ONE, format: Format::DecimalSi }
    }

    /// This many thousandths.
    pub fn from_millis(millis: i64) -> Self {
        Self { nanos: i128::from(millis) * (ONE / 1000), format: Format::DecimalSi }
    }

    /// This many bytes, written with `Ki`, `Mi` …
    pub fn from_bytes(bytes: i64) -> Self {
        Self { nanos: i128::from(bytes) * ONE, format: Format::BinarySi }
    }

    /// Whole units, rounded up: `Value()`.
    pub fn units(self) -> i64 {
        ceiling(self.nanos, ONE)
    }

    /// Thousandths, rounded up: `MilliValue()`.
    pub fn millis(self) -> i64 {
        ceiling(self.nanos, ONE / 1000)
    }

    /// Billionths.
    pub fn nanos(self) -> i128 {
        self.nanos
    }

    /// Whether nothing is asked for.
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// How it was written.
    pub fn format(self) -> Format {
        self.format
    }

    /// The sum, in the format of the first that is not zero. Held at the largest magnitude.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: (self.nanos + other.nanos).clamp(-MOST, MOST), format }
    }

    /// The difference.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.plus(Self { nanos: -other.nanos, format: other.format })
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl FromStr for Quantity {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(Malformed);
        }
        let (scale, format) = suffix_scale(suffix)?;
        let magnitude = scaled(whole, fraction, scale);
        let nanos = if negative { -magnitude } else { magnitude };
        Ok(Self { nanos, format })
    }
}

/// What a suffix multiplies by.
#[derive(Clone, Copy)]
enum Scale {
    Ten(i32),
    Two(u32),
}

fn suffix_scale(suffix: &str) -> Result<(Scale, Format), Malformed> {
    let si = |exponent| Ok((Scale::Ten(exponent), Format::DecimalSi));
    let binary = |exponent| Ok((Scale::Two(exponent), Format::BinarySi));
    match suffix {
        "n" => si(-9),
        "u" => si(-6),
        "m" => si(-3),
        "" => si(0),
        "k" => si(3),
        "M" => si(6),
        "G" => si(9),
        "T" => si(12),
        "P" => si(15),
        "E" => si(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        other => {
            let exponent = other.strip_prefix(['e', 'E']).ok_or(Malformed)?;
            let exponent: i32 = exponent.parse().map_err(|_| Malformed)?;
            Ok((Scale::Ten(exponent), Format::DecimalExponent))
        }
    }
}

/// `whole.fraction` times the scale, in billionths, rounded up, at most [`MOST`].
fn scaled(whole: &str, fraction: &str, scale: Scale) -> i128 {
    let digits: Vec<i128> = whole.bytes().chain(fraction.bytes()).map(|digit| i128::from(digit - b'0')).collect();
    let (ten, factor) = match scale {
        Scale::Ten(exponent) => (exponent, 1),
        Scale::Two(exponent) => (0, 1i128 << exponent),
    };
    // The value is digits * 10^shift * factor billionths.
    let fraction_digits = i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    let mut shift = 9i32.saturating_add(ten).saturating_sub(fraction_digits);
    let mut value: i128 = 0;
    let mut lost = false;
    for digit in digits {
        match value.checked_mul(10).and_then(|v| v.checked_add(digit)).filter(|v| v.checked_mul(factor).is_some()) {
            Some(next) => value = next,
            None => {
                // Too many digits to hold exactly: the rest only counts for its size.
                lost |= digit != 0;
                shift = shift.saturating_add(1);
            }
        }
    }
    value *= factor;
    while shift > 0 && value != 0 {
        value = value.saturating_mul(10);
        shift -= 1;
        if value > MOST {
            return MOST;
        }
    }
    while shift < 0 && value != 0 {
        lost |= value % 10 != 0;
        value /= 10;
        shift += 1;
    }
    (value + i128::from(lost)).min(MOST)
}

/// The text that Kubernetes answers with for a quantity sent as `text`: canonical, but as written where its parser finds that
/// canonical enough to keep (`+1`, `1e3`).
pub fn canonical(text: &str) -> Result<String, Malformed> {
    let quantity: Quantity = text.parse()?;
    Ok(if keeps_text(text) { text.to_owned() } else { quantity.to_string() })
}

/// The same of a quantity in a list of resources, which keeps three decimals, rounded up (`SetDefaults_ResourceList`).
pub fn canonical_resource(text: &str) -> Result<String, Malformed> {
    let mut quantity: Quantity = text.parse()?;
    let milli = ONE / 1000;
    if quantity.nanos % milli == 0 {
        return canonical(text);
    }
    quantity.nanos = (quantity.nanos / milli + quantity.nanos.signum()) * milli;
    Ok(quantity.to_string())
}

/// The fast path of `ParseQuantity`, and what it takes for canonical. `text` is well formed.
fn keeps_text(text: &str) -> bool {
    let number = text.trim_start_matches(['-', '+']).trim_start_matches('0');
    let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
    let (number, suffix) = number.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{}{fraction}", if whole.is_empty() { "0" } else { whole });
    match suffix_scale(suffix) {
        Ok((Scale::Two(exponent), _)) => {
            // Powers of two that fit 15 decimal digits, and are no multiple of eight.
            let precision = 15 - digits.len() as i64 - i64::from(exponent * 3 / 10) - 1;
            fraction.is_empty() && precision >= 0 && digits.parse::<i64>().is_ok_and(|value| value & 7 != 0)
        }
        Ok((Scale::Ten(exponent), _)) => {
            let scale = i64::from(exponent) - fraction.len() as i64;
            digits.len() <= 18 && scale >= -9 && scale % 3 == 0 && !digits.ends_with("000") && !digits.starts_with('0')
        }
        Err(Malformed) => false,
    }
}

fn ceiling(nanos: i128, unit: i128) -> i64 {
    let quotient = nanos.div_euclid(unit) + i128::from(nanos.rem_euclid(unit) != 0);
    i64::try_from(quotient).unwrap_or(if quotient < 0 { i64::MIN } else { i64::MAX })
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let whole = self.nanos / ONE;
        let as_binary = self.format == Format::BinarySi && self.nanos % ONE == 0 && whole.abs() >= 1024;
        if as_binary {
            let (mut amount, mut power) = (whole, 0);
            while amount % 1024 == 0 {
                amount /= 1024;
                power += 1;
            }
            return write!(f, "{amount}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].get(power).copied().unwrap_or("Ei"));
        }
        let (mut amount, mut exponent) = (self.nanos, -9);
        while amount % 1000 == 0 && exponent < 18 {
            amount /= 1000;
            exponent += 3;
        }
        if self.format == Format::DecimalExponent {
            return if exponent == 0 { write!(f, "{amount}") } else { write!(f, "{amount}e{exponent}") };
        }
        let suffix = match exponent {
            -9 => "n",
            -6 => "u",
            -3 => "m",
            0 => "",
            3 => "k",
            6 => "M",
            9 => "G",
            12 => "T",
            15 => "P",
            _ => "E",
        };
        write!(f, "{amount}{suffix}")
    }
}

impl From<&k8s_openapi::apimachinery::pkg::api::resource::Quantity> for Quantity {
    /// What the API server stored is well formed; anything else counts as nothing.
    fn from(stored: &k8s_openapi::apimachinery::pkg::api::resource::Quantity) -> Self {
        stored.0.parse().unwrap_or(Self::ZERO)
    }
}

impl From<Quantity> for k8s_openapi::apimachinery::pkg::api::resource::Quantity {
    fn from(quantity: Quantity) -> Self {
        Self(quantity.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        // From apimachinery's quantity_test.go and quantity_example_test.go.
        for (text, canonical) in [
            ("0", "0"),
            ("0.5", "500m"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("1000", "1k"),
            ("1000m", "1"),
            ("100", "100"),
            ("1500m", "1500m"),
            ("0.5Ki", "512"),
            ("512Ki", "512Ki"),
            ("1e3", "1e3"),
            ("12E6", "12e6"),
            ("1E", "1E"),
            (".5", "500m"),
            ("5.", "5"),
            ("+3", "3"),
            ("-1.5", "-1500m"),
            ("0.1n", "1n"),
            ("123456789", "123456789"),
            ("1.1Mi", "1153433600m"),
            ("64Mi", "64Mi"),
            ("100000000000000000000", "9223372036854775807"),
        ] {
            assert_eq!(text.parse::<Quantity>().map(|q| q.to_string()), Ok(canonical.to_owned()), "{text}");
        }
    }

    #[test]
    fn no_quantities() {
        for text in ["", "a", "1x", "1.2.3", "Ki", "1ki", "--1", "1e", " 1", "1 Gi", "1Kii"] {
            assert_eq!(text.parse::<Quantity>(), Err(Malformed), "{text:?}");
        }
    }

    #[test]
    fn whole_units_round_up() {
        let quantity: Quantity = "1.1".parse().expect("well formed");
        assert_eq!((quantity.units(), quantity.millis()), (2, 1100));
        let negative: Quantity = "-1.1".parse().expect("well formed");
        assert_eq!(negative.units(), -1);
    }

    #[test]
    fn sums_keep_the_first_format() {
        let sum = Quantity::from_bytes(512 << 20).plus("512M".parse().expect("well formed"));
        assert_eq!(sum.to_string(), "1024288Ki");
        assert_eq!(Quantity::ZERO.plus(Quantity::from_bytes(1 << 30)).to_string(), "1Gi");
    }

    #[test]
    fn texts_that_are_kept() {
        for (text, kept) in [("+1", "+1"), ("1e3", "1e3"), ("1000000Ki", "1000000Ki"), ("1e1", "10"), ("1024Ki", "1Mi"), ("1.5Gi", "1536Mi"), ("0", "0")] {
            assert_eq!(canonical(text), Ok(kept.to_owned()), "{text}");
        }
        for (text, rounded) in [("0.0001", "1m"), ("100u", "1m"), ("1.0005", "1001m"), ("-1n", "-1m"), ("0.1Gi", "107374182400m"), ("+1", "+1")] {
            assert_eq!(canonical_resource(text), Ok(rounded.to_owned()), "{text}");
        }
    }
}
