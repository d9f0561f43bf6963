//! What the figures were measured on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

/// The machine and the checkout.
#[derive(Serialize)]
pub(crate) struct Machine {
    /// Year, month, day, in UTC.
    pub(crate) date: String,
    /// The checkout's commit; with `+` when files differ from it.
    pub(crate) commit: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// That of the folder with the data of what is measured: `ext4`.
    pub(crate) file_system: String,
}

impl Machine {
    /// Reads it; what cannot be read is empty. `data`: the folder with the data of what is measured.
    pub(crate) fn read(data: &Path) -> Machine {
        let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = information.lines().find_map(|line| {
            line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name.to_owned())
        });
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let changed = !output("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        let commit = output("git", &["rev-parse", "--short=12", "HEAD"]);
        Machine {
            date: output("date", &["-u", "+%Y-%m-%d"]),
            commit: if changed { commit + "+" } else { commit },
            processor: processor.unwrap_or_default(),
            // Not those that this program may use: it is pinned to one.
            cores: information.lines().filter(|line| line.starts_with("processor")).count(),
            memory_gib: kib.unwrap_or(0).div_ceil(1 << 20),
            kernel: output("uname", &["-sr"]),
            file_system: file_system(data).unwrap_or_default(),
        }
    }
}

/// What kind of file system a folder is on.
fn file_system(folder: &Path) -> Option<String> {
    let folder = fs::canonicalize(folder).ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounted(&mounts, &folder).map(str::to_owned)
}

/// The type of the deepest mount above a folder; of those at the same place, the last covers the others.
fn mounted<'a>(mounts: &'a str, folder: &Path) -> Option<&'a str> {
    let mut deepest: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        // Device, place, type, options; blanks in a place are written as `\040`.
        let mut fields = line.split(' ').skip(1);
        let (Some(place), Some(kind)) = (fields.next(), fields.next()) else { continue };
        let place = PathBuf::from(place.replace("\\040", " "));
        let depth = place.components().count();
        if folder.starts_with(&place) && deepest.is_none_or(|(known, _)| depth >= known) {
            deepest = Some((depth, kind));
        }
    }
    deepest.map(|(_, kind)| kind)
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_has_the_folder() {
        const MOUNTS: &str = "/dev/vda / ext4 rw,relatime 0 0\n\
             tmpfs /tmp tmpfs rw 0 0\n\
             /dev/vdb /mnt/a\\040disk xfs rw 0 0\n\
             /dev/vdc /tmp btrfs rw 0 0\n";
        #[track_caller]
        fn check(folder: &str, kind: &str) {
            assert_eq!(mounted(MOUNTS, Path::new(folder)), Some(kind));
        }
        check("/", "ext4");
        check("/tmpfile", "ext4");
        check("/tmp/data", "btrfs");
        check("/mnt/a disk/data", "xfs");
        check("/mnt", "ext4");
        assert_eq!(mounted("", Path::new("/tmp")), None);
    }
}
