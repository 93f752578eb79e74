//! Processes of a cluster: started detached with a log file, found again by their pid file, signalled only if it is still them.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::files::Files;

/// Clock ticks a second in `/proc/<pid>/stat`: fixed at 100 in the kernel's interface to user space.
const TICKS: u64 = 100;
/// The kernel rounds start times to ticks, and file systems round times, too.
const ROUNDING: Duration = Duration::from_millis(1100);

/// Starts `skiff <args>` as a process of its own, which outlives this one, and writes its pid file.
pub fn start(files: &Files, service: &str, args: &[String]) -> Result<u32> {
    fs::create_dir_all(files.run()).with_context(|| files.run().display().to_string())?;
    fs::create_dir_all(files.log()).with_context(|| files.log().display().to_string())?;
    let log_path = files.log_of(service);
    let log = File::options().create(true).append(true).open(&log_path).with_context(|| log_path.display().to_string())?;
    // What an earlier process listened on is no longer true.
    match fs::remove_file(files.addr(service)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).context(files.addr(service).display().to_string()),
        Ok(()) | Err(_) => {}
    }
    let program = std::env::current_exe().context("this program's own path")?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).current_dir("/");
    let child = command.spawn().with_context(|| format!("starting {service}"))?;
    let pid = child.id();
    let path = files.pid(service);
    fs::write(&path, format!("{pid}\n")).with_context(|| path.display().to_string())?;
    Ok(pid)
}

/// The pid of a service that runs: its pid file names a live process that was started before the file was written.
pub fn running(files: &Files, service: &str) -> Option<u32> {
    let path = files.pid(service);
    let pid: u32 = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
    let written = fs::metadata(&path).ok()?.modified().ok()?;
    let started = started_at(pid)?;
    (started <= written + ROUNDING).then_some(pid)
}

/// Names of all services that have a pid file here, in order.
pub fn known(files: &Files) -> Vec<String> {
    let Ok(entries) = fs::read_dir(files.run()) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut services: Vec<String> = names.filter_map(|name| name.strip_suffix(".pid").map(str::to_owned)).collect();
    services.sort();
    services
}

/// Ends a service: SIGTERM, and SIGKILL after `patience`. No error if it does not run.
pub fn stop(files: &Files, service: &str, patience: Duration) -> Result<()> {
    if let Some(pid) = running(files, service) {
        signal(pid, Signal::TERM)?;
        if !wait_for_end(pid, patience) {
            signal(pid, Signal::KILL)?;
            if !wait_for_end(pid, Duration::from_secs(5)) {
                bail!("{service} (pid {pid}) does not end");
            }
        }
    }
    forget(files, service);
    Ok(())
}

/// Kills a service at once. No error if it does not run.
pub fn kill(files: &Files, service: &str) -> Result<()> {
    stop_with(files, service, Signal::KILL)
}

fn stop_with(files: &Files, service: &str, how: Signal) -> Result<()> {
    if let Some(pid) = running(files, service) {
        signal(pid, how)?;
        if !wait_for_end(pid, Duration::from_secs(5)) {
            bail!("{service} (pid {pid}) does not end");
        }
    }
    forget(files, service);
    Ok(())
}

/// Sends SIGTERM without waiting.
pub fn terminate(files: &Files, service: &str) -> Result<()> {
    running(files, service).map_or(Ok(()), |pid| signal(pid, Signal::TERM))
}

fn forget(files: &Files, service: &str) {
    for path in [files.pid(service), files.addr(service)] {
        // It may never have been there; and a file that stays does no harm, since pids are checked.
        fs::remove_file(path).ok();
    }
}

fn signal(pid: u32, which: Signal) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no pid")?;
    match kill_process(pid, which) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).context(format!("signalling process {}", pid.as_raw_nonzero())),
    }
}

fn wait_for_end(pid: u32, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    loop {
        if started_at(pid).is_none() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// When a live process was started; none if there is none, or only its remains.
fn started_at(pid: u32) -> Option<SystemTime> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (state, ticks) = parse_stat(&stat)?;
    if matches!(state, 'Z' | 'X') {
        return None;
    }
    let uptime: f64 = fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
    let boot = SystemTime::now() - Duration::from_secs_f64(uptime);
    Some(boot + Duration::from_millis(ticks * 1000 / TICKS))
}

/// State and start time (ticks since boot) out of `/proc/<pid>/stat`; the command's name, in parentheses, may contain anything.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let after_name = stat.rsplit_once(')')?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    Some((fields.first()?.chars().next()?, fields.get(19)?.parse().ok()?))
}

/// The last lines of a service's log, to show why it did not start.
pub fn log_tail(files: &Files, service: &str, lines: usize) -> String {
    let text = fs::read_to_string(files.log_of(service)).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Resident memory of a process, in KiB.
pub fn resident_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stat_whatever_the_name_is() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 7 8";
        assert_eq!(parse_stat(stat), Some(('S', 123_456)));
    }

    #[test]
    fn a_pid_file_of_an_earlier_process_is_not_believed() {
        let dir = std::env::temp_dir().join(format!("skiff-process-{}", std::process::id()));
        let files = Files::new(Some(dir.clone()));
        fs::create_dir_all(files.run()).unwrap();
        let path = files.pid("me");
        fs::write(&path, std::process::id().to_string()).unwrap();
        assert_eq!(running(&files, "me"), Some(std::process::id()));
        let before_us = SystemTime::now() - Duration::from_secs(86_400);
        File::options().write(true).open(&path).unwrap().set_modified(before_us).unwrap();
        assert_eq!(running(&files, "me"), None, "this process is younger than the file");
        fs::remove_dir_all(dir).unwrap();
    }
}
