//! SHA-256 of bodies alone, on the server's core: what the signature of a request costs whoever checks it.

use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::figure::Run;
use crate::load::Request;
use crate::process;

/// Hashes the bodies in turn for so long.
pub(crate) fn run(requests: &[Request], seconds: f64) -> Run {
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            process::pin_this(process::SERVER_CORE);
            hash(requests, seconds)
        });
        work.join().expect("hashing does not panic")
    })
}

fn hash(requests: &[Request], seconds: f64) -> Run {
    let (started, before) = (Instant::now(), thread_seconds());
    let mut run = Run::default();
    for request in requests.iter().cycle() {
        std::hint::black_box(Sha256::digest(request.body()));
        run.requests += 1;
        run.records += request.records;
        run.payload_bytes += request.payload_bytes;
        run.seconds = started.elapsed().as_secs_f64();
        if run.seconds >= seconds {
            break;
        }
    }
    run.server_seconds = thread_seconds() - before;
    run.cost_seconds = run.server_seconds;
    run
}

/// Processor time of this thread.
fn thread_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
