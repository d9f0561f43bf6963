//! One SubscribeToShard session: what it sends next, decided when somebody asks for it.
//!
//! ```text
//!  initial-response, then in any order     events with records, as they are committed
//!                                          empty events, five seconds after the last event
//!  and then one of these ends it           five minutes are over, or the server stops: nothing more
//!                                          the shard's end: an event with its children
//!                                          another subscription takes over: ResourceInUseException
//!                                          the stream or consumer is gone: ResourceNotFoundException
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thalweg_api::{EventStream, Room};
use thalweg_journal::TailWatch;
use thalweg_shape::Failure;
use thalweg_system::Clock;
use thalweg_types::limits::SUBSCRIPTION_SECONDS;
use thalweg_types::{Offset, ShardIndex};
use thalweg_wire::Protocol;
use tokio::sync::watch;

use super::event::NoEvent;
use super::frames::{Frame, FrameKey};
use super::interruptions::Interruptions;
use super::subscriptions::{Key, Ticket, TooSoon};
use super::{FanOut, event};
use crate::consumer::Consumer;
use crate::errors;
use crate::read;
use crate::service::Streams;
use crate::shard_map::Shard;
use crate::stream::Stream;

/// How long a subscription lasts.
const LASTS: Duration = Duration::from_secs(SUBSCRIPTION_SECONDS);
/// After so long without an event comes an empty one. Source: facts/aws-apis.md 2.9; Java's read timeout is 10 s.
const EVENT_EVERY: Duration = Duration::from_secs(5);
/// How soon to ask again for room for an event.
const ROOM_EVERY: Duration = Duration::from_millis(100);
/// Sequence numbers have whole seconds.
const NUMBERS_APART: Duration = Duration::from_secs(1);

/// What a subscription begins with; all of it was checked.
pub(crate) struct Beginning<'a> {
    pub(crate) stream: &'a Stream,
    pub(crate) consumer: &'a Consumer,
    pub(crate) shard: &'a Shard,
    pub(crate) position: Offset,
    pub(crate) protocol: Protocol,
    pub(crate) room: &'a Arc<dyn Room>,
}

struct Subscription {
    streams: Arc<Streams>,
    key: Key,
    ticket: Ticket,
    protocol: Protocol,
    room: Arc<dyn Room>,
    shard: Shard,
    /// The first record that was not sent.
    position: Offset,
    /// What the last event with records said of how far behind it is.
    behind: Duration,
    /// What the next event takes for which there was no room, if that is known.
    needed: usize,
    ends_at: Duration,
    event_due: Duration,
    phase: Phase,
    tail: TailWatch,
    snapshots: watch::Receiver<Arc<Stream>>,
    closing: watch::Receiver<bool>,
    interruptions: Interruptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The initial response was not sent yet.
    Begun,
    Lasting,
    /// Nothing more comes.
    Over,
}

/// What to do next.
enum Step {
    Send(Bytes),
    /// Send this, if anything, and nothing more.
    End(Option<Bytes>),
    /// There is nothing to send before this; or nothing before there is room.
    Wait {
        until: Duration,
        lacks_room: bool,
    },
}

/// Begins a subscription, which may take another one over.
///
/// # Errors
/// ResourceInUse within five seconds after another one was begun; ResourceNotFound when the stream is gone.
pub(crate) fn begin(streams: Arc<Streams>, beginning: &Beginning<'_>) -> Result<EventStream, Failure> {
    let Beginning { stream, consumer, shard, position, protocol, room } = *beginning;
    let gone = || shard_not_found(&streams, stream, shard.index);
    let tail = streams.journal.watch(stream.key(shard.index)).map_err(|_| gone())?;
    let snapshots = streams.registry.entry(stream.id).ok_or_else(gone)?.subscribe();
    let key =
        Key { shard: stream.key(shard.index), consumer: consumer.name.clone(), created: consumer.created };
    let now = streams.clock.monotonic();
    let ticket = streams.fan_out.subscriptions.begin(key.clone(), now).map_err(|TooSoon| {
        let (account, stream) = (&streams.settings.account, stream.name.as_str());
        errors::subscription_exists(account, stream, shard.index, consumer.name.as_str())
    })?;
    let closing = streams.fan_out.closing.subscribe();
    let interruptions =
        Interruptions::new(Arc::clone(&streams.clock), &snapshots, [&ticket.displaced, &closing]);
    let subscription = Subscription {
        streams,
        key,
        ticket,
        protocol,
        room: Arc::clone(room),
        shard: *shard,
        position,
        behind: Duration::ZERO,
        needed: 0,
        ends_at: now + LASTS,
        event_due: now + EVENT_EVERY,
        phase: Phase::Begun,
        tail,
        snapshots,
        closing,
        interruptions,
    };
    Ok(Box::pin(futures_util::stream::unfold(subscription, |mut subscription| async {
        let frame = subscription.next().await?;
        Some((frame, subscription))
    })))
}

impl Subscription {
    /// The next frame; waits until there is one. None: the stream ends here.
    async fn next(&mut self) -> Option<Bytes> {
        match self.phase {
            Phase::Over => return None,
            Phase::Begun => {
                self.phase = Phase::Lasting;
                return Some(event::initial_response(self.protocol));
            }
            Phase::Lasting => {}
        }
        loop {
            let now = self.streams.clock.monotonic();
            match self.step(now).await {
                Step::Send(frame) => {
                    self.event_due = self.streams.clock.monotonic() + EVENT_EVERY;
                    return Some(frame);
                }
                Step::End(last) => {
                    self.phase = Phase::Over;
                    return last;
                }
                Step::Wait { until, lacks_room } => {
                    let again = ask_again(&*self.streams.clock, lacks_room);
                    // Whatever happens, the next step looks at all of it again.
                    let deleted = tokio::select! {
                        biased;
                        tail = self.tail.changed() => tail.deleted,
                        () = self.interruptions.next(now, until) => false,
                        () = again => false,
                    };
                    if deleted {
                        self.phase = Phase::Over;
                        return Some(self.shard_gone());
                    }
                }
            }
        }
    }

    async fn step(&mut self, now: Duration) -> Step {
        if *self.ticket.displaced.borrow() {
            return Step::End(Some(self.displaced()));
        }
        if *self.closing.borrow() || now >= self.ends_at {
            return Step::End(None);
        }
        let Some(stream) = self.streams.stream(self.key.shard.stream) else {
            return Step::End(Some(self.gone(None)));
        };
        let consumer = stream.consumers.get(&self.key.consumer);
        if consumer.is_none_or(|consumer| consumer.created != self.key.created) {
            return Step::End(Some(self.gone(Some(&stream))));
        }
        let tail = self.tail.current();
        if tail.deleted {
            return Step::End(Some(self.shard_gone()));
        }
        let (mut lacks_room, mut millis_behind) = (false, 0);
        if self.position < tail.next {
            let key = FrameKey { shard: self.key.shard, from: self.position, protocol: self.protocol };
            match frame(
                &self.streams,
                &stream,
                &self.shard,
                key,
                tail.trimmed,
                now,
                (&*self.room, self.needed),
            )
            .await
            {
                Err(NoEvent::Failed(failure)) => {
                    return Step::End(Some(event::exception(&failure, self.protocol)));
                }
                Err(NoEvent::NoRoom(needed)) => {
                    // Others' clients do not take what they are sent. What is kept may be in the way, too.
                    self.streams.fan_out.frames.give_way(now, ROOM_EVERY);
                    (lacks_room, self.needed) = (true, needed);
                    let newest = self.streams.now().as_millis() - tail.last_arrival.as_millis();
                    let behind = i64::try_from(self.behind.as_millis()).unwrap_or(i64::MAX);
                    millis_behind = newest.max(behind).max(1);
                }
                Ok(frame) if frame.next > self.position => {
                    (self.position, self.behind, self.needed) = (frame.next, frame.behind, 0);
                    return Step::Send(frame.bytes);
                }
                // The journal has them and does not give them yet: as if they were not there.
                Ok(_) => {}
            }
        } else if tail.sealed && stream.shards.children(self.shard.index).next().is_some() {
            let last = read::children(&stream.shards, self.shard.index, |children| {
                event::end_of_shard(children, self.protocol)
            });
            return Step::End(Some(last));
        }
        if now >= self.event_due {
            self.streams.fan_out.frames.expire(now);
            // Later than the last record, or it would have that one's number.
            let at = self.streams.now().max(tail.last_arrival.plus(NUMBERS_APART));
            return Step::Send(event::empty(&self.shard, self.position, at, millis_behind, self.protocol));
        }
        Step::Wait { until: self.event_due.min(self.ends_at), lacks_room }
    }

    fn displaced(&self) -> Bytes {
        // The stream may be gone already; then its name does not matter any more.
        let stream = self.streams.stream(self.key.shard.stream);
        let name = stream.as_ref().map_or("", |stream| stream.name.as_str());
        let account = &self.streams.settings.account;
        let failure =
            errors::subscription_exists(account, name, self.shard.index, self.key.consumer.as_str());
        event::exception(&failure, self.protocol)
    }

    /// The journal has the shard no more: the stream is being deleted, or the shard has expired.
    fn shard_gone(&self) -> Bytes {
        match self.streams.stream(self.key.shard.stream) {
            Some(stream) if stream.shards.get(self.shard.index).is_none() => {
                let failure = shard_not_found(&self.streams, &stream, self.shard.index);
                event::exception(&failure, self.protocol)
            }
            _ => self.gone(None),
        }
    }

    /// The stream is gone, or with `stream` only the consumer.
    fn gone(&self, stream: Option<&Stream>) -> Bytes {
        let name = self.snapshots.borrow().name.clone();
        let account = &self.streams.settings.account;
        let failure = match stream {
            Some(_) => errors::consumer_gone(self.key.consumer.as_str(), name.as_str(), account),
            None => errors::stream_not_found(name.as_str(), account),
        };
        event::exception(&failure, self.protocol)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let FanOut { subscriptions, frames, .. } = &self.streams.fan_out;
        let others_last = subscriptions.end(&self.key, &self.ticket, self.streams.clock.monotonic());
        if !others_last {
            frames.clear();
        }
    }
}

/// Completes when it is time to ask for room again; never where there is some.
async fn ask_again(clock: &dyn Clock, lacks_room: bool) {
    match lacks_room {
        true => clock.sleep(ROOM_EVERY).await,
        false => std::future::pending().await,
    }
}

/// The event at a place, encoded; by another subscription, if one stands there too.
async fn frame(
    streams: &Streams,
    stream: &Stream,
    shard: &Shard,
    key: FrameKey,
    trimmed: Offset,
    now: Duration,
    room: (&dyn Room, usize),
) -> Result<Frame, NoEvent> {
    // A shard's records are trimmed and grow too old in their order: where the oldest is there, all are.
    let is_whole = |frame: &Frame| {
        frame.oldest.is_none_or(|(first, arrival)| {
            first >= trimmed && arrival >= stream.horizon(streams.expiry_now())
        })
    };
    let make = event::records(streams, stream, shard, key.from, key.protocol, room.0, room.1);
    streams.fan_out.frames.get(key, now, is_whole, make).await
}

fn shard_not_found(streams: &Streams, stream: &Stream, shard: ShardIndex) -> Failure {
    errors::shard_not_found(shard, stream.name.as_str(), &streams.settings.account)
}
