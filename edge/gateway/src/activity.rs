//! What a connection does, and when to give up on it. The judgement is pure: counters and times in, verdict out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::Settings;
use crate::budget::Outgoing;
use crate::settings::{ANSWER_BYTES_COUNTED, ANSWER_PROGRESS_BYTES, CROWDED_HASTE, TURN_BYTES_MAX};

/// What a connection has done so far. Written by the stream and the requests, read by the watch.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    pub(crate) bytes_read: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    /// What had been read when the connection's turn on its thread began.
    turn_from: AtomicU64,
    /// Whether there is something to write that the client does not take.
    pub(crate) blocked: AtomicBool,
    requests: AtomicU64,
    in_flight: AtomicUsize,
    large: Answers,
    small: Answers,
    events: Answers,
}

/// What is unread, by how it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// An answer that is counted.
    Large,
    /// One that is not.
    Small,
    /// An event of a subscription.
    Event,
}

/// What there is hardly any room left for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Crowded {
    answers: bool,
    events: bool,
}

impl Crowded {
    pub(crate) fn of(outgoing: &Outgoing) -> Self {
        Crowded { answers: outgoing.answers.is_crowded(), events: outgoing.events.is_crowded() }
    }
}

/// What the client has not taken of its answers, and what it has.
#[derive(Debug, Default)]
struct Answers {
    unread_bytes: AtomicUsize,
    taken_bytes: AtomicU64,
}

impl Answers {
    fn snapshot(&self) -> Seen {
        Seen {
            unread_bytes: self.unread_bytes.load(Ordering::Relaxed) as u64,
            taken_bytes: self.taken_bytes.load(Ordering::Relaxed),
        }
    }
}

impl Activity {
    /// A request began; it ends when the guard is dropped, at the latest with the last byte of its answer.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// The connection has its turn.
    pub(crate) fn begin_turn(&self) {
        self.turn_from.store(self.bytes_read.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether it has read as much as it may in one turn.
    pub(crate) fn has_had_its_turn(&self) -> bool {
        let read = self.bytes_read.load(Ordering::Relaxed) - self.turn_from.load(Ordering::Relaxed);
        read >= TURN_BYTES_MAX
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            blocked: self.blocked.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            large: self.large.snapshot(),
            small: self.small.snapshot(),
            events: self.events.snapshot(),
        }
    }
}

/// A request that has not ended.
pub(crate) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl InFlight {
    /// So many bytes of its answer are unread until they are taken, or the guard is dropped.
    pub(crate) fn unread(&self, bytes: usize, part: Part) -> Unread {
        let unread = Unread { activity: Arc::clone(&self.0), part, bytes };
        unread.answers().unread_bytes.fetch_add(bytes, Ordering::Relaxed);
        unread
    }
}

/// A part of an answer that is not taken whole.
pub(crate) struct Unread {
    activity: Arc<Activity>,
    part: Part,
    bytes: usize,
}

impl Unread {
    fn answers(&self) -> &Answers {
        match self.part {
            Part::Large => &self.activity.large,
            Part::Small => &self.activity.small,
            Part::Event => &self.activity.events,
        }
    }

    /// The connection took so many of its bytes.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.answers().unread_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.answers().taken_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.answers().unread_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What was seen of [`Answers`].
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    unread_bytes: u64,
    taken_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Snapshot {
    bytes_read: u64,
    bytes_written: u64,
    blocked: bool,
    requests: u64,
    in_flight: usize,
    large: Seen,
    small: Seen,
    events: Seen,
}

impl Snapshot {
    /// Whether a request has not ended, or the client has not taken what ended it.
    fn is_busy(&self) -> bool {
        self.in_flight > 0 || [self.large, self.small, self.events].iter().any(|seen| seen.unread_bytes > 0)
    }
}

/// Whether answers are taken.
#[derive(Debug, Default)]
struct Taking {
    /// Since when they are taken too slowly, and what was seen then.
    since: Option<(Duration, Seen)>,
}

impl Taking {
    /// Whether too little was taken for as long as `timeout`, or a part of it in haste: then as much as takes all of it away
    /// within `timeout`. What else is written is no progress: answers to pings. Time counts from `not_before` on.
    fn is_too_slow(
        &mut self,
        seen: Seen,
        now: Duration,
        timeout: Duration,
        haste: u32,
        not_before: Duration,
    ) -> bool {
        if seen.unread_bytes == 0 {
            self.since = None;
            return false;
        }
        let (since, before) = *self.since.get_or_insert((now, seen));
        let part = if haste == 1 { 0 } else { before.unread_bytes / u64::from(haste) };
        let enough = before.unread_bytes.min(ANSWER_PROGRESS_BYTES.max(part));
        if seen.taken_bytes - before.taken_bytes >= enough {
            self.since = None;
            return false;
        }
        now.saturating_sub(since.max(not_before)) >= timeout / haste
    }
}

/// What to do with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Keep,
    /// End it in good order: it has been idle for long.
    Finish,
    /// Drop it: the client is too slow, or does not end it in good order.
    Drop(&'static str),
}

/// Watches one connection. Times are monotonic; a verdict may come late by [`Watch::interval`].
#[derive(Debug)]
pub(crate) struct Watch {
    head_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    event_timeout: Duration,
    /// Whether a byte that is read while no request is in flight belongs to a request head. Not so in HTTP/2,
    /// where it may be a ping.
    reads_are_heads: bool,
    /// When the last request ended (or the connection began), as far as the watch has seen, and what had been
    /// read by then.
    idle_since: Duration,
    read_before_idle: u64,
    head_since: Option<Duration>,
    blocked_since: Option<Duration>,
    large: Taking,
    small: Taking,
    events: Taking,
    /// Since when events must be taken in haste.
    hasty_since: Option<Duration>,
    finishing_since: Option<Duration>,
    before: Snapshot,
}

impl Watch {
    pub(crate) fn new(settings: &Settings, now: Duration) -> Self {
        Watch {
            head_timeout: settings.head_timeout,
            idle_timeout: settings.idle_timeout,
            write_timeout: settings.write_timeout,
            event_timeout: settings.event_timeout,
            reads_are_heads: true,
            idle_since: now,
            read_before_idle: 0,
            head_since: None,
            blocked_since: None,
            large: Taking::default(),
            small: Taking::default(),
            events: Taking::default(),
            hasty_since: None,
            finishing_since: None,
            before: Snapshot::default(),
        }
    }

    /// The connection turned out to be HTTP/2.
    pub(crate) fn is_http2(&mut self) {
        self.reads_are_heads = false;
        self.head_since = None;
    }

    /// How often to look.
    pub(crate) fn interval(&self) -> Duration {
        self.head_timeout.min(self.idle_timeout).min(self.write_timeout).min(self.event_timeout) / 4
    }

    /// Looks at the connection.
    pub(crate) fn look(&mut self, activity: &Activity, now: Duration, crowded: Crowded) -> Verdict {
        let snapshot = activity.snapshot();
        let verdict = self.judge(snapshot, now, crowded);
        self.before = snapshot;
        verdict
    }

    fn judge(&mut self, seen: Snapshot, now: Duration, crowded: Crowded) -> Verdict {
        // In HTTP/2 nothing is blocked where only a window is closed. Haste only makes room where what is unread is counted.
        let haste = |is_crowded| if is_crowded { CROWDED_HASTE } else { 1 };
        let answers_haste = haste(crowded.answers);
        let large_slow =
            self.large.is_too_slow(seen.large, now, self.write_timeout, answers_haste, Duration::ZERO);
        let small_slow = self.small.is_too_slow(seen.small, now, self.write_timeout, 1, Duration::ZERO);
        // A consumer may have stood still before it was crowded: it is given the time to take what it has.
        let is_hasty = crowded.events && seen.events.unread_bytes >= ANSWER_BYTES_COUNTED as u64;
        self.hasty_since = is_hasty.then(|| self.hasty_since.unwrap_or(now));
        let event_timeout = if is_hasty { self.write_timeout } else { self.event_timeout };
        let not_before = self.hasty_since.unwrap_or_default();
        let events_slow =
            self.events.is_too_slow(seen.events, now, event_timeout, haste(is_hasty), not_before);
        if large_slow || small_slow || events_slow {
            return Verdict::Drop("the client does not take its answers");
        }

        let stuck = seen.blocked && seen.bytes_written == self.before.bytes_written;
        let blocked_since = *self.blocked_since.get_or_insert(now);
        if !stuck {
            self.blocked_since = None;
        } else if now.saturating_sub(blocked_since) >= self.write_timeout {
            return Verdict::Drop("the client does not read its answers");
        }

        if seen.is_busy() || seen.requests != self.before.requests {
            self.idle_since = now;
            self.read_before_idle = seen.bytes_read;
            self.head_since = None;
            return Verdict::Keep;
        }
        if self.reads_are_heads && seen.bytes_read != self.read_before_idle {
            let since = *self.head_since.get_or_insert(now);
            if now.saturating_sub(since) >= self.head_timeout {
                return Verdict::Drop("the request head takes too long");
            }
        }
        if now.saturating_sub(self.idle_since) < self.idle_timeout {
            return Verdict::Keep;
        }
        match self.finishing_since {
            None => {
                self.finishing_since = Some(now);
                Verdict::Finish
            }
            Some(since) if now.saturating_sub(since) >= self.head_timeout => {
                Verdict::Drop("the client keeps an idle connection open")
            }
            Some(_) => Verdict::Keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Verdict = Verdict::Keep;

    fn is_dropped(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Drop(_))
    }

    /// A watch over a connection that began at 100 s: heads 4 s, idle 40 s, writes 20 s, events 300 s.
    fn watch() -> Watch {
        let settings = Settings {
            head_timeout: Duration::from_secs(4),
            idle_timeout: Duration::from_secs(40),
            write_timeout: Duration::from_secs(20),
            event_timeout: Duration::from_secs(300),
            ..Settings::default()
        };
        Watch::new(&settings, Duration::from_secs(100))
    }

    fn look(watch: &mut Watch, activity: &Activity, second: u64) -> Verdict {
        watch.look(activity, Duration::from_secs(second), Crowded::default())
    }

    #[test]
    fn an_idle_connection_is_finished_and_then_dropped() {
        let (mut watch, activity) = (watch(), Arc::new(Activity::default()));
        assert_eq!(watch.interval(), Duration::from_secs(1));
        assert_eq!(look(&mut watch, &activity, 139), KEEP);
        drop(activity.begin());
        assert_eq!(look(&mut watch, &activity, 150), KEEP, "there was a request in between");
        assert_eq!(look(&mut watch, &activity, 189), KEEP);
        assert_eq!(look(&mut watch, &activity, 190), Verdict::Finish);
        assert_eq!(look(&mut watch, &activity, 193), KEEP);
        assert!(is_dropped(look(&mut watch, &activity, 194)));
    }

    #[test]
    fn a_request_may_take_as_long_as_it_takes() {
        let (mut watch, activity) = (watch(), Arc::new(Activity::default()));
        let request = activity.begin();
        for second in 101..1000 {
            assert_eq!(look(&mut watch, &activity, second), KEEP);
        }
        drop(request);
        assert_eq!(look(&mut watch, &activity, 1000), KEEP);
        assert_eq!(look(&mut watch, &activity, 1038), KEEP);
        assert_eq!(look(&mut watch, &activity, 1039), Verdict::Finish);
    }

    #[test]
    fn a_head_that_trickles_in_is_dropped() {
        let (mut watch, activity) = (watch(), Arc::new(Activity::default()));
        assert_eq!(look(&mut watch, &activity, 120), KEEP, "a connection may wait before its first request");
        for second in 121..125 {
            activity.bytes_read.fetch_add(1, Ordering::Relaxed);
            assert_eq!(look(&mut watch, &activity, second), KEEP);
        }
        assert!(is_dropped(look(&mut watch, &activity, 125)));
    }

    #[test]
    fn a_head_that_trickles_in_after_a_request_is_dropped() {
        let (mut watch, activity) = (watch(), Arc::new(Activity::default()));
        activity.bytes_read.fetch_add(100, Ordering::Relaxed);
        drop(activity.begin());
        assert_eq!(look(&mut watch, &activity, 110), KEEP);
        assert_eq!(look(&mut watch, &activity, 120), KEEP);
        activity.bytes_read.fetch_add(1, Ordering::Relaxed);
        assert_eq!(look(&mut watch, &activity, 121), KEEP);
        assert!(is_dropped(look(&mut watch, &activity, 125)));
    }

    #[test]
    fn large_answers_behind_a_closed_window_are_dropped_and_sooner_when_it_is_crowded() {
        for (is_crowded, seconds) in [(false, 20), (true, 2)] {
            let (mut watch, activity) = (watch(), Arc::new(Activity::default()));
            watch.is_http2();
            let mut unread = activity.begin().unread(100_000, Part::Large);
            let crowded = Crowded { answers: is_crowded, events: false };
            let mut look = |second| watch.look(&activity, Duration::from_secs(second), crowded);
            assert_eq!(look(100), KEEP);
            unread.take(ANSWER_PROGRESS_BYTES as usize);
            assert_eq!(look(101), KEEP, "it takes some");
            assert_eq!(look(102), KEEP);
            activity.bytes_written.fetch_add(20_000, Ordering::Relaxed);
            unread.take(17);
            assert_eq!(look(101 + seconds), KEEP);
            assert!(is_dropped(look(102 + seconds)), "answers to pings are no progress");
            drop(unread);
            assert_eq!(look(103 + seconds), KEEP);
        }
    }

    #[test]
    fn when_it_is_crowded_answers_are_taken_as_fast_as_much_of_them_is_unread() {
        const LARGE: usize = 12 * 1024 * 1024;
        for (is_crowded, taken, goes) in
            [(true, LARGE / 12 - 1, true), (true, LARGE / 12, false), (false, 16 * 1024, false)]
        {
            let (mut watch, activity) = (watch(), Arc::new(Activity::default()));
            let mut unread = activity.begin().unread(LARGE, Part::Large);
            let crowded = Crowded { answers: is_crowded, events: false };
            let mut look = |second| watch.look(&activity, Duration::from_secs(second), crowded);
            assert_eq!(look(100), KEEP);
            unread.take(taken);
            assert_eq!(look(101), KEEP);
            assert_eq!(is_dropped(look(102)), goes, "{taken} bytes");
        }
    }

    #[test]
    fn small_answers_behind_a_closed_window_are_dropped_in_their_time() {
        let (mut watch, activity) = (watch(), Arc::new(Activity::default()));
        watch.is_http2();
        let crowded = Crowded { answers: true, events: true };
        let mut look = |second| watch.look(&activity, Duration::from_secs(second), crowded);
        let mut unread = activity.begin().unread(100, Part::Small);
        assert_eq!(look(100), KEEP);
        unread.take(100);
        drop(unread);
        let _other = activity.begin().unread(100, Part::Small);
        assert_eq!((look(119), look(120)), (KEEP, KEEP), "all that was unread at first is taken");
        assert_eq!(look(139), KEEP);
        assert!(is_dropped(look(140)));
    }

    #[test]
    fn events_may_wait_as_long_as_a_subscription_lasts_unless_it_is_crowded() {
        for (bytes, crowded_from, dropped_at) in [
            (100_000, None, 400),
            (100_000, Some(250), 252),
            (100_000, Some(100), 102),
            (100, Some(100), 400),
        ] {
            let (mut watch, activity) = (watch(), Arc::new(Activity::default()));
            let subscription = activity.begin();
            let _event = subscription.unread(bytes, Part::Event);
            let looks = (100..).find(|second| {
                let events = crowded_from.is_some_and(|from| *second >= from);
                let crowded = Crowded { answers: true, events };
                is_dropped(watch.look(&activity, Duration::from_secs(*second), crowded))
            });
            assert_eq!(looks, Some(dropped_at));
        }
    }

    #[test]
    fn a_connection_whose_answer_is_being_taken_is_not_idle() {
        let (mut watch, activity) = (watch(), Arc::new(Activity::default()));
        // Its body is gone: HTTP has the rest.
        let mut unread = activity.begin().unread(ANSWER_PROGRESS_BYTES as usize * 10, Part::Large);
        for second in (100..300).step_by(20) {
            assert_eq!(look(&mut watch, &activity, second), KEEP);
            unread.take(ANSWER_PROGRESS_BYTES as usize);
        }
        assert_eq!(look(&mut watch, &activity, 319), KEEP, "it was busy at 280 s");
        assert_eq!(look(&mut watch, &activity, 320), Verdict::Finish);
    }

    #[test]
    fn pings_are_not_heads() {
        let (mut watch, activity) = (watch(), Arc::new(Activity::default()));
        watch.is_http2();
        for second in 101..140 {
            activity.bytes_read.fetch_add(17, Ordering::Relaxed);
            assert_eq!(look(&mut watch, &activity, second), KEEP);
        }
        assert_eq!(look(&mut watch, &activity, 140), Verdict::Finish);
    }

    #[test]
    fn a_client_that_does_not_read_is_dropped_and_a_slow_one_is_not() {
        let (mut watch, activity) = (watch(), Arc::new(Activity::default()));
        let request = activity.begin();
        activity.blocked.store(true, Ordering::Relaxed);
        for second in 101..200 {
            activity.bytes_written.fetch_add(1, Ordering::Relaxed);
            assert_eq!(look(&mut watch, &activity, second), KEEP);
        }
        for second in 200..220 {
            assert_eq!(look(&mut watch, &activity, second), KEEP);
        }
        assert!(is_dropped(look(&mut watch, &activity, 220)));
        activity.blocked.store(false, Ordering::Relaxed);
        assert_eq!(look(&mut watch, &activity, 221), KEEP, "nothing to write is not slow");
        drop(request);
    }
}
