//! Standard input, cut into lines on a thread of its own: reading it blocks.

use std::io::{self, BufRead, BufReader, Read};

use thalweg_types::limits::RECORD_BYTES_MAX;
use tokio::sync::mpsc;

use crate::CliError;
use crate::os::run_on_a_thread;

/// How much is read at a time.
const READ_BYTES: usize = 256 * 1024;
/// How many reads may wait for the sender: bounds the memory to some MiB.
const READS_WAITING_MAX: usize = 16;

/// Lines as they came with one read, without their ends; or why there are no more.
pub(crate) type Lines = Result<Vec<Vec<u8>>, CliError>;

/// Starts to read standard input. The channel closes at its end.
pub(crate) fn lines_of_standard_input() -> mpsc::Receiver<Lines> {
    let (sender, receiver) = mpsc::channel(READS_WAITING_MAX);
    run_on_a_thread(move || read_lines(io::stdin().lock(), |lines| sender.blocking_send(lines).is_ok()));
    receiver
}

/// Calls `take` with the whole lines of each read, until the input ends, fails, or `take` says stop. A last line
/// without an end is a line.
fn read_lines(input: impl Read, mut take: impl FnMut(Lines) -> bool) {
    let mut input = BufReader::with_capacity(READ_BYTES, input);
    let mut unfinished: Vec<u8> = Vec::new();
    let mut lines_read = 0u64;
    loop {
        let read = match input.fill_buf() {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                take(Err(CliError::Input(error)));
                return;
            }
        };
        if read.is_empty() {
            if !unfinished.is_empty() {
                take(Ok(vec![unfinished]));
            }
            return;
        }
        let mut lines = Vec::new();
        for piece in read.split_inclusive(|&byte| byte == b'\n') {
            let (text, is_whole) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            if unfinished.len() + text.len() > RECORD_BYTES_MAX {
                take(Ok(lines));
                take(Err(CliError::LineTooLong { line: lines_read + 1, bytes_max: RECORD_BYTES_MAX }));
                return;
            }
            unfinished.extend_from_slice(text);
            if is_whole {
                lines.push(std::mem::take(&mut unfinished));
                lines_read += 1;
            }
        }
        let bytes = read.len();
        input.consume(bytes);
        if !lines.is_empty() && !take(Ok(lines)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &[u8], expected: &[&[u8]]) {
        let mut lines = Vec::new();
        read_lines(input, |read| {
            lines.extend(read.expect("these inputs can be read"));
            true
        });
        assert_eq!(lines, expected, "{:?}", String::from_utf8_lossy(input));
    }

    #[test]
    fn a_line_is_a_record_without_its_end() {
        check(b"", &[]);
        check(b"a\nbc\n", &[b"a", b"bc"]);
        check(b"a\nbc", &[b"a", b"bc"]);
        check(b"\n\na\r\n", &[b"", b"", b"a\r"]);
        check(b"\xff\x00\n", &[b"\xff\x00"]);
    }

    #[test]
    fn lines_longer_than_a_read_are_put_together() {
        let long = vec![b'x'; 3 * READ_BYTES + 1];
        check(&[&long[..], b"\ny\n"].concat(), &[&long, b"y"]);
    }

    #[test]
    fn a_line_that_cannot_be_a_record_ends_the_reading_and_is_named() {
        let input = [b"first\n", &vec![b'x'; RECORD_BYTES_MAX + 1][..], b"\nthird\n"].concat();
        let mut seen = Vec::new();
        read_lines(&input[..], |read| {
            seen.push(read);
            true
        });
        assert!(matches!(seen.pop(), Some(Err(CliError::LineTooLong { line: 2, .. }))));
        let lines: Vec<_> =
            seen.into_iter().flat_map(|read| read.expect("only the last is an error")).collect();
        assert_eq!(lines, [b"first"]);
    }
}
