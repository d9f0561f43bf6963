//! Encoded events, shared: what one subscription has read and encoded, others that stand at the same place send as
//! it is, unless a record in it is gone by then. Time is passed in, and so is what is gone.
//!
//! Subscriptions that keep up are woken by the same commit and stand at the same place, so each commit is read and
//! encoded once for each protocol. A frame is kept for a second: long enough for all of them, and MillisBehindLatest
//! in it, which is as of when it was made, is never off by more. Readers that catch up drift further apart; what they read
//! is kept for longer, as long as MillisBehindLatest is off by a tenth of itself at most.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use rustc_hash::FxHashMap;
use thalweg_types::{Offset, ShardKey, Timestamp};
use thalweg_wire::Protocol;
use tokio::sync::OnceCell;

/// Bytes of frames that are kept, at most; what is being sent is not counted. Readers that go on together drift apart by
/// what their sockets hold: up to 4 MiB on our side and 6 MiB on theirs, several times over while they begin.
pub(crate) const BYTES_MAX: usize = 64 << 20;
/// Frames that are kept or being made, at most.
const FRAMES_MAX: usize = 4_096;
/// How long a frame is kept at least, unless there is no room.
const FRESH: Duration = Duration::from_secs(1);
/// How long one is kept at most: memory is not held for readers that may never come.
const FRESH_MAX: Duration = Duration::from_secs(10);

/// Where a frame begins, and how it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FrameKey {
    pub(crate) shard: ShardKey,
    pub(crate) from: Offset,
    pub(crate) protocol: Protocol,
}

/// An event. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Bytes,
    /// Where the next one begins.
    pub(crate) next: Offset,
    /// Its first record, which is the oldest in it: its offset and its arrival. None: it has no records.
    pub(crate) oldest: Option<(Offset, Timestamp)>,
    /// What it says of how far behind it is.
    pub(crate) behind: Duration,
}

impl Frame {
    /// How long what it says is near enough to the truth.
    fn fresh_for(&self) -> Duration {
        (self.behind / 10).clamp(FRESH, FRESH_MAX)
    }
}

/// Frames by place, oldest out first.
pub(crate) struct Frames {
    state: Mutex<State>,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    slots: FxHashMap<FrameKey, Slot>,
    /// The slots by age, oldest first; some may have gone already.
    ages: VecDeque<(FrameKey, u64)>,
    bytes: usize,
    next_id: u64,
    /// When those that nobody sent were dropped.
    gave_way_at: Duration,
}

struct Slot {
    id: u64,
    made: Duration,
    /// From then on it is too old.
    stale_at: Duration,
    frame: Arc<OnceCell<Frame>>,
    /// Counted in `State::bytes`; 0 while the frame is being made.
    bytes: usize,
}

impl Frames {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Frames { state: Mutex::default(), bytes_max }
    }

    /// The frame for `key`: one that is there, or what `make` makes. Whoever asks meanwhile waits for it instead of
    /// making another one. One that somebody else made is asked whether it `is_whole` still: all its records are there.
    pub(crate) async fn get<E>(
        &self,
        key: FrameKey,
        now: Duration,
        is_whole: impl Fn(&Frame) -> bool,
        make: impl Future<Output = Result<Frame, E>>,
    ) -> Result<Frame, E> {
        let mut make = Some(make);
        loop {
            let (id, cell) = self.lock().slot(key, now);
            let init = || make.take().expect("whoever makes a frame takes it");
            let frame = cell.get_or_try_init(init).await?.clone();
            if make.is_none() {
                self.lock().keep(key, id, &frame, self.bytes_max);
                return Ok(frame);
            }
            // Not before: while it was waited for, what it read may have gone.
            if is_whole(&frame) {
                return Ok(frame);
            }
            self.lock().forget(key, id);
        }
    }

    /// Drops frames that are too old. To be called now and then: frames do not go by themselves.
    pub(crate) fn expire(&self, now: Duration) {
        self.lock().expire(now);
    }

    /// Drops all frames; who waits for one gets it.
    pub(crate) fn clear(&self) {
        let mut state = self.lock();
        // Those that are being made must not be taken for others of their place.
        *state = State { next_id: state.next_id, ..State::default() };
    }

    /// Drops frames that nobody sends at this moment: there is no room for others. At most once in `pause`.
    pub(crate) fn give_way(&self, now: Duration, pause: Duration) {
        let mut state = self.lock();
        if now < state.gave_way_at + pause {
            return;
        }
        state.gave_way_at = now;
        let is_kept_only = |slot: &Slot| slot.frame.get().is_some_and(|frame| frame.bytes.is_unique());
        let idle: Vec<(FrameKey, u64)> = state
            .slots
            .iter()
            .filter(|(_, slot)| is_kept_only(slot))
            .map(|(key, slot)| (*key, slot.id))
            .collect();
        for (key, id) in idle {
            state.forget(key, id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl State {
    fn slot(&mut self, key: FrameKey, now: Duration) -> (u64, Arc<OnceCell<Frame>>) {
        self.expire(now);
        if let Some(slot) = self.slots.get(&key) {
            if now < slot.stale_at {
                return (slot.id, Arc::clone(&slot.frame));
            }
            // Behind one in age that may be kept for longer.
            let id = slot.id;
            self.forget(key, id);
        }
        if self.ages.len() >= FRAMES_MAX {
            self.drop_oldest();
        }
        let id = self.next_id;
        self.next_id += 1;
        let frame = Arc::new(OnceCell::new());
        self.ages.push_back((key, id));
        let slot = Slot { id, made: now, stale_at: now + FRESH, frame: Arc::clone(&frame), bytes: 0 };
        self.slots.insert(key, slot);
        (id, frame)
    }

    /// Counts a frame that is made now, and makes room for it.
    fn keep(&mut self, key: FrameKey, id: u64, frame: &Frame, bytes_max: usize) {
        // It may have been dropped while it was being made: then only those who waited for it have it.
        let Some(slot) = self.slots.get_mut(&key).filter(|slot| slot.id == id) else { return };
        slot.bytes = frame.bytes.len();
        slot.stale_at = slot.made + frame.fresh_for();
        self.bytes += slot.bytes;
        while self.bytes > bytes_max {
            self.drop_oldest();
        }
    }

    /// Drops a frame, if it is still there: [`State::expire`] and [`State::drop_oldest`] pass over its age.
    fn forget(&mut self, key: FrameKey, id: u64) {
        if self.slots.get(&key).is_some_and(|slot| slot.id == id) {
            let slot = self.slots.remove(&key).expect("just seen");
            self.bytes -= slot.bytes;
        }
    }

    fn expire(&mut self, now: Duration) {
        while let Some((key, id)) = self.ages.front() {
            let slot = self.slots.get(key).filter(|slot| slot.id == *id);
            if slot.is_some_and(|slot| now < slot.stale_at) {
                break;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((key, id)) = self.ages.pop_front() else { return };
        self.forget(key, id);
    }
}

#[cfg(test)]
mod tests {
    use thalweg_types::{ShardIndex, StreamId};

    use super::*;

    fn key(from: Offset) -> FrameKey {
        let shard = ShardKey { stream: StreamId(1), shard: ShardIndex(0) };
        FrameKey { shard, from, protocol: Protocol::AwsJson11 }
    }

    async fn get(frames: &Frames, from: Offset, now: Duration, bytes: usize) -> *const u8 {
        get_behind(frames, from, now, bytes, Duration::ZERO).await
    }

    async fn get_behind(
        frames: &Frames,
        from: Offset,
        now: Duration,
        bytes: usize,
        behind: Duration,
    ) -> *const u8 {
        let make = async {
            Ok::<_, ()>(Frame { bytes: vec![0; bytes].into(), next: from + 1, oldest: None, behind })
        };
        let frame = frames.get(key(from), now, |_| true, make).await.expect("it is made");
        assert_eq!(frame.next, from + 1);
        // What another subscription would send while this one still sends.
        std::mem::forget(frame.bytes.clone());
        frame.bytes.as_ptr()
    }

    #[tokio::test]
    async fn a_frame_is_made_once_and_shared_for_a_second() {
        let frames = Frames::new(1_000);
        let first = get(&frames, 5, Duration::from_millis(0), 10).await;
        assert_eq!(get(&frames, 5, Duration::from_millis(999), 10).await, first);
        assert_ne!(get(&frames, 6, Duration::from_millis(999), 10).await, first);
        assert_ne!(get(&frames, 5, Duration::from_millis(1_000), 10).await, first);
    }

    #[tokio::test]
    async fn a_frame_from_long_ago_is_shared_for_longer() {
        let frames = Frames::new(1_000);
        let seconds = Duration::from_secs;
        let first = get_behind(&frames, 5, seconds(0), 10, seconds(40)).await;
        let second = get_behind(&frames, 6, seconds(0), 10, seconds(20)).await;
        let hours = get_behind(&frames, 7, seconds(0), 10, seconds(7_200)).await;
        let then = Duration::from_millis(3_999);
        assert_eq!(get_behind(&frames, 5, then, 10, seconds(44)).await, first, "a tenth of what it says");
        assert_ne!(
            get_behind(&frames, 6, then, 10, seconds(24)).await,
            second,
            "the first one is still kept"
        );
        assert_eq!(frames.lock().bytes, 30);
        assert_ne!(get_behind(&frames, 5, seconds(4), 10, seconds(44)).await, first);
        assert_eq!(get_behind(&frames, 7, Duration::from_millis(9_999), 10, seconds(0)).await, hours);
        assert_ne!(get_behind(&frames, 7, seconds(10), 10, seconds(0)).await, hours, "not for ever");
        frames.expire(seconds(20));
        assert_eq!(kept(&frames), (0, 0, 0));
    }

    fn frame(text: &'static str) -> Frame {
        Frame { bytes: Bytes::from_static(text.as_bytes()), next: 6, oldest: None, behind: Duration::ZERO }
    }

    async fn never() -> Result<Frame, ()> {
        panic!("only one of them makes it")
    }

    #[tokio::test]
    async fn whoever_asks_while_a_frame_is_made_waits_for_it() {
        let frames = Frames::new(1_000);
        let (go, gate) = tokio::sync::oneshot::channel::<()>();
        let slow = async {
            gate.await.expect("the sender lives");
            Ok::<_, ()>(frame("slow"))
        };
        let first = frames.get(key(5), Duration::ZERO, |_| true, slow);
        let second = frames.get(key(5), Duration::ZERO, |_| true, never());
        let release = async { go.send(()).expect("the first one waits") };
        let (first, second, ()) = tokio::join!(first, second, release);
        assert_eq!(first.expect("made").bytes.as_ptr(), second.expect("shared").bytes.as_ptr());
    }

    #[tokio::test]
    async fn a_frame_that_is_whole_no_more_is_made_anew() {
        let frames = Frames::new(1_000);
        let (go, gate) = tokio::sync::oneshot::channel::<()>();
        let slow = async {
            gate.await.expect("the sender lives");
            Ok::<_, ()>(frame("old"))
        };
        let is_new = |frame: &Frame| frame.bytes == "new";
        // The first one has read when the second one asks, to whom what it read is gone.
        let first = frames.get(key(5), Duration::ZERO, |_| true, slow);
        let second = frames.get(key(5), Duration::ZERO, is_new, async { Ok::<_, ()>(frame("new")) });
        let release = async { go.send(()).expect("the first one waits") };
        let (first, second, ()) = tokio::join!(first, second, release);
        assert_eq!((first.expect("made").bytes, second.expect("made").bytes), ("old".into(), "new".into()));
        let third = frames.get(key(5), Duration::ZERO, is_new, never()).await;
        assert_eq!(third.expect("shared").bytes, "new");
        assert_eq!(kept(&frames), (1, 1, 3), "the old one is not counted any more");
        // Whoever makes one takes it: it was read after they asked.
        let own = frames.get(key(5), Duration::ZERO, |_| false, async { Ok::<_, ()>(frame("own")) }).await;
        assert_eq!(own.expect("made").bytes, "own");
        frames.expire(FRESH);
        assert_eq!(kept(&frames), (0, 0, 0));
    }

    #[tokio::test]
    async fn only_frames_that_nobody_sends_give_way() {
        let frames = Frames::new(1_000);
        let pause = Duration::from_millis(100);
        let make = |from: Offset| async move {
            let bytes = vec![0; 10].into();
            Ok::<_, ()>(Frame { bytes, next: from + 1, oldest: None, behind: Duration::ZERO })
        };
        let sent = frames.get(key(5), pause, |_| true, make(5)).await.expect("made");
        drop(frames.get(key(6), pause, |_| true, make(6)).await);
        frames.give_way(pause, pause);
        assert_eq!(frames.lock().slots.keys().map(|key| key.from).collect::<Vec<_>>(), [5]);
        drop(sent);
        frames.give_way(pause * 2 - Duration::from_nanos(1), pause);
        assert_eq!(frames.lock().bytes, 10, "not so soon again");
        frames.give_way(pause * 2, pause);
        assert_eq!(frames.lock().bytes, 0);
    }

    #[tokio::test]
    async fn frames_that_are_cleared_while_they_are_made_are_not_counted() {
        let frames = Frames::new(1_000);
        let (go, gate) = tokio::sync::oneshot::channel::<()>();
        let slow = async {
            gate.await.expect("the sender lives");
            Ok::<_, ()>(frame("cleared"))
        };
        let first = frames.get(key(5), Duration::ZERO, |_| true, slow);
        let second = async {
            frames.clear();
            let make = async {
                go.send(()).expect("the first one waits");
                tokio::task::yield_now().await;
                Ok::<_, ()>(frame("kept"))
            };
            frames.get(key(5), Duration::ZERO, |_| true, make).await
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!(
            (first.expect("made").bytes, second.expect("made").bytes),
            ("cleared".into(), "kept".into())
        );
        assert_eq!(kept(&frames), (1, 1, 4));
    }

    #[tokio::test]
    async fn a_frame_that_could_not_be_made_is_made_again() {
        let frames = Frames::new(1_000);
        assert_eq!(frames.get(key(5), Duration::ZERO, |_| true, async { Err("no") }).await.err(), Some("no"));
        get(&frames, 5, Duration::ZERO, 10).await;
        assert_eq!(frames.lock().bytes, 10);
    }

    /// Slots, ages and bytes.
    fn kept(frames: &Frames) -> (usize, usize, usize) {
        let state = frames.lock();
        (state.slots.len(), state.ages.len(), state.bytes)
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let frames = Frames::new(1_000);
        let first = get(&frames, 0, Duration::ZERO, 400).await;
        for from in 1..100 {
            get(&frames, from, Duration::ZERO, 400).await;
            assert!(frames.lock().bytes <= 1_000);
        }
        assert_ne!(get(&frames, 0, Duration::ZERO, 400).await, first, "the oldest went first");
        get(&frames, 200, Duration::ZERO, 5_000).await;
        assert_eq!(kept(&frames), (0, 0, 0), "too large to be kept");
        for from in 0..10_000 {
            get(&frames, from, Duration::ZERO, 0).await;
        }
        let (slots, ages, _) = kept(&frames);
        assert!(slots <= FRAMES_MAX && ages <= FRAMES_MAX);
        frames.expire(FRESH);
        assert_eq!(kept(&frames), (0, 0, 0));
    }
}
