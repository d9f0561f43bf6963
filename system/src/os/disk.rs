//! A data directory on a real file system, held by one process at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation;

use super::file::{Durability, OsFile, disk_error, open_direct, probe};
use crate::BoxFuture;
use crate::buffer::ALIGNMENT;
use crate::disk::{
    Access, Disk, DiskError, DiskErrorKind, DiskFile, DiskSpace, assert_relative, parent_directory,
};

/// The file whose lock is the right to use the directory. Not listed.
const LOCK: &str = "LOCK";
/// What a lock file of ours begins with: it tells our data directories from other programs'.
const LOCK_MARK: &str = "thalweg data directory, last opened by process ";
/// Present in the root of every fresh ext file system, such as a volume mounted for us. Not listed.
const LOST_AND_FOUND: &str = "lost+found";

/// A data directory. Locked against other processes until this is dropped or its process ends.
///
/// Every call blocks the calling thread until it is done.
#[derive(Debug)]
pub struct OsDisk {
    root: PathBuf,
    /// Closing it releases the lock.
    _lock: File,
    durability: Durability,
}

impl OsDisk {
    /// Opens the data directory at `path`, creates it if needed, locks it, and finds out by one small write
    /// how durable writes work there.
    ///
    /// # Errors
    /// `Locked` when another process holds it; `AlreadyExists` when `path` is not a directory, or holds files
    /// that are not ours; the operating system's otherwise. The message names the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DiskError> {
        Self::open_with(path.as_ref(), &Durability::Direct { alignment: ALIGNMENT })
    }

    /// As [`OsDisk::open`], but without trying direct I/O: for file systems that accept it and then do it badly.
    ///
    /// # Errors
    /// As [`OsDisk::open`].
    pub fn open_without_direct_io(path: impl AsRef<Path>) -> Result<Self, DiskError> {
        let reason = "direct I/O is switched off".to_owned();
        Self::open_with(path.as_ref(), &Durability::Synced { reason })
    }

    fn open_with(root: &Path, wanted: &Durability) -> Result<Self, DiskError> {
        let shown = root.display().to_string();
        let refuse = |kind, reason: &str| DiskError {
            kind,
            call: "use the data directory",
            path: shown.clone(),
            reason: reason.to_owned(),
        };
        let failed = |call| {
            let shown = shown.clone();
            move |error: io::Error| disk_error(call, &shown, &error)
        };
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(refuse(DiskErrorKind::AlreadyExists, "it is not a directory")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_directory_durably(root).map_err(failed("create the data directory"))?;
            }
            Err(error) => return Err(failed("use the data directory")(error)),
        }

        let names = names(root).map_err(failed("list the data directory"))?;
        let holds_files = names.iter().any(|name| name != LOCK);
        let lock_path = root.join(LOCK);
        if holds_files && !names.iter().any(|name| name == LOCK) {
            return Err(refuse(DiskErrorKind::AlreadyExists, "it holds files, but none of this program's"));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut lock = options.open(&lock_path).map_err(failed("open the lock of the data directory"))?;
        let locked = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
        let mut content = Vec::new();
        // Bounded: the file may be someone else's.
        let read = Read::by_ref(&mut lock).take(ALIGNMENT as u64).read_to_end(&mut content);
        read.map_err(failed("read the lock of the data directory"))?;
        let content = String::from_utf8_lossy(&content).into_owned();
        let holder = content.strip_prefix(LOCK_MARK).map(|rest| rest.split('\n').next().unwrap_or_default());
        match locked {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let holder = holder.map_or("another process".to_owned(), |id| format!("process {id}"));
                return Err(refuse(DiskErrorKind::Locked, &format!("{holder} is using it")));
            }
            Err(error) => return Err(failed("lock the data directory")(error.into())),
        }
        // An empty one without company is what a start leaves that was killed at this very place.
        if holder.is_none() && (holds_files || !content.is_empty()) {
            return Err(refuse(DiskErrorKind::AlreadyExists, "its LOCK file is another program's"));
        }

        // The lock file doubles as the probe, and is durable before anything else is put beside it.
        let mark = format!("{LOCK_MARK}{}\n", std::process::id());
        let durability = probe(&lock_path, mark.as_bytes(), wanted)
            .map_err(failed("write the lock of the data directory"))?;
        sync_directory(root).map_err(failed("sync the data directory"))?;
        Ok(OsDisk { root: root.to_owned(), _lock: lock, durability })
    }

    /// How durable writes of [`Access::Recycled`] files are done here, for people to read at start.
    pub fn durability(&self) -> &Durability {
        &self.durability
    }

    /// Where the directory is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn resolve(&self, path: &str) -> PathBuf {
        assert_relative(path);
        self.root.join(path)
    }

    fn open_file(&self, path: &str, access: Access, create: bool) -> Result<Arc<dyn DiskFile>, DiskError> {
        let full = self.resolve(path);
        let mut options = OpenOptions::new();
        options.read(true).write(create || !access.is_read_only()).create_new(create);
        let opened = if access.is_aligned() {
            open_direct(&full, &options, &self.durability)
        } else {
            options.open(&full).map(|file| (file, self.durability.clone()))
        };
        let call = if create { "create" } else { "open" };
        let (file, durability) = opened.map_err(|error| disk_error(call, path, &error))?;
        Ok(Arc::new(OsFile { file, path: path.to_owned(), access, durability }))
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The names in the root, without those that are not data.
fn names(root: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != LOST_AND_FOUND {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Creates a directory and its parents, each durable in its own parent before the next one is made. Answers
/// whether there was something to do.
fn create_directory_durably(path: &Path) -> io::Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_directory_durably(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        outcome => outcome?,
    }
    sync_directory(parent)?;
    Ok(true)
}

impl Disk for OsDisk {
    fn open<'a>(
        &'a self,
        path: &'a str,
        access: Access,
    ) -> BoxFuture<'a, Result<Arc<dyn DiskFile>, DiskError>> {
        Box::pin(async move { self.open_file(path, access, false) })
    }

    fn create<'a>(
        &'a self,
        path: &'a str,
        access: Access,
    ) -> BoxFuture<'a, Result<Arc<dyn DiskFile>, DiskError>> {
        Box::pin(async move { self.open_file(path, access, true) })
    }

    fn create_directory<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move {
            let failed = |error: io::Error| disk_error("create the directory", path, &error);
            if !create_directory_durably(&self.resolve(path)).map_err(failed)? {
                // It may be the work of a process that was killed before it synced the name.
                sync_directory(&self.resolve(parent_directory(path))).map_err(failed)?;
            }
            Ok(())
        })
    }

    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move {
            fs::rename(self.resolve(from), self.resolve(to))
                .map_err(|error| disk_error("rename", from, &error))
        })
    }

    fn unlink<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move {
            fs::remove_file(self.resolve(path)).map_err(|error| disk_error("remove", path, &error))
        })
    }

    fn remove_directory<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move {
            fs::remove_dir(self.resolve(path))
                .map_err(|error| disk_error("remove the directory", path, &error))
        })
    }

    fn list<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Vec<String>, DiskError>> {
        Box::pin(async move {
            match names(&self.resolve(path)) {
                Ok(mut names) => {
                    names.retain(|name| !(path.is_empty() && name == LOCK));
                    Ok(names)
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                Err(error) => Err(disk_error("list", path, &error)),
            }
        })
    }

    fn sync_directory<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move {
            sync_directory(&self.resolve(path))
                .map_err(|error| disk_error("sync the directory", path, &error))
        })
    }

    fn space(&self) -> BoxFuture<'_, Result<DiskSpace, DiskError>> {
        Box::pin(async move {
            let volume = rustix::fs::statvfs(&self.root).map_err(|error| {
                disk_error("measure the volume of", &self.root.display().to_string(), &error.into())
            })?;
            Ok(DiskSpace {
                total: volume.f_blocks.saturating_mul(volume.f_frsize),
                // To unprivileged users: what root may still take is not ours to fill.
                available: volume.f_bavail.saturating_mul(volume.f_frsize),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> DiskError {
        OsDisk::open(path).expect_err("this directory is refused")
    }

    #[test]
    fn a_directory_is_held_by_one_at_a_time() {
        let parent = tempfile::tempdir().expect("tests may write");
        let path = parent.path().join("a/b");
        let first = OsDisk::open(&path).expect("it is created, with its parent");
        let error = refusal(&path);
        assert_eq!(error.kind, DiskErrorKind::Locked);
        let expected = format!(
            "cannot use the data directory {}: process {} is using it",
            path.display(),
            std::process::id()
        );
        assert_eq!(error.to_string(), expected);
        drop(first);
        OsDisk::open(&path).expect("the lock went with its holder");
    }

    #[test]
    fn what_is_not_a_data_directory_is_refused() {
        let parent = tempfile::tempdir().expect("tests may write");
        let file = parent.path().join("file");
        fs::write(&file, "text").expect("tests may write");
        let error = refusal(&file);
        assert_eq!(
            (error.kind, error.reason.as_str()),
            (DiskErrorKind::AlreadyExists, "it is not a directory")
        );

        let error = refusal(parent.path());
        assert_eq!(error.reason, "it holds files, but none of this program's");
        assert!(!parent.path().join(LOCK).exists(), "a refused directory is left as it was");

        fs::write(parent.path().join(LOCK), "someone else's").expect("tests may write");
        assert_eq!(refusal(parent.path()).reason, "its LOCK file is another program's");
        assert_eq!(fs::read(parent.path().join(LOCK)).expect("it is there"), b"someone else's");

        let error = refusal(&file.join("below"));
        assert_eq!(error.kind, DiskErrorKind::Io, "{error}");
    }

    #[test]
    fn a_mounted_volume_counts_as_empty() {
        let parent = tempfile::tempdir().expect("tests may write");
        fs::create_dir(parent.path().join(LOST_AND_FOUND)).expect("tests may write");
        OsDisk::open(parent.path()).expect("a fresh volume is fine");
        // Killed right after it had created the lock file: nothing else can be there yet.
        let parent = tempfile::tempdir().expect("tests may write");
        fs::write(parent.path().join(LOCK), "").expect("tests may write");
        OsDisk::open(parent.path()).expect("an empty lock alone is ours");
    }

    #[test]
    fn the_start_can_say_how_writes_become_durable() {
        let parent = tempfile::tempdir().expect("tests may write");
        let disk = OsDisk::open_without_direct_io(parent.path()).expect("tests may write");
        assert_eq!(disk.durability().to_string(), "plain writes and fdatasync (direct I/O is switched off)");
        drop(disk);
        // Which it is depends on where the tests run; that it can be said does not.
        let disk = OsDisk::open(parent.path()).expect("tests may write");
        match disk.durability() {
            Durability::Direct { alignment } => {
                assert!(alignment.is_power_of_two() && *alignment >= ALIGNMENT);
            }
            Durability::Synced { reason } => assert!(!reason.is_empty()),
        }
    }
}
