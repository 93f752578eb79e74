//! `skiff bench`: measures this machine with clusters of its own, in folders of their own, and prints a table (and JSON).
//!
//! Each row is the median of its runs. The load comes from this process, on the same cores as the cluster; the store is on disk, everything
//! goes over TLS, and a client is one keep-alive connection with one request in flight. [`serving`] measures the API server, [`startup`]
//! how fast things come up and what they cost idle, [`watching`] delivery, [`pods`] scheduling and containers.

mod grpc;
mod http;
mod lab;
mod pods;
mod serving;
mod startup;
mod watching;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::say::say;

/// The flags of `skiff bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// How often each row is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub runs: u16,
    /// Only rows whose name contains this
    #[arg(long, default_value = "")]
    pub only: String,
    /// Leave out what takes minutes: the start with 150,000 pods
    #[arg(long)]
    pub quick: bool,
    /// Write the rows as JSON, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// One measured row.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    name: String,
    unit: &'static str,
    /// What is asked for: at most, or for rates at least.
    target: f64,
    median: f64,
    runs: Vec<f64>,
}

/// Whether a row is wanted, and where it goes.
pub struct Report {
    args: BenchArgs,
    rows: Vec<Row>,
}

impl Report {
    /// How often to measure.
    pub fn runs(&self) -> usize {
        usize::from(self.args.runs)
    }

    /// Whether what takes minutes is left out.
    pub fn quick(&self) -> bool {
        self.args.quick
    }

    /// Whether a row of that name is wanted.
    pub fn wants(&self, name: &str) -> bool {
        name.contains(&self.args.only)
    }

    /// Takes a row in and prints it.
    pub fn add(&mut self, name: &str, unit: &'static str, target: f64, runs: Vec<f64>) {
        let median = median(&runs);
        let least = runs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = runs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let kept = if unit == "/s" { median >= target } else { median <= target };
        let mark = if kept { "" } else { "  missed" };
        say!("{name:<58} {median:>10.1} {unit:<6} {target:>10.0}   {least:.1} … {most:.1}{mark}");
        self.rows.push(Row { name: name.to_owned(), unit, target, median, runs });
    }
}

/// Measures everything that is wanted.
pub fn bench(args: BenchArgs) -> Result<()> {
    let runtime = crate::service::runtime(2)?;
    let mut report = Report { args, rows: Vec::new() };
    say!("{:<58} {:>10} {:<6} {:>10}   runs", "", "median", "", "asked");
    runtime.block_on(async {
        serving::measure(&mut report).await?;
        watching::measure(&mut report).await?;
        pods::measure_scheduling(&mut report).await?;
        startup::measure(&mut report).await?;
        pods::measure_containers(&mut report).await
    })?;
    if let Some(path) = &report.args.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report.rows)?)?;
    }
    Ok(())
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The value below which this part of the values lies.
pub fn percentile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // small counts
    let at = ((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middles() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        let hundred: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(percentile(&hundred, 0.99), 99.0);
    }
}
