//! Schedules of cron jobs: `*/5 * * * *`, `@hourly`, `@every 1h30m`. See `github.com/robfig/cron/v3` (`parser.go`), whose messages these are.

/// A parsed schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At the minutes that match every field.
    At(Fields),
    /// Again and again, in seconds (at least one).
    Every(u64),
}

/// Bits that are set where a value matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// 0–59
    pub minutes: u64,
    /// 0–23
    pub hours: u64,
    /// 1–31
    pub days: u64,
    /// 1–12
    pub months: u64,
    /// 0–6, Sunday first
    pub weekdays: u64,
    /// Whether days of the month were left open (`*`): then days of the week decide alone.
    pub any_day: bool,
    /// Whether days of the week were left open.
    pub any_weekday: bool,
}

/// The least and most of a field, and its names.
struct Bounds {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const BOUNDS: [Bounds; 5] = [
    Bounds { min: 0, max: 59, names: &[] },
    Bounds { min: 0, max: 23, names: &[] },
    Bounds { min: 1, max: 31, names: &[] },
    Bounds { min: 1, max: 12, names: &MONTHS },
    Bounds { min: 0, max: 6, names: &DAYS },
];

impl Schedule {
    /// `ParseStandard`: five fields or a descriptor. A time zone in front (`TZ=…`) is skipped: validation refuses it.
    pub fn parse(spec: &str) -> Result<Self, String> {
        if spec.is_empty() {
            return Err("empty spec string".to_owned());
        }
        let spec = match spec.strip_prefix("TZ=").or_else(|| spec.strip_prefix("CRON_TZ=")) {
            Some(rest) => rest.split_once(' ').ok_or("invalid schedule format: runtime error: slice bounds out of range [:-1]")?.1.trim(),
            None => spec,
        };
        if spec.starts_with('@') {
            return descriptor(spec);
        }
        let fields: Vec<&str> = spec.split_whitespace().collect();
        if fields.len() != 5 {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        }
        let mut bits = [(0, false); 5];
        for ((field, bounds), slot) in fields.iter().zip(&BOUNDS).zip(&mut bits) {
            *slot = parse_field(field, bounds)?;
        }
        let [(minutes, _), (hours, _), (days, any_day), (months, _), (weekdays, any_weekday)] = bits;
        Ok(Self::At(Fields { minutes, hours, days, months, weekdays, any_day, any_weekday }))
    }
}

fn descriptor(spec: &str) -> Result<Schedule, String> {
    let standard = match spec {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => match spec.strip_prefix("@every ") {
            Some(text) => {
                let told = |why: String| format!("failed to parse duration {spec}: {why}");
                return Ok(Schedule::Every(duration_seconds(text).map_err(told)?.max(1)));
            }
            None => return Err(format!("unrecognized descriptor: {spec}")),
        },
    };
    Schedule::parse(standard)
}

/// `time.ParseDuration`, in whole seconds: `1h30m`, `1.5s`.
fn duration_seconds(text: &str) -> Result<u64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        let after = &rest[digits..];
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let unit = match &after[..letters] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            other => return Err(format!("time: unknown unit {other:?} in duration {text:?}")),
        };
        seconds += number * unit;
        rest = &after[letters..];
    }
    Ok(if negative { 0 } else { seconds as u64 })
}

/// The field's bits, and whether it was left open.
fn parse_field(field: &str, bounds: &Bounds) -> Result<(u64, bool), String> {
    let mut all = (0, false);
    for part in field.split(',').filter(|part| !part.is_empty()) {
        let (bits, open) = parse_range(part, bounds)?;
        all = (all.0 | bits, all.1 || open);
    }
    Ok(all)
}

fn parse_range(part: &str, bounds: &Bounds) -> Result<(u64, bool), String> {
    let pieces: Vec<&str> = part.split('/').collect();
    let limits: Vec<&str> = pieces[0].split('-').collect();
    let open = matches!(limits[0], "*" | "?");
    let (start, mut end) = match limits.as_slice() {
        _ if open => (bounds.min, bounds.max),
        [one] => {
            let start = int_or_name(one, bounds)?;
            (start, start)
        }
        [low, high] => (int_or_name(low, bounds)?, int_or_name(high, bounds)?),
        _ => {
            int_or_name(limits[0], bounds)?;
            return Err(format!("too many hyphens: {part}"));
        }
    };
    let step = match pieces.as_slice() {
        [_] => 1,
        [_, step] => {
            if limits.len() == 1 {
                end = bounds.max;
            }
            int(step)?
        }
        _ => return Err(format!("too many slashes: {part}")),
    };
    if start < bounds.min {
        return Err(format!("beginning of range ({start}) below minimum ({}): {part}", bounds.min));
    }
    if end > bounds.max {
        return Err(format!("end of range ({end}) above maximum ({}): {part}", bounds.max));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {part}"));
    }
    let bits = (start..=end).step_by(step as usize).fold(0, |bits, value| bits | 1_u64 << value);
    Ok((bits, open && step == 1))
}

fn int_or_name(text: &str, bounds: &Bounds) -> Result<u32, String> {
    let lower = text.to_lowercase();
    match bounds.names.iter().zip(bounds.min..).find(|(name, _)| **name == lower) {
        Some((_, value)) => Ok(value),
        None => int(text),
    }
}

fn int(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"));
    }
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
        Err(_) => Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: value out of range")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_schedules() {
        let Ok(Schedule::At(fields)) = Schedule::parse("*/15 0-2,5 1 jan MON-fri") else { panic!("does not parse") };
        assert_eq!(fields.minutes, 1 | 1 << 15 | 1 << 30 | 1 << 45);
        assert_eq!(fields.hours, 0b100111);
        assert_eq!((fields.days, fields.months, fields.weekdays), (1 << 1, 1 << 1, 0b111110));
        assert_eq!(Schedule::parse("@hourly"), Schedule::parse("0 * * * *"));
        assert_eq!(Schedule::parse("@every 1h30m"), Ok(Schedule::Every(5400)));
        assert_eq!(Schedule::parse("CRON_TZ=UTC 0 * * * *"), Schedule::parse("0 * * * *"));
    }

    #[test]
    fn refuses_what_is_none() {
        for (spec, told) in [
            ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
            ("61 * * * *", "end of range (61) above maximum (59): 61"),
            ("@fortnightly", "unrecognized descriptor: @fortnightly"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
        ] {
            assert_eq!(Schedule::parse(spec), Err(told.to_owned()), "{spec}");
        }
    }
}
