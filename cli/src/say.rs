//! Printing for people. Whoever reads may stop reading (`skiff status | head -1`): that is no error, and ends the program quietly.

use std::io::Write;

/// Like `println!`, but quiet where nobody reads any more.
macro_rules! say {
    () => { $crate::say::line(format_args!("")) };
    ($($arg:tt)*) => { $crate::say::line(format_args!($($arg)*)) };
}
pub(crate) use say;

/// Writes one line to standard output.
pub fn line(text: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}") {
        // 141: what a shell says of a program that SIGPIPE ended.
        std::process::exit(if error.kind() == std::io::ErrorKind::BrokenPipe { 141 } else { 1 });
    }
}
