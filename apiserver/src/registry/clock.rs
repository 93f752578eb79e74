//! Time and chance, as the registry is given them: no decision reads a clock or rolls dice by itself.

use std::time::{SystemTime, UNIX_EPOCH};

/// Where the registry gets time and randomness from. A simulation gives its own.
pub trait Environment: Send + Sync {
    /// Microseconds since the epoch.
    fn now(&self) -> i64;
    /// 128 random bits.
    fn random(&self) -> u128;
}

/// The machine's clock and its random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Environment for System {
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(); // a clock before 1970 reads as 1970
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    fn random(&self) -> u128 {
        uuid::Uuid::new_v4().as_u128()
    }
}

/// `2026-01-02T03:04:05Z`: how `metav1.Time` is written. Microseconds are cut off.
pub fn rfc3339(micros: i64) -> String {
    let seconds = micros.div_euclid(1_000_000);
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", time / 3600, time / 60 % 60, time % 60)
}

/// `2026-01-02T03:04:05.000006Z`: how `metav1.MicroTime` is written.
pub fn rfc3339_micro(micros: i64) -> String {
    let text = rfc3339(micros);
    format!("{}.{:06}Z", text.trim_end_matches('Z'), micros.rem_euclid(1_000_000))
}

/// Year, month and day of a day since the epoch, in the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468; // days since 0000-03-01
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A version-4 UUID of these random bits.
pub fn uuid(random: u128) -> String {
    uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00Z"),
            (1_767_225_599_999_999, "2025-12-31T23:59:59Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ];
        for (micros, text) in table {
            assert_eq!(rfc3339(micros), text);
        }
        assert_eq!(rfc3339_micro(1_767_225_599_000_007), "2025-12-31T23:59:59.000007Z");
        assert_eq!(crate::kinds::table::parse_time("2000-02-29T00:00:00Z"), Some(951_782_400));
    }

    #[test]
    fn uuids_are_of_version_four() {
        assert_eq!(&uuid(0)[14..15], "4");
    }
}
