//! What the program does when somebody asks it to end.
//!
//! A container's first process never sees a signal that it has no handler for: without this file, `SIGTERM` would be lost, and
//! every deletion of a pod would last its whole grace period. The standard library cannot install a handler, and the
//! program is to depend on nothing else; so this is the one place in skiff with `unsafe`, around two functions of C.
//! A handler may only do what `signal-safety(7)` allows: these end the process, or write one byte to a pipe.
#![allow(unsafe_code)]

use std::io::{PipeReader, Read};
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;
const SIG_IGN: usize = 1;

unsafe extern "C" {
    fn signal(signum: i32, handler: usize) -> usize;
    fn _exit(status: i32) -> !;
    fn write(fd: RawFd, bytes: *const u8, count: usize) -> isize;
}

/// Where `tell` writes; -1 until there is a pipe.
static TOLD: AtomicI32 = AtomicI32::new(-1);

extern "C" fn end(signum: i32) {
    // SAFETY: `_exit` takes any status and is async-signal-safe.
    unsafe { _exit(128 + signum) }
}

extern "C" fn tell(_signum: i32) {
    let fd = TOLD.load(Ordering::Relaxed);
    // SAFETY: one readable byte, and `write` is async-signal-safe. Should the pipe be full, it has been told already.
    unsafe { write(fd, b"!".as_ptr(), 1) };
}

fn handle(signum: i32, handler: extern "C" fn(i32)) {
    // SAFETY: the handler has the type that C expects and only does what a handler may.
    unsafe { signal(signum, handler as *const () as usize) };
}

/// `SIGTERM` and `SIGINT` end the process at once, with the code a shell would show (143, 130).
pub fn end_on_term() {
    handle(SIGTERM, end);
    handle(SIGINT, end);
}

/// `SIGTERM` and `SIGINT` are told to whoever waits for the answer.
pub fn wait_for_term() -> std::io::Result<Term> {
    let (reader, writer) = std::io::pipe()?;
    TOLD.store(writer.into_raw_fd(), Ordering::Relaxed); // open as long as the process lives
    handle(SIGTERM, tell);
    handle(SIGINT, tell);
    Ok(Term(reader))
}

/// A signal to come.
pub struct Term(PipeReader);

impl Term {
    /// Blocks until somebody asks the process to end.
    pub fn wait(mut self) -> std::io::Result<()> {
        self.0.read_exact(&mut [0])
    }
}

/// Lets the kernel bury children, so that process 1 of a pod that shares its process namespace leaves no zombies.
pub fn reap_children() {
    // SAFETY: `SIG_IGN` is a valid disposition of `SIGCHLD`.
    unsafe { signal(SIGCHLD, SIG_IGN) };
}
