//! The little program inside `skiff/demo:1`: a web server to deploy, break and watch, and the handful of commands that lab
//! sheets need (`exit`, `log`, `sleep`, `cat`, `env`, `fetch`, `resolve`). `pause` is what holds a pod's namespaces open.
//!
//! It depends on nothing but the standard library, and is linked statically: the image holds this one file.
//! Read `serve.rs` next; `args.rs` says what the command line means.

mod args;
mod fetch;
mod http;
mod load;
mod serve;
mod signal;

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use args::Command;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match args::parse(&words) {
        Ok(command) => run(command),
        Err(fault) => {
            eprintln!("demo: {fault}\n{}", args::USAGE);
            ExitCode::from(64)
        }
    }
}

/// Does what was asked; only `serve`, `log`, `sleep` and `pause` last.
fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Serve => return serve::run(),
        Command::Exit { code, after } => {
            signal::end_on_term();
            std::thread::sleep(after);
            return ExitCode::from(code);
        }
        Command::Log { every } => log(every),
        Command::Sleep(length) => {
            signal::end_on_term();
            sleep(length);
            Ok(())
        }
        Command::Pause => {
            signal::reap_children();
            signal::end_on_term();
            sleep(None);
            Ok(())
        }
        Command::Cat(file) => cat(file.as_deref()),
        Command::Env => std::io::stdout().write_all(environment().as_bytes()),
        Command::Fetch(url) => fetch::get(&url).and_then(|answer| std::io::stdout().write_all(&answer.body)),
        Command::Resolve(name) => fetch::resolve(&name).and_then(|found| std::io::stdout().write_all(found.as_bytes())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("demo: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Every environment variable, one a line, by name.
fn environment() -> String {
    let mut all: Vec<String> = std::env::vars_os().map(|(name, value)| format!("{}={}\n", name.to_string_lossy(), value.to_string_lossy())).collect();
    all.sort();
    all.concat()
}

fn log(every: Duration) -> std::io::Result<()> {
    signal::end_on_term();
    let mut out = std::io::stdout();
    for line in 1u64.. {
        writeln!(out, "line {line}")?;
        out.flush()?;
        std::thread::sleep(every);
    }
    Ok(())
}

fn sleep(length: Option<Duration>) {
    match length {
        Some(length) => std::thread::sleep(length),
        None => loop {
            std::thread::park(); // may wake for no reason
        },
    }
}

fn cat(file: Option<&str>) -> std::io::Result<()> {
    signal::end_on_term();
    let mut source: Box<dyn Read> = match file {
        Some(path) => Box::new(std::fs::File::open(path).map_err(|e| std::io::Error::new(e.kind(), format!("{path}: {e}")))?),
        None => Box::new(std::io::stdin()),
    };
    let mut out = std::io::stdout();
    let mut buffer = [0; 16 * 1024];
    loop {
        match source.read(&mut buffer)? {
            0 => return out.flush(),
            n => {
                out.write_all(&buffer[..n])?;
                out.flush()?; // whoever talks to it over `kubectl attach` wants each line at once
            }
        }
    }
}
