//! What a program asked of its disk, in the words of `strace`, with when each call began and ended.
//!
//! ```text
//!  71 1795932357.642440 pwritev2(3<\x2f…>, [{iov_base="\x61…", iov_len=3}], 1, 0, RWF_DSYNC) = 3 <0.000512>
//!  71 1795932357.642995 fdatasync(3<\x2f…> <unfinished ...>
//!  72 1795932357.643001 rename("\x2f…", "\x2f…") = 0 <0.000021>
//!  71 1795932357.643120 <... fdatasync resumed>) = 0 <0.000120>
//! ```
//!
//! Of a whole call the time it took is added to its beginning. A tracer sees the end of a call before the program does,
//! so that what the program says afterwards is later.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

/// Microseconds since 1970, by the machine's clock.
pub(crate) type Micros = u64;

/// The calls that change what a disk holds, or make it durable, or name the files on it.
const CALLS: &str = "openat,pwrite64,pwritev2,fdatasync,fsync,ftruncate,rename,unlink,mkdir,rmdir";
/// No write is longer than this.
const BYTES_SHOWN: &str = "16777216";
/// Not the journal's or the catalog's, and written past the disk's own calls.
const LOCK: &str = "LOCK";

/// A call, with paths relative to the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) began: Micros,
    /// `None` when the program was killed in it.
    pub(crate) ended: Option<Micros>,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Create(String),
    CreateDirectory(String),
    Rename(String, String),
    Unlink(String),
    RemoveDirectory(String),
    SyncDirectory(String),
    Write { path: String, offset: u64, bytes: Vec<u8>, is_durable: bool },
    Sync(String),
    Truncate { path: String, length: u64 },
}

/// `strace` with what [`calls`] understands, into this file; the program and its arguments are to be added.
pub(crate) fn tracer(file: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "--seccomp-bpf", "-ttt", "-T", "-y", "-xx", "-e", "signal=none", "-s", BYTES_SHOWN]);
    command.args(["-e", &format!("trace={CALLS}"), "-o"]).arg(file);
    command
}

/// The calls on files below `root`, by when they ended; those that failed are left out, and those that never ended come
/// last.
///
/// # Panics
/// When the trace is not one of [`tracer`].
pub(crate) fn calls(trace: &Path, root: &Path) -> Vec<Call> {
    let root = format!("{}/", root.to_str().expect("plain names"));
    let mut pending: BTreeMap<String, (Micros, String)> = BTreeMap::new();
    let mut calls = Vec::new();
    let mut lines = BufReader::new(File::open(trace).expect("the tracer has written it"));
    let mut line = String::new();
    while {
        line.clear();
        lines.read_line(&mut line).expect("a trace is plain text") > 0
    } {
        let parts = line.split_once(' ').and_then(|(process, rest)| {
            // Short numbers of processes are padded.
            let (time, rest) = rest.trim().split_once(' ')?;
            Some((process, time, rest))
        });
        let (process, time, rest) = parts.unwrap_or_else(|| panic!("no line of a trace: {}", short(&line)));
        let time = micros(time);
        if rest.starts_with("<... ") && rest.ends_with("= ?") {
            // Killed in a call whose beginning was told.
        } else if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            pending.insert(process.to_owned(), (time, begun.to_owned()));
        } else if let Some(begun) = rest.strip_suffix(" = ?") {
            pending
                .insert(process.to_owned(), (time, begun.trim_end_matches(" <unfinished ...>)").to_owned()));
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let (_, end) = resumed.split_once(" resumed>").expect("it says what is resumed");
            let (began, begun) = pending.remove(process).expect("it was begun");
            calls.extend(call(&(begun + end), &root, began, Some(time)));
        } else if rest.contains('(') {
            let took = rest.rsplit_once('<').map(|(_, took)| micros(took.trim_end_matches('>')));
            let ended = time + took.unwrap_or_else(|| panic!("how long did it take? {}", short(rest)));
            calls.extend(call(rest, &root, time, Some(ended)));
        }
    }
    for (began, begun) in pending.into_values() {
        calls.extend(call(&begun, &root, began, None));
    }
    // Stable: calls of one thread stay in order.
    calls.sort_by_key(|call: &Call| call.ended.unwrap_or(Micros::MAX));
    calls
}

/// The end of a long line.
fn short(line: &str) -> &str {
    &line[line.len().saturating_sub(200)..]
}

/// Seconds with six digits behind the point.
fn micros(text: &str) -> Micros {
    let (seconds, micros) = text.split_once('.').unwrap_or_else(|| panic!("{} is no time", short(text)));
    assert_eq!(micros.len(), 6, "{text} is in microseconds");
    let number = |text: &str| text.parse::<u64>().expect("times are numbers");
    number(seconds) * 1_000_000 + number(micros)
}

/// `None` when it failed, or is none of ours.
fn call(text: &str, root: &str, began: Micros, ended: Option<Micros>) -> Option<Call> {
    let result = match ended {
        None => None,
        Some(_) => {
            let (_, result) =
                text.rsplit_once(") = ").unwrap_or_else(|| panic!("no result in {}", short(text)));
            // A number, and perhaps what it stands for.
            let end = result.find(|one: char| !one.is_ascii_digit()).unwrap_or(result.len());
            Some(result[..end].parse::<u64>().ok()?)
        }
    };
    let (name, arguments) = text.split_once('(').expect("a call has arguments");
    let what = what(name, arguments, root, result)?;
    Some(Call { began, ended, what })
}

fn what(name: &str, arguments: &str, root: &str, result: Option<u64>) -> Option<What> {
    let path = |index| below(&bytes(arguments, '"', '"', index)?, root);
    let opened = || below(&bytes(arguments, '<', '>', 0)?, root);
    let data = || {
        let mut data = bytes(arguments, '"', '"', 0).expect("what is written is shown");
        assert!(!arguments.contains("\"..."), "what is written is shown in full");
        data.truncate(result.map_or(data.len(), |count| count as usize));
        data
    };
    let number = |text: &str| {
        text.parse::<u64>().unwrap_or_else(|_| panic!("{} is no number: {}", short(text), short(arguments)))
    };
    let last = || {
        let arguments = arguments.split(')').next().expect("there is one");
        number(arguments.rsplit(", ").next().expect("there is one"))
    };
    Some(match name {
        "openat" if arguments.contains("O_CREAT") => What::Create(path(0)?),
        "mkdir" => What::CreateDirectory(path(0)?),
        "rename" => What::Rename(path(0)?, path(1)?),
        "unlink" => What::Unlink(path(0)?),
        "rmdir" => What::RemoveDirectory(path(0)?),
        "fsync" => What::SyncDirectory(opened()?),
        "fdatasync" => What::Sync(opened()?),
        "ftruncate" => What::Truncate { path: opened()?, length: last() },
        "pwrite64" => What::Write { path: opened()?, offset: last(), bytes: data(), is_durable: false },
        "pwritev2" => {
            let (_, rest) = arguments.split_once("}], 1, ").expect("it has one part");
            let (offset, flags) = rest.split_once(", ").expect("it has flags");
            let is_durable = flags.starts_with("RWF_DSYNC");
            What::Write { path: opened()?, offset: number(offset), bytes: data(), is_durable }
        }
        _ => return None,
    })
}

/// A path below `root`, which ends with a slash; the root itself is empty.
fn below(path: &[u8], root: &str) -> Option<String> {
    let path = std::str::from_utf8(path).expect("plain names");
    let path = if path.len() + 1 == root.len() {
        root.strip_prefix(path)?.trim_end_matches('/')
    } else {
        path.strip_prefix(root)?
    };
    (path != LOCK).then(|| path.to_owned())
}

/// The `index`th text between these marks, of which each byte is shown as `\x2f`.
fn bytes(arguments: &str, open: char, close: char, index: usize) -> Option<Vec<u8>> {
    let mut rest = arguments;
    for left in (0..=index).rev() {
        let (_, behind) = rest.split_once(open)?;
        let (inside, behind) = behind.split_once(close)?;
        if left == 0 {
            let digits = inside.as_bytes().chunks_exact(4);
            assert!(digits.remainder().is_empty(), "bytes are shown as \\x2f");
            return Some(digits.map(|digits| hex(digits[2]) << 4 | hex(digits[3])).collect());
        }
        rest = behind;
    }
    None
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => panic!("{digit} is no digit"),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn shown(text: &str) -> String {
        text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
    }

    fn check(lines: &[String], expected: &[Call]) {
        let folder = TempDir::new().expect("there is a folder for temporary files");
        let file = folder.path().join("trace");
        std::fs::write(&file, lines.join("\n")).expect("it can be written");
        assert_eq!(calls(&file, Path::new("/d")), expected);
    }

    #[test]
    fn calls_are_told_by_when_they_ended() {
        let file = format!("3<{}>", shown("/d/ring/0"));
        let data = shown("abc");
        let write =
            What::Write { path: "ring/0".to_owned(), offset: 512, bytes: b"abc".to_vec(), is_durable: true };
        check(
            &[
                format!(
                    "7 10.000001 pwritev2({file}, [{{iov_base=\"{data}\", iov_len=3}}], 1, 512, RWF_DSYNC <unfinished ...>"
                ),
                format!("8    10.000002 fsync(4<{}>) = 0 <0.000002>", shown("/d")),
                "7 10.000009 <... pwritev2 resumed>) = 3 <0.000008>".to_owned(),
                "9 11.000000 +++ exited with 0 +++".to_owned(),
            ],
            &[
                Call { began: 10_000_002, ended: Some(10_000_004), what: What::SyncDirectory(String::new()) },
                Call { began: 10_000_001, ended: Some(10_000_009), what: write },
            ],
        );
    }

    #[test]
    fn what_failed_or_lies_elsewhere_is_left_out_and_what_never_ended_is_last() {
        let open = |path: &str, end: &str| {
            format!(
                "7 10.000001 openat(AT_FDCWD<{}>, \"{}\", O_RDWR|O_CREAT|O_EXCL, 0666{end}",
                shown("/"),
                shown(path)
            )
        };
        let file = format!("3<{}>", shown("/d/seg/1"));
        check(
            &[
                open("/d/a", ") = -1 EEXIST (File exists) <0.000002>"),
                open("/d/LOCK", ") = 5 <0.000002>"),
                open("/etc/b", ") = 5 <0.000002>"),
                open("/d/c", " <unfinished ...>"),
                format!("8 10.000003 pwrite64({file}, \"{}\", 3, 40) = 2 <0.000001>", shown("abc")),
                format!("8 10.000005 ftruncate({file}, 77) = 0 <0.000001>"),
                format!("8 10.000007 rename(\"{}\", \"{}\") = 0 <0.000001>", shown("/d/x"), shown("/d/y")),
                format!("9 10.000009 fdatasync({file}) = ?"),
                "7 11.000000 +++ killed by SIGKILL +++".to_owned(),
            ],
            &[
                Call {
                    began: 10_000_003,
                    ended: Some(10_000_004),
                    what: What::Write {
                        path: "seg/1".to_owned(),
                        offset: 40,
                        bytes: b"ab".to_vec(),
                        is_durable: false,
                    },
                },
                Call {
                    began: 10_000_005,
                    ended: Some(10_000_006),
                    what: What::Truncate { path: "seg/1".to_owned(), length: 77 },
                },
                Call {
                    began: 10_000_007,
                    ended: Some(10_000_008),
                    what: What::Rename("x".to_owned(), "y".to_owned()),
                },
                Call { began: 10_000_001, ended: None, what: What::Create("c".to_owned()) },
                Call { began: 10_000_009, ended: None, what: What::Sync("seg/1".to_owned()) },
            ],
        );
    }
}
