//! Warnings and errors of one kind are written some times, and then counted: where every put or every change fails, a line for
//! each would fill the disk that is at fault already.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// So many lines from one place in the code are written in a period.
const LINES_MAX: u32 = 20;
const PERIOD: Duration = Duration::from_secs(10);

/// Monotonic time.
type Now = Box<dyn Fn() -> Duration + Send + Sync>;

/// A format of events, most of which it passes on. The first line after some were left out says how many, in the
/// member `left_out`.
pub(super) struct Bounded<F> {
    format: F,
    /// Whether a line is a JSON object.
    is_json: bool,
    now: Now,
    places: Mutex<FxHashMap<Identifier, Place>>,
}

/// A place in the code that warns.
#[derive(Default)]
struct Place {
    /// When its period began.
    since: Duration,
    lines: u32,
    left_out: u64,
}

impl Place {
    /// Whether one more line is written now: then, how many were left out before it.
    fn admit(&mut self, now: Duration) -> Option<u64> {
        if now.saturating_sub(self.since) >= PERIOD {
            (self.since, self.lines) = (now, 0);
        }
        if self.lines == LINES_MAX {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl<F> Bounded<F> {
    /// Of lines that are JSON objects, or texts.
    pub(super) fn new(format: F, is_json: bool, now: Now) -> Self {
        Bounded { format, is_json, now, places: Mutex::default() }
    }

    fn admit(&self, event: &Event<'_>) -> Option<u64> {
        if *event.metadata().level() > Level::WARN {
            return Some(0);
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.entry(event.metadata().callsite()).or_default().admit((self.now)())
    }
}

impl<S, N, F> FormatEvent<S, N> for Bounded<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        match self.admit(event) {
            None => Ok(()),
            Some(0) => self.format.format_event(context, writer, event),
            Some(left_out) => {
                let mut line = String::new();
                self.format.format_event(context, Writer::new(&mut line), event)?;
                match line.strip_prefix('{').filter(|_| self.is_json) {
                    Some(members) => write!(writer, "{{\"left_out\":{left_out},{members}"),
                    None => writeln!(writer, "{} left_out={left_out}", line.trim_end()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_place_is_heard_some_times_in_each_period() {
        let mut place = Place::default();
        let admitted =
            |place: &mut Place, now| (0..1000).filter_map(|_| place.admit(now)).collect::<Vec<_>>();
        let lines = LINES_MAX as usize;
        assert_eq!(admitted(&mut place, Duration::from_secs(1)), vec![0; lines]);
        assert_eq!(admitted(&mut place, Duration::from_millis(9_999)), [0; 0]);
        let left_out = 2000 - lines as u64;
        assert_eq!(admitted(&mut place, PERIOD)[..2], [left_out, 0]);
        assert_eq!(place.left_out, 1000 - lines as u64);
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics with it").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written when one place warns a hundred times and another one once, and in the next period again.
    fn written(is_json: bool) -> Vec<String> {
        let lines = Lines::default();
        let out = lines.clone();
        let logs = tracing_subscriber::fmt().with_writer(move || out.clone()).with_ansi(false);
        let now = Arc::new(AtomicU64::new(0));
        let seconds = Arc::clone(&now);
        let elapsed: Now = Box::new(move || Duration::from_secs(seconds.load(Ordering::SeqCst)));
        let run = || {
            for second in [0, PERIOD.as_secs()] {
                now.store(second, Ordering::SeqCst);
                for number in 0..100 {
                    tracing::warn!(number, "the disk is full");
                    tracing::info!(number, "all is well");
                }
                tracing::error!("another");
            }
        };
        if is_json {
            let logs = logs.json().flatten_event(true);
            let logs = logs.map_event_format(|format| Bounded::new(format, true, elapsed));
            tracing::subscriber::with_default(logs.finish(), run);
        } else {
            let logs = logs.map_event_format(|format| Bounded::new(format, false, elapsed));
            tracing::subscriber::with_default(logs.finish(), run);
        }
        let bytes = lines.0.lock().expect("nobody panics with it").clone();
        String::from_utf8(bytes).expect("logs are text").lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_repeats_itself_is_left_out_and_counted() {
        for is_json in [false, true] {
            let lines = written(is_json);
            let with = |words: &str| lines.iter().filter(|line| line.contains(words)).collect::<Vec<_>>();
            let full = with("the disk is full");
            assert_eq!(full.len(), 2 * LINES_MAX as usize);
            assert_eq!((with("all is well").len(), with("another").len()), (200, 2));
            let told = with("left_out");
            assert_eq!(told, [full[LINES_MAX as usize]]);
            if is_json {
                let line: serde_json::Value = serde_json::from_str(told[0]).expect("it is JSON");
                assert_eq!((&line["left_out"], &line["number"]), (&80.into(), &0.into()));
            } else {
                assert!(told[0].ends_with("the disk is full number=0 left_out=80"), "{}", told[0]);
            }
        }
    }
}
