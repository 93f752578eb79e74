//! What a real API server says, said again: every scenario of `tests/golden` against a server of its own, in this process, under paused time.
//!
//! `GOLDEN=defaults/pod cargo test -p skiff-apiserver --test golden` runs the scenarios whose name holds `defaults/pod`, and shows every difference.
//! [`scenario`] runs the steps of one, [`normal`] replaces what may differ between two runs, [`place`] reads paths, [`differ`] compares.

// What a test unwraps, it asserts.
#![allow(clippy::unwrap_used)]

mod differ;
#[path = "../inside/mod.rs"]
mod inside;
mod normal;
mod place;
mod python;
mod scenario;
mod step;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use self::step::Recorded;

/// Differences of one scenario that are shown when all were run.
const SHOWN: usize = 4;

/// A scenario file: its name is `area/name`.
struct Case {
    name: String,
    path: PathBuf,
}

#[test]
fn a_real_servers_answers_are_ours() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let wanted = std::env::var("GOLDEN").unwrap_or_default();
    let known = known(&std::fs::read_to_string(folder.join("known-failures.txt")).unwrap());
    let all = cases(&folder);
    for name in known.keys() {
        assert!(all.iter().any(|case| case.name == *name), "known-failures.txt names {name}, which is no scenario");
    }
    let chosen: Vec<&Case> = all.iter().filter(|case| case.name.contains(&wanted)).collect();
    assert!(!chosen.is_empty(), "no scenario's name holds {wanted}");
    let shown = if wanted.is_empty() { SHOWN } else { usize::MAX };
    let mut complaints = Vec::new();
    for (case, problems) in chosen.iter().zip(run_all(&chosen)) {
        match (problems.is_empty(), known.get(&case.name)) {
            (true, None) => {}
            (true, Some(reason)) => complaints.push(format!("{}: passes: remove it from known-failures.txt ({reason})", case.name)),
            (false, Some(reason)) if wanted.is_empty() => eprintln!("{}: fails as known: {reason}", case.name),
            (false, reason) => complaints.push(told(case, &problems, reason.map(String::as_str), shown)),
        }
    }
    eprintln!("{} scenarios, {} known to fail", chosen.len(), known.len());
    assert!(complaints.is_empty(), "{} of {} scenarios:\n{}", complaints.len(), chosen.len(), complaints.join("\n"));
}

fn told(case: &Case, problems: &[String], known: Option<&str>, shown: usize) -> String {
    let mut text = format!("{}{}", case.name, known.map(|reason| format!(" (known: {reason})")).unwrap_or_default());
    for problem in problems.iter().take(shown) {
        text.push_str("\n    ");
        text.push_str(problem);
    }
    if problems.len() > shown {
        text.push_str(&format!("\n    … and {} more: GOLDEN={} shows all", problems.len() - shown, case.name));
    }
    text
}

/// `area/name  reason` a line; `#` begins a comment.
fn known(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once(' ').unwrap_or_else(|| panic!("{line}: a reason is missing")))
        .map(|(name, why)| (name.to_owned(), why.trim().to_owned()))
        .collect()
}

fn cases(folder: &Path) -> Vec<Case> {
    let mut all = Vec::new();
    for area in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for path in std::fs::read_dir(&area).unwrap().map(|entry| entry.unwrap().path()) {
            let name = format!("{}/{}", area.file_name().unwrap().to_str().unwrap(), path.file_stem().unwrap().to_str().unwrap());
            all.push(Case { name, path });
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// What is wrong with each, in order. One thread a core takes the next that is not taken.
fn run_all(cases: &[&Case]) -> Vec<Vec<String>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(index) else { return done };
            done.push((index, run(case)));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, problems)| problems).collect()
}

fn run(case: &Case) -> Vec<String> {
    let text = std::fs::read_to_string(&case.path).unwrap();
    let recorded: Recorded = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{}: {why}", case.name));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(scenario::run(&recorded, &text))
}
