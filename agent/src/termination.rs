//! What a container said as it ended: its termination message file, or the end of its log (`getTerminationMessage`).

use crate::runtime::{LogOptions, Runtime};
use futures::StreamExt;
use std::io::Read;
use std::path::Path;

/// `MaxContainerTerminationMessageLength`
const FILE: usize = 4096;
/// `MaxContainerTerminationMessageLogLength`
const LOG: usize = 2048;
/// `MaxContainerTerminationMessageLogLines`
const LINES: i64 = 80;

/// The message, empty where there is none.
pub async fn message(runtime: &dyn Runtime, file: &Path, id: &str, fall_back: bool) -> String {
    let from_file = read(file);
    if !from_file.is_empty() || !fall_back {
        return from_file;
    }
    let options = LogOptions { tail: Some(LINES), ..LogOptions::default() };
    let mut text = Vec::new();
    // A log that cannot be read leaves the message empty: the exit code is told all the same.
    if let Ok(mut log) = runtime.logs(id, &options).await {
        while let Some(Ok(chunk)) = log.next().await {
            text.extend_from_slice(&chunk);
        }
    }
    String::from_utf8_lossy(&text[text.len().saturating_sub(LOG)..]).into_owned()
}

fn read(file: &Path) -> String {
    let mut text = Vec::new();
    // The container may have removed its file; then it said nothing.
    if let Ok(opened) = std::fs::File::open(file) {
        let mut limited = opened.take(FILE as u64);
        if limited.read_to_end(&mut text).is_err() {
            text.clear();
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}
