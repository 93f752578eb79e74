//! What the command line means.

use std::time::Duration;

/// Printed after a command line that means nothing.
pub const USAGE: &str = "usage: demo [serve | exit CODE [--after 2s] | log [--every 1s] | sleep [TIME] | cat [FILE] | env | fetch URL | resolve NAME | pause]";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Answer HTTP on `$PORT`, or 8080.
    Serve,
    /// End with this code.
    Exit {
        /// The exit code.
        code: u8,
        /// How long to wait before.
        after: Duration,
    },
    /// Print a numbered line now and then.
    Log {
        /// The time between two lines.
        every: Duration,
    },
    /// Do nothing, for so long or for ever.
    Sleep(Option<Duration>),
    /// Print a file, or what comes in.
    Cat(Option<String>),
    /// Print the environment.
    Env,
    /// Get this URL and print the answer's body.
    Fetch(String),
    /// Print the addresses of this name.
    Resolve(String),
    /// Be process 1 of a pod.
    Pause,
}

/// Reads the words after the program's name.
pub fn parse(words: &[String]) -> Result<Command, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Ok(match words.as_slice() {
        [] | ["serve"] => Command::Serve,
        ["exit", code] => Command::Exit { code: exit_code(code)?, after: Duration::ZERO },
        ["exit", code, "--after", time] | ["exit", "--after", time, code] => Command::Exit { code: exit_code(code)?, after: duration(time)? },
        ["log"] => Command::Log { every: Duration::from_secs(1) },
        ["log", "--every", time] => Command::Log { every: duration(time)? },
        ["sleep"] => Command::Sleep(None),
        ["sleep", time] => Command::Sleep(Some(duration(time)?)),
        ["cat"] => Command::Cat(None),
        ["cat", file] => Command::Cat(Some((*file).to_owned())),
        ["env"] => Command::Env,
        ["fetch", url] => Command::Fetch((*url).to_owned()),
        ["resolve", name] => Command::Resolve((*name).to_owned()),
        ["pause"] => Command::Pause,
        other => return Err(format!("what is \"{}\"?", other.join(" "))),
    })
}

fn exit_code(word: &str) -> Result<u8, String> {
    word.parse().map_err(|_| format!("\"{word}\" is no exit code (0 to 255)"))
}

/// `500ms`, `2s`, `3m`, `1h`, or a number of seconds.
pub fn duration(word: &str) -> Result<Duration, String> {
    let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (number, unit) = word.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("\"{word}\" is no time such as 2s"))?;
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("\"{unit}\" is no unit of time (ms, s, m, h)")),
    };
    Ok(Duration::from_millis(number.saturating_mul(millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let seconds = Duration::from_secs;
        for (line, expected) in [
            ("", Ok(Command::Serve)),
            ("serve", Ok(Command::Serve)),
            ("exit 3", Ok(Command::Exit { code: 3, after: Duration::ZERO })),
            ("exit 3 --after 2s", Ok(Command::Exit { code: 3, after: seconds(2) })),
            ("exit --after 1m 0", Ok(Command::Exit { code: 0, after: seconds(60) })),
            ("exit 256", Err("\"256\" is no exit code (0 to 255)".to_owned())),
            ("log", Ok(Command::Log { every: seconds(1) })),
            ("log --every 250ms", Ok(Command::Log { every: Duration::from_millis(250) })),
            ("sleep", Ok(Command::Sleep(None))),
            ("sleep 1h", Ok(Command::Sleep(Some(seconds(3600))))),
            ("sleep 5d", Err("\"d\" is no unit of time (ms, s, m, h)".to_owned())),
            ("cat", Ok(Command::Cat(None))),
            ("cat /etc/hosts", Ok(Command::Cat(Some("/etc/hosts".to_owned())))),
            ("pause", Ok(Command::Pause)),
            ("dance", Err("what is \"dance\"?".to_owned())),
        ] {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(parse(&words), expected, "{line}");
        }
    }
}
