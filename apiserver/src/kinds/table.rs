//! Columns and cells of server-side tables that several kinds share. See `pkg/printers/internalversion/printers.go`.
//!
//! Which columns a kind has is data, beside this file (`table-columns.tsv`); a kind's `row` makes the cells.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;

use super::json::{items, text};
use crate::registry::strategy::Column;

/// The columns of a kind, by the first column of `table-columns.tsv`: `pods`, `deployments.v1.apps`.
/// Those of a kind that has no entry are [`name_and_created_at`].
pub fn columns(resource: &str) -> Vec<Column> {
    static TABLE: OnceLock<BTreeMap<&'static str, Vec<Column>>> = OnceLock::new();
    TABLE.get_or_init(read_columns).get(resource).cloned().unwrap_or_else(name_and_created_at)
}

fn read_columns() -> BTreeMap<&'static str, Vec<Column>> {
    let mut table: BTreeMap<&'static str, Vec<Column>> = BTreeMap::new();
    for line in include_str!("table-columns.tsv").lines().filter(|line| !line.starts_with('#')).skip(1) {
        let mut parts = line.split('\t');
        let (Some(resource), Some(name), Some(kind), Some(format), Some(priority)) = (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue; // a blank line; the tests see that none is cut short
        };
        let priority = i32::from(priority == "1");
        table.entry(resource).or_default().push(Column { name, kind, format, description: "", priority });
    }
    table
}

/// The columns of a kind without a printer: `Name`, `Created At`.
pub fn name_and_created_at() -> Vec<Column> {
    vec![
        Column { name: "Name", kind: "string", format: "name", description: "", priority: 0 },
        Column { name: "Created At", kind: "date", format: "", description: "", priority: 0 },
    ]
}

/// The row of [`name_and_created_at`].
pub fn name_and_created_at_row(object: &Value, _now: i64) -> Vec<Value> {
    vec![object["metadata"]["name"].clone(), object["metadata"]["creationTimestamp"].clone()]
}

/// The cell of the name.
pub fn name(object: &Value) -> Value {
    object["metadata"]["name"].as_str().unwrap_or("").into()
}

/// The cell of the age: time since creation, `<unknown>` before it.
pub fn age(object: &Value, now: i64) -> Value {
    since(&object["metadata"]["creationTimestamp"], now).into()
}

/// `translateTimestampSince`: how long ago an RFC 3339 time was; `<unknown>` for none.
pub fn since(time: &Value, now: i64) -> String {
    match time.as_str().and_then(parse_time) {
        Some(then) => human_duration(now - then),
        None => "<unknown>".to_owned(),
    }
}

/// `translateTimestampUntil`: how long until an RFC 3339 time; `<unknown>` for none.
pub fn until(time: &Value, now: i64) -> String {
    match time.as_str().and_then(parse_time) {
        Some(then) => human_duration(then - now),
        None => "<unknown>".to_owned(),
    }
}

/// Seconds since the epoch of `2026-01-02T03:04:05Z`, with or without a fraction, with `Z` or an offset.
pub fn parse_time(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let rest = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset = match rest.as_bytes().first()? {
        b'Z' => 0,
        sign @ (b'+' | b'-') => {
            let (hours, minutes) = (rest.get(1..3)?.parse::<i64>().ok()?, rest.get(4..6)?.parse::<i64>().ok()?);
            (hours * 3600 + minutes * 60) * if *sign == b'+' { 1 } else { -1 }
        }
        _ => return None,
    };
    if !(1..=12).contains(&month) {
        return None;
    }
    // Days from the civil calendar, years counted from March so that a leap day ends one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

/// `duration.HumanDuration` of whole seconds: two or three figures.
pub fn human_duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    let two = |big: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, "y", days % 365, "d"),
        252_288_000.. => format!("{}y", days / 365),
    }
}

/// `layoutContainerCells`: names and images of containers, joined by commas.
pub fn containers_and_images(containers: &Value) -> [Value; 2] {
    let joined = |key: &str| {
        let all: Vec<&str> = items(containers).iter().map(|container| text(&container[key])).collect();
        Value::from(all.join(","))
    };
    [joined("name"), joined("image")]
}

/// The string, bool or number at a dotted path, as field selectors read it; empty if there is none.
pub fn text_at(object: &Value, path: &str) -> String {
    match path.split('.').fold(object, |value, part| &value[part]) {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_columns_is_whole() {
        for line in include_str!("table-columns.tsv").lines() {
            assert!(line.starts_with('#') || line.split('\t').count() == 5, "{line:?}");
        }
        assert_eq!(columns("pods").len(), 9);
        assert_eq!(columns("deployments.v1.apps")[0].format, "name");
        assert_eq!(columns("nothing")[1].name, "Created At");
    }

    #[test]
    fn durations_as_kubernetes_tests_them() {
        // apimachinery/pkg/util/duration/duration_test.go
        for (seconds, shown) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (600, "10m"),
            (605, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (176_400, "2d1h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ] {
            assert_eq!(human_duration(seconds), shown, "{seconds}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(parse_time("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse_time("2000-02-29T12:00:00Z"), Some(951_825_600));
        assert_eq!(parse_time("2026-01-02T03:04:05.123456Z"), Some(1_767_323_045));
        assert_eq!(parse_time("2026-01-02T04:04:05+01:00"), Some(1_767_323_045));
        assert_eq!(parse_time("yesterday"), None);
    }
}
