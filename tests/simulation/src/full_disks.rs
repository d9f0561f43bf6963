//! The real program on a small volume of its own, which is filled to the last block by others and freed again, over and over,
//! while clients use it: puts are refused with an error that SDKs retry, reads go on, and puts come back by themselves.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a whole program, and a real volume

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use thalweg_system::os::OsClock;
use tokio::task::JoinSet;

use crate::counters::Counters;
use crate::process::{Process, Tcp, free_address, must_not_panic, runtime, serve, spawn_all};
use crate::run::actors;
use crate::verify::verify;
use crate::world::World;

const PRODUCERS: u64 = 6;
const LEISURE_PERCENT: u64 = 10;
const VOLUME_BYTES: u64 = 1 << 30;
/// More than any run makes: it ends when the volume was full often enough.
const OPERATIONS: u64 = 1 << 40;
/// What must be seen in each state of the volume.
const PUTS_MIN: u64 = 500;
const READS_MIN: u64 = 100;
/// Between two looks at that, and how many there are before it is a failure.
const PAUSE: Duration = Duration::from_millis(20);
const LOOKS_MAX: u32 = 3000;

/// What is run, and where there is room for its volume.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// The program.
    pub program: PathBuf,
    /// A folder with room for a volume of a gibibyte.
    pub folder: PathBuf,
    /// How often the volume is filled.
    pub times: u64,
    /// `--disk-reserve` of the program, in percent: without one the volume is really full.
    pub reserve: u64,
}

/// Fills and frees the volume; answers what was met. An error says why there is no volume: it takes a right to mount one.
///
/// # Errors
/// There is no volume to be had.
///
/// # Panics
/// When a rule is broken, or the server ends, or does not take puts again.
pub fn full_disks(seed: u64, tenant: &Tenant) -> Result<Counters, String> {
    let volume = Volume::make(&tenant.folder)?;
    let data = volume.root().join("data");
    let address = free_address();
    let world = World::new(seed, Arc::new(Tcp(address)), Arc::new(OsClock::new()), LEISURE_PERCENT);
    let start = || {
        let mut command = serve(&tenant.program, &data, address);
        Process::start(command.args([
            "--undrained-bytes",
            "64MiB",
            "--disk-reserve",
            &tenant.reserve.to_string(),
        ]))
        .ready()
    };
    runtime().block_on(async {
        let process = start();
        let mut running = spawn_all(actors(&world, PRODUCERS, OPERATIONS));
        for _ in 0..tenant.times {
            until_more(&world, &mut running, &[("puts acknowledged", PUTS_MIN), ("records read", READS_MIN)])
                .await;
            let filler = volume.fill();
            until_more(&world, &mut running, &[("puts throttled", PUTS_MIN), ("records read", READS_MIN)])
                .await;
            world.count("times full");
            fs::remove_file(filler).expect("it was written");
        }
        until_more(&world, &mut running, &[("puts acknowledged", PUTS_MIN)]).await;
        running.shutdown().await;
        verify(&world).await;
        process.kill();
        let process = start();
        verify(&world).await;
        process.end();
    });
    let mut counters = world.counters().clone();
    counters.add("calls", world.calls());
    Ok(counters)
}

/// Waits until so many more of these were counted.
async fn until_more(world: &World, running: &mut JoinSet<()>, wanted: &[(&'static str, u64)]) {
    let before: Vec<u64> = wanted.iter().map(|(name, _)| world.counters().get(name)).collect();
    for _ in 0..LOOKS_MAX {
        let are_there = wanted
            .iter()
            .zip(&before)
            .all(|((name, more), before)| world.counters().get(name) >= before + more);
        if are_there {
            return;
        }
        tokio::time::sleep(PAUSE).await;
        running.try_join_next().into_iter().for_each(must_not_panic);
    }
    panic!("there is no end of waiting for {wanted:?} more than {before:?}; so far\n{}", world.counters());
}

/// A file system in a file, mounted until this is dropped.
struct Volume {
    folder: TempDir,
}

impl Volume {
    fn make(folder: &Path) -> Result<Volume, String> {
        let folder = TempDir::new_in(folder).map_err(|error| error.to_string())?;
        let image = folder.path().join("image");
        let file = File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(VOLUME_BYTES).map_err(|error| error.to_string())?;
        fs::create_dir(folder.path().join("root")).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(folder.path().join("root")))?;
        Ok(Volume { folder })
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Takes all room that there is, into the file that this answers.
    fn fill(&self) -> PathBuf {
        let path = self.root().join("filler");
        let mut file = File::create(&path).expect("a name takes no room");
        let piece = vec![1; 1 << 20];
        let mut length = piece.len();
        while length > 0 {
            match file.write(&piece[..length]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => length /= 2,
                Err(error) => panic!("the volume cannot be filled: {error}"),
            }
        }
        // Room is promised to what is only in memory; so it is really gone.
        let _ = file.sync_all();
        path
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg(self.root()));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{:?}: {}", command.get_program(), String::from_utf8_lossy(&output.stderr).trim()))
}
