//! Which consumer reads which shard at the moment. Time is passed in.
//!
//! One subscription at a time: within five seconds after it was begun the next one is refused (whether the first
//! lasts or not), later it takes over.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rustc_hash::FxHashMap;
use thalweg_types::limits::SUBSCRIPTION_TAKE_OVER_SECONDS;
use thalweg_types::{ConsumerName, ShardKey, Timestamp};
use tokio::sync::watch;

/// For so long a subscription cannot be taken over.
const PROTECTED: Duration = Duration::from_secs(SUBSCRIPTION_TAKE_OVER_SECONDS);
/// So many are kept without looking for those that can be forgotten.
const ENTRIES_UNSWEPT: usize = 1_024;

/// A consumer and a shard. The creation time tells consumers apart that had the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) shard: ShardKey,
    pub(crate) consumer: ConsumerName,
    pub(crate) created: Timestamp,
}

/// All subscriptions that last, and those begun less than five seconds ago.
#[derive(Default)]
pub(crate) struct Subscriptions(Mutex<Table>);

#[derive(Default)]
struct Table {
    entries: FxHashMap<Key, Entry>,
    /// How many of them last.
    lasting: usize,
    /// How many there may be before the next sweep.
    sweep_at: usize,
    next_id: u64,
}

struct Entry {
    id: u64,
    begun: Duration,
    lasts: bool,
    displaced: watch::Sender<bool>,
}

/// A subscription of this consumer and shard was begun less than five seconds ago.
#[derive(Debug, PartialEq)]
pub(crate) struct TooSoon;

/// One's place among the subscriptions; to be given back by [`Subscriptions::end`].
#[derive(Debug)]
pub(crate) struct Ticket {
    id: u64,
    /// Becomes true when another subscription takes over.
    pub(crate) displaced: watch::Receiver<bool>,
}

impl Subscriptions {
    /// Begins a subscription and displaces the one before.
    pub(crate) fn begin(&self, key: Key, now: Duration) -> Result<Ticket, TooSoon> {
        let mut table = self.lock();
        if let Some(before) = table.entries.get(&key) {
            if now.saturating_sub(before.begun) < PROTECTED {
                return Err(TooSoon);
            }
            before.displaced.send_replace(true);
            let lasted = before.lasts;
            table.lasting -= usize::from(lasted);
        } else if table.entries.len() >= table.sweep_at {
            table.entries.retain(|_, entry| entry.lasts || now.saturating_sub(entry.begun) < PROTECTED);
            // A sweep costs as much as there is: it pays when as many were added since.
            table.sweep_at = ENTRIES_UNSWEPT.max(table.entries.len() * 2);
        }
        let id = table.next_id;
        table.next_id += 1;
        table.lasting += 1;
        let (sender, displaced) = watch::channel(false);
        table.entries.insert(key, Entry { id, begun: now, lasts: true, displaced: sender });
        Ok(Ticket { id, displaced })
    }

    /// Ends a subscription. Answers whether others last.
    pub(crate) fn end(&self, key: &Key, ticket: &Ticket, now: Duration) -> bool {
        let mut table = self.lock();
        if let Some(entry) = table.entries.get_mut(key)
            && entry.id == ticket.id
        {
            entry.lasts = false;
            let is_protected = now.saturating_sub(entry.begun) < PROTECTED;
            table.lasting -= 1;
            if !is_protected {
                table.entries.remove(key);
            }
        }
        table.lasting > 0
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use thalweg_types::{ShardIndex, StreamId};

    use super::*;

    fn key(shard: u32) -> Key {
        Key {
            shard: ShardKey { stream: StreamId(1), shard: ShardIndex(shard) },
            consumer: ConsumerName::new("c").expect("a good name"),
            created: Timestamp::from_seconds(1),
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_subscription_is_protected_for_five_seconds_and_then_taken_over() {
        let all = Subscriptions::default();
        let first = all.begin(key(0), seconds(10)).expect("the first");
        assert_eq!(all.begin(key(0), Duration::from_millis(14_999)).err(), Some(TooSoon));
        assert!(!*first.displaced.borrow());
        let other = Key { created: Timestamp::from_seconds(2), ..key(0) };
        all.begin(other, seconds(10)).expect("another consumer of that name");
        all.begin(key(1), seconds(10)).expect("another shard");
        let second = all.begin(key(0), seconds(15)).expect("after five seconds");
        assert!(*first.displaced.borrow());
        all.end(&key(0), &first, seconds(15));
        assert!(!*second.displaced.borrow());
        assert_eq!(
            all.begin(key(0), seconds(19)).err(),
            Some(TooSoon),
            "the first one's end is not the second's"
        );
    }

    #[test]
    fn a_subscription_that_ended_early_is_protected_too() {
        let all = Subscriptions::default();
        let ticket = all.begin(key(0), seconds(10)).expect("the first");
        assert!(!all.end(&key(0), &ticket, seconds(11)));
        assert_eq!(all.begin(key(0), seconds(14)).err(), Some(TooSoon));
        all.begin(key(0), seconds(15)).expect("after five seconds");
    }

    #[test]
    fn subscriptions_that_ended_are_forgotten() {
        let all = Subscriptions::default();
        let lasting = all.begin(key(u32::MAX), seconds(0)).expect("the first");
        for number in 0..50_000 {
            let now = Duration::from_millis(u64::from(number) * 10);
            let ticket = all.begin(key(number), now).expect("a shard of its own");
            assert!(all.end(&key(number), &ticket, now), "the first one lasts");
            assert!(all.lock().entries.len() <= 2 * ENTRIES_UNSWEPT);
        }
        assert!(!*lasting.displaced.borrow());
        assert!(all.lock().entries.contains_key(&key(u32::MAX)));
    }
}
