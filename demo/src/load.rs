//! Using up processor time and memory on request, so that limits, requests and autoscaling have something to show.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// One slice of work and rest.
const SLICE: Duration = Duration::from_millis(20);

/// Memory that was asked for, kept for ever.
static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Keeps this many thousandths of a core busy for so long, in threads of its own.
pub fn burn(millicores: u64, length: Duration) {
    for share in shares(millicores) {
        let end = Instant::now() + length;
        thread::spawn(move || {
            while Instant::now() < end {
                let start = Instant::now();
                let work = SLICE.mul_f64(share);
                while start.elapsed() < work {
                    std::hint::spin_loop();
                }
                thread::sleep(SLICE - work);
            }
        });
    }
}

/// How busy each thread is: 1500 millicores are one whole and one half.
fn shares(millicores: u64) -> Vec<f64> {
    let millicores = millicores.min(64_000);
    let mut shares = vec![1.0; (millicores / 1000) as usize];
    if !millicores.is_multiple_of(1000) {
        shares.push((millicores % 1000) as f64 / 1000.0);
    }
    shares
}

/// Takes this much memory and touches every page of it. Returns how much has been taken in all, in MiB.
pub fn allocate(mib: u64) -> u64 {
    let bytes = usize::try_from(mib.saturating_mul(1024 * 1024)).unwrap_or(usize::MAX);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut taken = Vec::new();
    if taken.try_reserve_exact(bytes).is_ok() {
        taken.resize(bytes, 1); // not zero: zeroes would come untouched from the kernel
        kept.push(taken);
    }
    kept.iter().map(|one| one.len() as u64).sum::<u64>() / (1024 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores() {
        assert_eq!(shares(0), Vec::<f64>::new());
        assert_eq!(shares(500), [0.5]);
        assert_eq!(shares(2250), [1.0, 1.0, 0.25]);
    }
}
