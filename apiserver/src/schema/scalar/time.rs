//! `metav1.Time` and `metav1.MicroTime`: RFC 3339 in, UTC out, and Go's sentences for what is not a time (`time.Parse`).

use super::quote;

const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
const MICRO_LAYOUT: &str = "2006-01-02T15:04:05.000000Z07:00";
const SECONDS_A_DAY: i64 = 86_400;
/// `0001-01-01T00:00:00Z`: Go's zero time, which is printed as `null`.
pub const ZERO: i64 = -62_135_596_800;

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since 1970, UTC.
    pub seconds: i64,
    /// Within the second.
    pub nanos: u32,
}

impl Moment {
    /// Go's zero time.
    pub fn is_zero(self) -> bool {
        self.seconds == ZERO && self.nanos == 0
    }

    /// As `metav1.Time` prints it: whole seconds.
    pub fn print(self) -> String {
        format!("{}Z", self.civil())
    }

    /// As `metav1.MicroTime` prints it: six digits.
    pub fn print_micro(self) -> String {
        format!("{}.{:06}Z", self.civil(), self.nanos / 1000)
    }

    fn civil(self) -> String {
        let (days, rest) = (self.seconds.div_euclid(SECONDS_A_DAY), self.seconds.rem_euclid(SECONDS_A_DAY));
        let (year, month, day) = civil_from_days(days);
        format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
    }
}

/// Reads a `metav1.Time`; the error is Go's sentence.
pub fn parse(text: &str) -> Result<Moment, String> {
    Parser { layout: LAYOUT, text, rest: text }.moment(false)
}

/// Reads a `metav1.MicroTime`; the error is Go's sentence.
pub fn parse_micro(text: &str) -> Result<Moment, String> {
    Parser { layout: MICRO_LAYOUT, text, rest: text }.moment(true)
}

struct Parser<'a> {
    layout: &'static str,
    text: &'a str,
    rest: &'a str,
}

impl Parser<'_> {
    fn moment(mut self, micro: bool) -> Result<Moment, String> {
        let year = self.number("2006", 4)?;
        self.literal("-")?;
        let month = self.ranged("01", "month", 1, 12)?;
        self.literal("-")?;
        let day = self.number("02", 2)?;
        self.literal("T")?;
        let hour = self.ranged("15", "hour", 0, 23)?;
        self.literal(":")?;
        let minute = self.ranged("04", "minute", 0, 59)?;
        self.literal(":")?;
        let second = self.ranged("05", "second", 0, 59)?;
        let nanos = self.fraction(micro)?;
        let offset = self.zone()?;
        if !self.rest.is_empty() {
            return Err(self.because(&format!("extra text: {}", quote(self.rest))));
        }
        if day < 1 || day > days_in(year, month) {
            return Err(self.because("day out of range"));
        }
        let seconds = days_from_civil(year, month, day) * SECONDS_A_DAY + hour * 3600 + minute * 60 + second - offset;
        Ok(Moment { seconds, nanos })
    }

    fn cannot(&self, element: &str) -> String {
        format!("parsing time {} as {}: cannot parse {} as {}", quote(self.text), quote(self.layout), quote(self.rest), quote(element))
    }

    fn because(&self, why: &str) -> String {
        format!("parsing time {}: {why}", quote(self.text))
    }

    fn literal(&mut self, element: &str) -> Result<(), String> {
        self.rest = self.rest.strip_prefix(element).ok_or_else(|| self.cannot(element))?;
        Ok(())
    }

    fn number(&mut self, element: &str, digits: usize) -> Result<i64, String> {
        let head = self.rest.get(..digits).filter(|head| head.bytes().all(|byte| byte.is_ascii_digit()));
        let value = head.and_then(|head| head.parse().ok()).ok_or_else(|| self.cannot(element))?;
        self.rest = &self.rest[digits..];
        Ok(value)
    }

    fn ranged(&mut self, element: &str, name: &str, least: i64, most: i64) -> Result<i64, String> {
        // Go's parser takes an hour of one digit
        let digits = if name == "hour" && !self.rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) { 1 } else { 2 };
        let value = self.number(element, digits)?;
        if (least..=most).contains(&value) { Ok(value) } else { Err(self.because(&format!("{name} out of range"))) }
    }

    fn fraction(&mut self, micro: bool) -> Result<u32, String> {
        let digits = match self.rest.as_bytes() {
            [b'.' | b',', rest @ ..] => rest.iter().take_while(|byte| byte.is_ascii_digit()).count(),
            _ => 0,
        };
        if micro && digits < 6 {
            return Err(self.cannot(".000000"));
        }
        if digits == 0 {
            return Ok(0);
        }
        let taken = if micro { 6 } else { digits };
        let nanos = format!("{:0<9.9}", &self.rest[1..=taken]).parse().unwrap_or(0); // nine digits
        self.rest = &self.rest[taken + 1..];
        Ok(nanos)
    }

    /// Seconds east of Greenwich.
    fn zone(&mut self) -> Result<i64, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let wrong = self.cannot("Z07:00");
        let sign = match self.rest.as_bytes() {
            [b'+', _, _, b':', _, _, ..] => 1,
            [b'-', _, _, b':', _, _, ..] => -1,
            _ => return Err(wrong),
        };
        let part = |range: std::ops::Range<usize>| self.rest.get(range).and_then(|digits| digits.parse::<u8>().ok());
        let (Some(hours), Some(minutes)) = (part(1..3), part(4..6)) else { return Err(wrong) };
        if hours > 24 {
            return Err(self.because("time zone offset hour out of range"));
        }
        if minutes > 60 {
            return Err(self.because("time zone offset minute out of range"));
        }
        self.rest = &self.rest[6..];
        Ok(sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
    }
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970 of a date in the Gregorian calendar (Howard Hinnant's `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises() {
        let cases = [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000Z"),
            ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456Z"),
            ("2024-02-29T23:30:00-01:30", "2024-03-01T01:00:00Z", "2024-03-01T01:00:00.000000Z"),
            ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.000000Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ];
        for (text, seconds, micros) in cases {
            let moment = parse(text).unwrap();
            assert_eq!((moment.print().as_str(), moment.print_micro().as_str()), (seconds, micros), "{text}");
        }
        assert!(parse("0001-01-01T00:00:00Z").unwrap().is_zero());
    }

    #[test]
    fn says_what_go_says() {
        let layout = "parsing time \"T\" as \"2006-01-02T15:04:05Z07:00\": cannot parse";
        let cases = [
            ("yesterday", "\"yesterday\" as \"2006\""),
            ("", "\"\" as \"2006\""),
            ("2026", "\"\" as \"-\""),
            ("2026-1-01T00:00:00Z", "\"1-01T00:00:00Z\" as \"01\""),
            ("2026-01-01 00:00:00Z", "\" 00:00:00Z\" as \"T\""),
            ("2026-01-01T00:00:00", "\"\" as \"Z07:00\""),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Err(format!("{} {expected}", layout.replace("\"T\"", &quote(text)))), "{text}");
        }
        assert_eq!(parse("2026-13-01T00:00:00Z"), Err("parsing time \"2026-13-01T00:00:00Z\": month out of range".to_owned()));
        assert_eq!(parse("2026-02-30T00:00:00Z"), Err("parsing time \"2026-02-30T00:00:00Z\": day out of range".to_owned()));
        assert_eq!(parse("2026-02-03T00:00:00Zx"), Err("parsing time \"2026-02-03T00:00:00Zx\": extra text: \"x\"".to_owned()));
        assert!(parse_micro("2026-02-03T00:00:00Z").is_err());
    }
}
