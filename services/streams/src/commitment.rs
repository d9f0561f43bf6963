//! The account's commitment to a minimum throughput ("on-demand advantage"): a switch that cannot be turned off on
//! the first day. Nothing is billed here; warm throughput needs it.

use std::time::Duration;

use thalweg_model::kinesis::{
    MinimumThroughputBillingCommitmentInputStatus as Wanted, MinimumThroughputBillingCommitmentOutput,
    MinimumThroughputBillingCommitmentOutputStatus as Status,
};
use thalweg_types::Timestamp;

use crate::rows::CommitmentRow;

/// How long it lasts at least. Ours: the facts name the member, not the time.
const TERM: Duration = Duration::from_secs(24 * 3600);

/// Whether it is in force.
pub(crate) fn is_in_force(row: Option<&CommitmentRow>, now: Timestamp) -> bool {
    status(row, now) != Status::Disabled
}

/// What it is now: one that ends by itself ends when its time has come.
fn status(row: Option<&CommitmentRow>, now: Timestamp) -> Status {
    let Some(row) = row else { return Status::Disabled };
    match row.status() {
        Some(Status::EnabledUntilEarliestAllowedEnd) if now.as_millis() >= row.earliest_allowed_end_at => {
            Status::Disabled
        }
        Some(status) => status,
        None => Status::Disabled,
    }
}

/// The row after an update; the same row when nothing changes.
pub(crate) fn update(row: Option<&CommitmentRow>, wanted: Wanted, now: Timestamp) -> Option<CommitmentRow> {
    let set = |row: &CommitmentRow, status: Status, ended_at| {
        Some(CommitmentRow { status: status.as_str().to_owned(), ended_at, ..row.clone() })
    };
    match (wanted, status(row, now), row) {
        (Wanted::Enabled, Status::Enabled, row) => row.cloned(),
        (Wanted::Enabled, Status::EnabledUntilEarliestAllowedEnd, Some(row)) => {
            set(row, Status::Enabled, None)
        }
        (Wanted::Enabled, _, _) => Some(CommitmentRow {
            status: Status::Enabled.as_str().to_owned(),
            started_at: now.as_millis(),
            earliest_allowed_end_at: now.plus(TERM).as_millis(),
            ended_at: None,
        }),
        (Wanted::Disabled, Status::Enabled, Some(row)) if now.as_millis() < row.earliest_allowed_end_at => {
            set(row, Status::EnabledUntilEarliestAllowedEnd, None)
        }
        (Wanted::Disabled, Status::Enabled, Some(row)) => set(row, Status::Disabled, Some(now.as_millis())),
        (Wanted::Disabled, _, row) => row.cloned(),
    }
}

/// As answers show it.
pub(crate) fn view(row: Option<&CommitmentRow>, now: Timestamp) -> MinimumThroughputBillingCommitmentOutput {
    let status = status(row, now);
    let time = |millis: i64| Some(Timestamp::from_millis(millis));
    let ended_at = row.filter(|_| status == Status::Disabled).and_then(|row| {
        // One that ended by itself has no entry for it.
        time(row.ended_at.unwrap_or(row.earliest_allowed_end_at))
    });
    MinimumThroughputBillingCommitmentOutput {
        earliest_allowed_end_at: row.and_then(|row| time(row.earliest_allowed_end_at)),
        ended_at,
        started_at: row.and_then(|row| time(row.started_at)),
        status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_a_day_at_least() {
        let at = |hours: i64| Timestamp::from_seconds(1_700_000_000 + hours * 3600);
        let shown = |row: Option<&CommitmentRow>, hours| {
            let view = view(row, at(hours));
            (view.status, view.started_at, view.earliest_allowed_end_at, view.ended_at)
        };
        assert_eq!(shown(None, 0), (Status::Disabled, None, None, None));
        assert_eq!(update(None, Wanted::Disabled, at(0)), None);

        let on = update(None, Wanted::Enabled, at(0));
        assert_eq!(shown(on.as_ref(), 1), (Status::Enabled, Some(at(0)), Some(at(24)), None));
        assert_eq!(update(on.as_ref(), Wanted::Enabled, at(5)), on, "on already");

        let ending = update(on.as_ref(), Wanted::Disabled, at(2));
        let until = Status::EnabledUntilEarliestAllowedEnd;
        assert_eq!(shown(ending.as_ref(), 23), (until, Some(at(0)), Some(at(24)), None));
        assert!(is_in_force(ending.as_ref(), at(23)));
        assert!(!is_in_force(ending.as_ref(), at(24)));
        assert_eq!(shown(ending.as_ref(), 24), (Status::Disabled, Some(at(0)), Some(at(24)), Some(at(24))));
        let again = update(ending.as_ref(), Wanted::Enabled, at(3));
        assert_eq!(again, on, "taken back in time");
        let anew = update(ending.as_ref(), Wanted::Enabled, at(30));
        assert_eq!(shown(anew.as_ref(), 30), (Status::Enabled, Some(at(30)), Some(at(54)), None));

        let off = update(on.as_ref(), Wanted::Disabled, at(25));
        assert_eq!(shown(off.as_ref(), 26), (Status::Disabled, Some(at(0)), Some(at(24)), Some(at(25))));
    }
}
