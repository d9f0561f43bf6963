//! Event streams: `application/vnd.amazon.eventstream`, a sequence of frames.
//!
//! ```text
//!  0        4          8          12         12+h              n-4        n
//!  +--------+----------+----------+----------+-----------------+----------+
//!  | n, u32 | h, u32   | CRC32 of | headers, | payload,        | CRC32 of |
//!  |        |          | 0..8     | h bytes  | n - h - 16      | 0..n-4   |
//!  +--------+----------+----------+----------+-----------------+----------+
//!  header: name length u8, name, type u8 (7 = text), value length u16, value
//! ```
//!
//! Numbers are big-endian. Payloads are in the protocol of the call; see facts/aws-apis.md 2.9.

mod decode;
mod encode;

pub use decode::{Frame, FrameError, decode};
pub use encode::{OpenFrame, error, event, exception, initial_response};

/// The Content-Type of an answer that is an event stream.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// The largest frame that clients take: botocore's and the Java SDK's limit, 24 MiB. Our largest event (10 MiB of
/// data in base64, names and numbers) is below it.
pub const FRAME_BYTES_MAX: usize = 24 * 1024 * 1024;

/// Two lengths and their checksum.
const PRELUDE: usize = 12;
/// The checksum at the end.
const TRAILER: usize = 4;
/// A header whose value is text.
const KIND_TEXT: u8 = 7;

fn crc32(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes) as u32
}
