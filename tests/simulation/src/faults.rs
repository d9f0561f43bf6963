//! What strikes a server, and when: each life of it ends in one of these ways, or is made hard by one.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use thalweg_system::disk::DiskErrorKind;
use thalweg_system::simulated::{CallKind, Crash, SeededRandom};
use thalweg_system::{Clock, Disk};

use crate::machine::Machine;
use crate::world::World;

/// How long a life lasts at most before something happens, in simulated time.
const CALM_MILLIS_MAX: u64 = 1_500;
/// How many turns of the scheduler pass then, so that a crash comes at any await.
const TURNS_MAX: u64 = 300;
/// A few of them, in which a write begins.
const TURNS_FEW_MAX: u64 = 40;
/// In how many calls to the disk it stops: a life makes some hundreds.
const DISK_CALLS_MAX: u64 = 300;
/// One of so many calls of a kind fails: some kinds are rare.
const FAILING_CALLS_MAX: u64 = 10;
/// For how long a disk is slow, full or failing.
const TROUBLE_MILLIS_MAX: u64 = 600;
const LONG_TROUBLE_MILLIS_MAX: u64 = 10_000;
/// A start is cut short within so many calls.
const START_CALLS_MAX: u64 = 80;
/// The wall clock is set by so much at most, most of the time; expiry believes jumps ahead of less than an hour at once.
const LEAP_SECONDS_MAX: u64 = 50 * 60;
/// So much time passes at once, so that records expire.
const HOURS_MAX: u64 = 36;
/// What is left on a volume that fills up.
const ROOM_LEFT_MAX: u64 = 200 << 10;

/// What may fail with a fault of its own.
const FAILING: [CallKind; 6] = [
    CallKind::WriteDurable,
    CallKind::Write,
    CallKind::Sync,
    CallKind::SyncDirectory,
    CallKind::Create,
    CallKind::Rename,
];

/// Lets the server live for a while, and ends or troubles it. It runs again, and nothing is wrong with its disk, when this
/// returns.
///
/// # Panics
/// When it does not start again.
pub(crate) async fn strike(world: &World, machine: &mut Machine) {
    let random = &world.random;
    match random.below(12) {
        0..=2 => {
            calm(world).await;
            world.count("crashes at an await");
            crash(world, machine).await;
        }
        3 | 4 => {
            machine.disk.stop_at_call(1 + random.below(DISK_CALLS_MAX));
            for _ in 0..CALM_MILLIS_MAX / 5 {
                if machine.disk.is_stopped() {
                    break;
                }
                world.clock.sleep(Duration::from_millis(5)).await;
            }
            world.count(match machine.disk.is_stopped() {
                true => "crashes at a call to the disk",
                false => "crashes at an await",
            });
            crash(world, machine).await;
        }
        5 => {
            let kind = FAILING[random.below(FAILING.len() as u64) as usize];
            let (nth, before) = (1 + random.below(FAILING_CALLS_MAX), machine.disk.calls_of(kind));
            match kind {
                CallKind::WriteDurable if nth % 2 == 0 => machine.disk.fail_nth_in_sync("", nth),
                _ => machine.disk.fail_nth(kind, "", nth, DiskErrorKind::Io),
            }
            trouble(world).await;
            if machine.disk.calls_of(kind) - before >= nth {
                world.count("failing calls to the disk");
            }
            crash(world, machine).await;
        }
        6 => {
            let space = machine.disk.space().await.expect("the volume can be measured");
            let used = space.total - space.available;
            let room = if random.one_in(2) { 0 } else { random.below(ROOM_LEFT_MAX) };
            let before = machine.disk.calls_without_room();
            machine.disk.set_capacity(Some(used + room));
            trouble(world).await;
            machine.disk.set_capacity(None);
            if machine.disk.calls_without_room() > before {
                world.count(if room == 0 { "full volumes" } else { "volumes that fill up" });
            }
        }
        7 => {
            let kind = FAILING[random.below(3) as usize];
            let before = machine.disk.calls_of(kind);
            machine.disk.hold(kind);
            trouble(world).await;
            if random.one_in(4) {
                // Until nothing is left that can be done without it.
                world.pause(LONG_TROUBLE_MILLIS_MAX).await;
            }
            if machine.disk.calls_of(kind) > before {
                world.count("slow disks");
            }
            if random.one_in(2) {
                // What is under way then is neither answered nor durable, and may be seen after the start.
                world.count("crashes with a write on its way");
                if random.one_in(2) {
                    // What waited for it comes in one write.
                    machine.disk.release();
                    turns(random.below(TURNS_FEW_MAX)).await;
                    machine.disk.hold(CallKind::WriteDurable);
                    turns(random.below(TURNS_FEW_MAX)).await;
                }
                crash(world, machine).await;
            } else {
                machine.disk.release();
            }
        }
        8 => {
            let time = Duration::from_secs(random.below(HOURS_MAX * 3600));
            if random.one_in(4) {
                world.count("hours without a server");
                machine.crash(some_crash(random).0);
                machine.clock.advance(time);
                return start(world, machine).await;
            }
            machine.clock.advance(time);
            world.count("hours that pass");
            if random.one_in(3) {
                turns(random.below(TURNS_MAX)).await;
                world.count("crashes right after them");
                crash(world, machine).await;
            } else {
                calm(world).await;
            }
        }
        9 => {
            leap(machine);
            calm(world).await;
            machine.shut_down().await;
            world.count("ends in good order");
            start(world, machine).await;
        }
        10 => {
            let nth = 1 + random.below(FAILING_CALLS_MAX);
            let name = if random.one_in(2) {
                machine.disk.fail_nth(CallKind::Read, "", nth, DiskErrorKind::Io);
                "failing reads"
            } else {
                machine.disk.flip_nth_read(nth, random.below(u64::MAX));
                "reads with a wrong bit"
            };
            trouble(world).await;
            if machine.disk.clear_faults() == 0 {
                world.count(name);
            }
        }
        _ => {
            calm(world).await;
            world.count("crashes at an await");
            machine.crash(some_crash(random).0);
            machine.disk.flip_nth_read(1 + random.below(START_CALLS_MAX), random.below(u64::MAX));
            let started = machine.start().await;
            let has_struck = machine.disk.clear_faults() == 0;
            if has_struck {
                world.count("reads with a wrong bit in a start");
            }
            if let Err(error) = started {
                assert!(has_struck, "the server does not start: {error}");
                world.count("starts refused for it");
                // It harmed nothing.
                machine.crash(Crash::Process);
                start(world, machine).await;
            }
        }
    }
}

async fn calm(world: &World) {
    world.pause(CALM_MILLIS_MAX).await;
    turns(world.random.below(TURNS_MAX)).await;
}

async fn trouble(world: &World) {
    world.pause(TROUBLE_MILLIS_MAX).await;
}

/// Lets others run so many times.
async fn turns(count: u64) {
    let mut left = count;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Sets the wall clock, in either direction.
fn leap(machine: &Machine) {
    let world = &machine.world;
    let is_ahead = world.random.one_in(2);
    let asleep = is_ahead && world.random.one_in(4);
    let seconds_max = if asleep { HOURS_MAX * 3600 } else { LEAP_SECONDS_MAX };
    let by = Duration::from_secs(world.random.below(seconds_max));
    let wall = machine.clock.wall();
    if is_ahead {
        machine.clock.set_wall(wall.plus(by));
        world.history().leapt(by);
        world.count(if asleep { "leaps ahead by hours" } else { "leaps ahead" });
    } else {
        machine.clock.set_wall(wall.minus(by));
        world.history().was_set_back(by);
        world.count("leaps back");
    }
}

fn some_crash(random: &SeededRandom) -> (Crash, &'static str) {
    match random.below(4) {
        0 => (Crash::Process, "ends of the process"),
        1 => (Crash::PowerNothing, "power cuts that lose all that can be lost"),
        2 => (Crash::PowerEverything, "power cuts that lose nothing"),
        _ => (Crash::Power(random.below(u64::MAX)), "power cuts that tear"),
    }
}

/// Takes the machine down, and brings it up again: at the first attempt, or after starts that were cut short.
pub(crate) async fn crash(world: &World, machine: &mut Machine) {
    let (how, name) = some_crash(&world.random);
    world.count(name);
    machine.crash(how);
    world.pause(100).await;
    while world.random.one_in(3) {
        machine.disk.stop_at_call(1 + world.random.below(START_CALLS_MAX));
        if let Err(error) = machine.start().await {
            assert!(machine.disk.is_stopped(), "the server does not start: {error}");
            world.count("crashes during a start");
        }
        machine.crash(some_crash(&world.random).0);
    }
    start(world, machine).await;
}

async fn start(world: &World, machine: &mut Machine) {
    if let Err(error) = machine.start().await {
        panic!("the server does not start: {error}");
    }
    world.count("starts");
}
