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
        // Durable here at once: nothing is put into it before the real one is.
        What::CreateDirectory(path) => disk.create_directory(path).await,
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
