//! The texts that clients bring back, for fuzzing: iterators and page tokens, which nobody else reads or makes.

use thalweg_types::{Offset, ShardIndex, StreamId, StreamName, Timestamp};

use crate::iterator::{Place, Sealer};
use crate::page_token;

/// What an iterator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iterator {
    /// The stream.
    pub stream: StreamId,
    /// Its shard.
    pub shard: ShardIndex,
    /// The next record.
    pub offset: Offset,
    /// Tells iterators for one place apart.
    pub turn: u16,
    /// What the stream was called.
    pub name: StreamName,
}

/// An iterator's text.
pub fn seal_iterator(secret: &[u8; 32], iterator: &Iterator, now: Timestamp) -> String {
    let Iterator { stream, shard, offset, turn, ref name } = *iterator;
    let token = Sealer::new(secret).seal(Place { stream, shard, offset, turn }, name, now);
    token.as_str().to_owned()
}

/// What an iterator says; `None` when it is none, or too old.
pub fn open_iterator(secret: &[u8; 32], text: &str, now: Timestamp) -> Option<Iterator> {
    let opened = Sealer::new(secret).open(text, now).ok()?;
    let Place { stream, shard, offset, turn } = opened.place;
    let name = StreamName::new(opened.name()).expect("only names are sealed");
    Some(Iterator { stream, shard, offset, turn, name })
}

/// A page token that says this, whatever it is.
pub fn seal_page_token(secret: &[u8; 32], json: &[u8]) -> String {
    page_token::seal_json(secret, json)
}

/// What a page token says, as it would be said anew from `now` on; `None` when it is none.
pub fn open_page_token(secret: &[u8; 32], text: &str, now: Timestamp) -> Option<String> {
    let (position, _) = page_token::open(secret, now, text)?;
    Some(page_token::seal(secret, now, position))
}
