//! A trace's calls, made again on a simulated disk.

use std::path::Path;
use std::sync::Arc;

use thalweg_system::disk::Access;
use thalweg_system::simulated::SimulatedDisk;
use thalweg_system::{Disk, DiskError, DiskFile};
use tokio::runtime::Runtime;

use super::trace::What;

/// What the kernel calls a file without a name.
const NAMELESS: &str = " (deleted)";

pub(crate) struct Replay {
    pub(crate) disk: SimulatedDisk,
    runtime: Runtime,
}

impl Replay {
    pub(crate) fn on(disk: SimulatedDisk) -> Replay {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it needs nothing");
        Replay { disk, runtime }
    }

    /// The call has ended.
    pub(crate) fn ended(&self, what: &What) {
        self.runtime.block_on(apply(&self.disk, what, true)).unwrap_or_else(|error| panic!("{error}"));
    }

    /// The call has begun: what it does is there, and nothing of it is durable.
    pub(crate) fn begun(&self, what: &What) {
        // It may want what another one that has only begun would have made.
        let _ = self.runtime.block_on(apply(&self.disk, what, false));
    }
}

async fn apply(disk: &SimulatedDisk, what: &What, has_ended: bool) -> Result<(), DiskError> {
    match what {
        What::Create(path) => match disk.create(path, Access::Appended).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        },
        What::CreateDirectory(path) => disk.make_directory(path),
        What::Rename(from, to) => disk.rename(from, to).await,
        What::Unlink(path) => disk.unlink(path).await,
        What::RemoveDirectory(path) => disk.remove_directory(path).await,
        What::SyncDirectory(path) if has_ended => disk.sync_directory(path).await,
        What::Write { path, .. } | What::Sync(path) | What::Truncate { path, .. }
            if path.ends_with(NAMELESS) =>
        {
            Ok(())
        }
        What::Write { path, offset, bytes, is_durable } => {
            let file = open(disk, path).await?;
            match *is_durable && has_ended {
                true => file.write_durable(*offset, bytes).await,
                false => file.write(*offset, bytes).await,
            }
        }
        What::Truncate { path, length } => open(disk, path).await?.truncate(*length).await,
        What::Sync(path) if has_ended => open(disk, path).await?.sync().await,
        What::Sync(_) | What::SyncDirectory(_) => Ok(()),
    }
}

/// In no way that a write must keep to: which way the bytes took does not matter here.
async fn open(disk: &SimulatedDisk, path: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
    disk.open(path, Access::Appended).await
}

/// What came of a call in which the program was killed, as the real disk in `root` shows it; `None` if nothing.
pub(crate) fn outcome(what: What, root: &Path) -> Option<What> {
    let is_there = |path: &str| root.join(path).exists();
    match &what {
        What::Create(path) | What::CreateDirectory(path) => is_there(path).then_some(what),
        What::Rename(from, to) => (!is_there(from) && is_there(to)).then_some(what),
        What::Unlink(path) | What::RemoveDirectory(path) => (!is_there(path)).then_some(what),
        What::Truncate { path, length } => {
            let metadata = std::fs::metadata(root.join(path)).ok()?;
            (metadata.len() == *length).then_some(what)
        }
        What::Write { path, offset, bytes, .. } => {
            let content = std::fs::read(root.join(path)).ok()?;
            let start = usize::try_from(*offset).expect("files are small").min(content.len());
            let end = (start + bytes.len()).min(content.len());
            let (path, offset) = (path.clone(), *offset);
            Some(What::Write { path, offset, bytes: content[start..end].to_vec(), is_durable: false })
        }
        What::Sync(_) | What::SyncDirectory(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use thalweg_system::simulated::Crash;

    use super::*;

    fn files_after_a_cut(calls: &[What]) -> Vec<String> {
        let replay = Replay::on(SimulatedDisk::new());
        calls.iter().for_each(|call| replay.ended(call));
        replay.disk.crash(Crash::PowerNothing).files()
    }

    #[test]
    fn a_new_directory_survives_a_cut_only_once_the_one_above_it_was_synced() {
        let path = "seg/7/0.seg".to_owned();
        let calls = [
            What::CreateDirectory("seg".to_owned()),
            What::SyncDirectory(String::new()),
            What::CreateDirectory("seg/7".to_owned()),
            What::Create(path.clone()),
            What::Write { path: path.clone(), offset: 0, bytes: b"text".to_vec(), is_durable: true },
            What::SyncDirectory("seg/7".to_owned()),
            What::SyncDirectory("seg".to_owned()),
        ];
        for cut in 0..calls.len() {
            assert!(files_after_a_cut(&calls[..cut]).is_empty(), "cut {cut}");
        }
        assert_eq!(files_after_a_cut(&calls), [path]);
        let without_the_first_sync: Vec<_> =
            calls.iter().filter(|call| **call != What::SyncDirectory(String::new())).cloned().collect();
        assert!(files_after_a_cut(&without_the_first_sync).is_empty(), "seg itself is not there");
    }

    #[test]
    fn a_directory_that_is_under_way_is_there_or_not() {
        let replay = Replay::on(SimulatedDisk::new());
        let make = What::CreateDirectory("d".to_owned());
        replay.begun(&make);
        replay.begun(&What::Create("d/a".to_owned()));
        replay.begun(&What::SyncDirectory("d".to_owned()));
        replay.begun(&What::SyncDirectory(String::new()));
        assert_eq!(replay.disk.files(), ["d/a"]);
        assert!(replay.disk.crash(Crash::PowerNothing).files().is_empty());
    }
}
