//! A scheduler on one thread that polls whoever is ready in an order that its seed repeats.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use crate::simulated::{ManualClock, SeededRandom};
use crate::{BoxFuture, Spawn, TaskHandle, Tasks};

/// Runs every task on the thread that calls [`SimulatedSpawn::block_on`] or [`SimulatedSpawn::run_until_idle`].
/// Clones are the same scheduler.
#[derive(Clone)]
pub struct SimulatedSpawn {
    shared: Arc<Shared>,
    random: Arc<SeededRandom>,
    clock: ManualClock,
    /// Whose tasks these are: a machine's, which end with it.
    group: u64,
}

struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Tasks that have not ended and are not being polled at this moment.
    tasks: BTreeMap<u64, Task>,
    ready: BTreeSet<u64>,
    groups: u64,
}

struct Task {
    group: u64,
    future: BoxFuture<'static, ()>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no one panics while holding the scheduler")
    }
}

/// The number of the future that `block_on` was given; tasks count from 1.
const MAIN: u64 = 0;

struct TaskWaker {
    id: u64,
    shared: Arc<Shared>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.shared.state().ready.insert(self.id);
    }
}

impl SimulatedSpawn {
    /// A scheduler whose order of polling comes from `seed`, and which moves `clock` to the next sleeper when no
    /// one can go on otherwise.
    pub fn new(seed: u64, clock: ManualClock) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default() });
        SimulatedSpawn { shared, random: Arc::new(SeededRandom::new(seed)), clock, group: 0 }
    }

    /// The same scheduler for another machine: [`SimulatedSpawn::kill_tasks`] ends the tasks of one of them.
    pub fn other_group(&self) -> SimulatedSpawn {
        let mut state = self.shared.state();
        state.groups += 1;
        SimulatedSpawn { group: state.groups, ..self.clone() }
    }

    /// The clock that it moves.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn waker(&self, id: u64) -> Waker {
        Arc::new(TaskWaker { id, shared: Arc::clone(&self.shared) }).into()
    }

    /// Polls one ready task; `Some(MAIN)` when it is the caller's turn; `None` when no one is ready.
    fn step(&self) -> Option<u64> {
        let mut state = self.shared.state();
        let count = state.ready.len() as u64;
        if count == 0 {
            return None;
        }
        let index = usize::try_from(self.random.below(count)).expect("below the number of tasks");
        let id = *state.ready.iter().nth(index).expect("the index is below the count");
        state.ready.remove(&id);
        // A task that has ended may still be woken.
        if let Some(mut task) = state.tasks.remove(&id) {
            drop(state);
            let waker = self.waker(id);
            if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.shared.state().tasks.insert(id, task);
            }
        }
        Some(id)
    }

    /// Runs `future` and the tasks to the end of `future`.
    ///
    /// # Panics
    /// When no one can go on, not even by waiting: the test has a deadlock.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        let waker = self.waker(MAIN);
        self.shared.state().ready.insert(MAIN);
        loop {
            match self.step() {
                Some(MAIN) => {
                    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return output;
                    }
                }
                Some(_) => {}
                None => match self.clock.until_next_wake() {
                    Some(duration) => self.clock.advance(duration),
                    None => panic!("deadlock: no task can go on"),
                },
            }
        }
    }

    /// Runs the tasks until none is ready. Time stands still: sleepers stay asleep.
    pub fn run_until_idle(&self) {
        while self.step().is_some() {}
    }

    /// Forgets the tasks of its group where they stand: what a crash does to a program. Not to be called by one of them.
    pub fn kill_tasks(&self) {
        // Outside the lock: dropping a task may wake another, or start one.
        loop {
            let killed: Vec<_> =
                self.shared.state().tasks.extract_if(.., |_, task| task.group == self.group).collect();
            if killed.is_empty() {
                return;
            }
        }
    }
}

impl Spawn for SimulatedSpawn {
    fn spawn(&self, _name: &str, task: BoxFuture<'static, ()>) -> TaskHandle {
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        let mut state = self.shared.state();
        state.next += 1;
        let id = state.next;
        let task = async move {
            task.await;
            // Whoever waited may have gone.
            let _ = ended.send(());
        };
        state.tasks.insert(id, Task { group: self.group, future: Box::pin(task) });
        state.ready.insert(id);
        TaskHandle(Box::pin(async move {
            // An error means that the task was killed: that is an end too.
            let _ = end.await;
        }))
    }
}

impl Tasks for SimulatedSpawn {
    fn run(&self, task: BoxFuture<'static, ()>) {
        drop(self.spawn("task", task));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use thalweg_types::Timestamp;

    use super::*;
    use crate::Clock;
    use crate::disk::{Access, Disk};
    use crate::simulated::SimulatedDisk;

    fn order_of(seed: u64) -> Vec<u32> {
        let spawn = SimulatedSpawn::new(seed, ManualClock::new(Timestamp::ZERO));
        let order = Arc::new(Mutex::new(Vec::new()));
        let disk = SimulatedDisk::new();
        let mut handles = Vec::new();
        for name in 0..6_u32 {
            let (order, disk) = (Arc::clone(&order), disk.clone());
            let task = async move {
                let path = format!("file-{name}");
                let file = disk.create(&path, Access::Appended).await.expect("no fault is set");
                file.sync().await.expect("no fault is set");
                order.lock().expect("no one panics with it").push(name);
            };
            handles.push(spawn.spawn("task", Box::pin(task)));
        }
        spawn.block_on(async {
            for handle in handles {
                handle.0.await;
            }
        });
        let order = order.lock().expect("no one panics with it");
        order.clone()
    }

    #[test]
    fn a_seed_repeats_its_order() {
        assert_eq!(order_of(1), order_of(1));
        let orders: BTreeSet<_> = (0..20).map(order_of).collect();
        assert!(orders.len() > 10, "seeds give different orders: {orders:?}");
    }

    #[test]
    fn time_moves_only_when_no_one_else_can() {
        let spawn = SimulatedSpawn::new(3, ManualClock::new(Timestamp::ZERO));
        let clock = spawn.clock().clone();
        spawn.run_until_idle();
        spawn.block_on(async { clock.sleep(Duration::from_secs(3600)).await });
        assert_eq!(clock.monotonic(), Duration::from_secs(3600));
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn a_deadlock_is_found() {
        SimulatedSpawn::new(0, ManualClock::new(Timestamp::ZERO)).block_on(std::future::pending::<()>());
    }

    #[test]
    fn a_machine_that_is_killed_leaves_the_others_alone() {
        let spawn = SimulatedSpawn::new(0, ManualClock::new(Timestamp::ZERO));
        let machine = spawn.other_group();
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let ours = spawn.spawn("ours", Box::pin(async move { assert!(receiver.await.is_err()) }));
        let theirs = machine.spawn(
            "theirs",
            Box::pin(async move {
                std::future::pending::<()>().await;
                drop(sender);
            }),
        );
        spawn.run_until_idle();
        machine.kill_tasks();
        spawn.block_on(async {
            ours.0.await;
            theirs.0.await;
        });
    }

    #[test]
    fn killed_tasks_count_as_ended() {
        let spawn = SimulatedSpawn::new(0, ManualClock::new(Timestamp::ZERO));
        let handle = spawn.spawn("task", Box::pin(std::future::pending()));
        spawn.run_until_idle();
        spawn.kill_tasks();
        spawn.block_on(handle.0);
    }
}
