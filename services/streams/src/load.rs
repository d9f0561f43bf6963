//! What a start makes of the catalog and the journal before it changes anything, and what it refuses. `thalweg check`
//! asks the same.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use thalweg_catalog::{Catalog, CatalogError, Row, Version};
use thalweg_journal::Tail;
use thalweg_types::{ConsumerName, ShardIndex, ShardKey, StreamId, StreamName};

use crate::change::ChangeKind;
use crate::consumer::Consumers;
use crate::rows::{self, AccountRow, ConsumerRow, ShardRow, StreamRow};
use crate::service::OpenError;
use crate::shard_map::Shard;
use crate::stream::Stream;

/// Rows that one scan of the catalog takes.
const SCAN_ROWS: usize = 1000;

/// A journal as the catalog may know it.
pub struct JournalFacts {
    /// [`thalweg_journal::Journal::identity`].
    pub identity: u64,
    /// [`thalweg_journal::Journal::shards`].
    pub shards: Vec<(ShardKey, Tail)>,
}

/// What a start would refuse of a catalog and a journal that no server uses; nothing is changed.
///
/// # Errors
/// As [`crate::Streams::open`], but for what only a write can tell.
pub async fn check(catalog: &dyn Catalog, journal: &JournalFacts) -> Result<(), OpenError> {
    load(catalog, journal).await.map(drop)
}

/// The names of the streams in a catalog, whatever journal is beside it.
///
/// # Errors
/// When the catalog does not answer, or a row is not understood.
pub async fn names(catalog: &dyn Catalog) -> Result<BTreeMap<StreamId, StreamName>, OpenError> {
    Ok(streams(catalog).await?.into_iter().map(|(stream, _)| (stream.id, stream.name)).collect())
}

/// What a start begins with.
pub(crate) struct Loaded {
    /// The account's row and the commit that wrote it; `None` before the first start has made it.
    pub(crate) account: Option<(AccountRow, Version)>,
    /// Every stream, with the commit that wrote its row.
    pub(crate) streams: Vec<(Stream, Version)>,
    /// Streams that only the journal has: the catalog has forgotten them, and they are to be removed.
    pub(crate) forgotten: Vec<StreamId>,
}

/// Reads the catalog and compares it with the journal.
///
/// # Errors
/// When the catalog does not answer, a row is not understood, or the two do not belong together.
pub(crate) async fn load(catalog: &dyn Catalog, journal: &JournalFacts) -> Result<Loaded, OpenError> {
    let account = account(catalog, journal).await?;
    let streams = streams(catalog).await?;
    let forgotten = match &account {
        Some((account, _)) => compare(streams.iter().map(|(stream, _)| stream), account, journal)?,
        // The row is made before the first stream.
        None if !streams.is_empty() => {
            return Err(rows::bad_row(rows::ACCOUNT, "it is missing, and there are streams"));
        }
        None => Vec::new(),
    };
    Ok(Loaded { account, streams, forgotten })
}

async fn account(
    catalog: &dyn Catalog,
    journal: &JournalFacts,
) -> Result<Option<(AccountRow, Version)>, OpenError> {
    let Some(row) = catalog.get(rows::ACCOUNT).await? else {
        return match journal.shards.first() {
            Some((shard, _)) => Err(OpenError::ForeignJournal(shard.stream)),
            None => Ok(None),
        };
    };
    let account: AccountRow = rows::decode(&row)?;
    match account.journal()? {
        Some(known) if known != journal.identity => Err(OpenError::OtherJournal),
        _ => Ok(Some((account, row.version))),
    }
}

async fn streams(catalog: &dyn Catalog) -> Result<Vec<(Stream, Version)>, OpenError> {
    let mut streams = Vec::new();
    for row in scan(catalog, rows::STREAMS).await? {
        let id = id_in(&row.key, rows::STREAMS).map(StreamId);
        let id = id.ok_or_else(|| rows::bad_row(&row.key, "the id in the key is malformed"))?;
        let stream: StreamRow = rows::decode(&row)?;
        let shards = shards(catalog, id).await?;
        let consumers = consumers(catalog, id).await?;
        let stream = stream
            .into_stream(id, shards, consumers)
            .ok_or_else(|| rows::bad_row(&row.key, "it has a value that no version knows"))?;
        streams.push((stream, row.version));
    }
    Ok(streams)
}

async fn shards(catalog: &dyn Catalog, stream: StreamId) -> Result<Vec<Shard>, OpenError> {
    let prefix = rows::shards_prefix(stream);
    let mut shards = Vec::new();
    for row in scan(catalog, &prefix).await? {
        let index = id_in(&row.key, &prefix).and_then(|index| u32::try_from(index).ok()).map(ShardIndex);
        let shard: ShardRow = rows::decode(&row)?;
        let shard = index.and_then(|index| shard.into_shard(index));
        shards.push(shard.ok_or_else(|| rows::bad_row(&row.key, "the index or a hash key is malformed"))?);
    }
    Ok(shards)
}

async fn consumers(catalog: &dyn Catalog, stream: StreamId) -> Result<Consumers, OpenError> {
    let prefix = rows::consumers_prefix(stream);
    let mut consumers = Consumers::new();
    for row in scan(catalog, &prefix).await? {
        let name = std::str::from_utf8(&row.key[prefix.len()..]).ok();
        let name = name.and_then(|name| ConsumerName::new(name).ok());
        let consumer: ConsumerRow = rows::decode(&row)?;
        let consumer = name.and_then(|name| consumer.into_consumer(name));
        let consumer =
            consumer.ok_or_else(|| rows::bad_row(&row.key, "the name or the change is malformed"))?;
        consumers.insert(consumer.name.clone(), consumer);
    }
    Ok(consumers)
}

/// Every row whose key begins with `prefix`.
///
/// # Errors
/// When the catalog does not answer.
pub(crate) async fn scan(catalog: &dyn Catalog, prefix: &[u8]) -> Result<Vec<Row>, CatalogError> {
    let mut found: Vec<Row> = Vec::new();
    loop {
        let after = found.last().map(|row| row.key.clone());
        let page = catalog.scan(prefix, after.as_deref(), SCAN_ROWS).await?;
        let is_last = page.len() < SCAN_ROWS;
        found.extend(page);
        if is_last {
            return Ok(found);
        }
    }
}

/// Gives the streams that only the journal has. Ids that the catalog never gave are somebody else's.
fn compare<'a>(
    streams: impl Iterator<Item = &'a Stream> + Clone,
    account: &AccountRow,
    journal: &JournalFacts,
) -> Result<Vec<StreamId>, OpenError> {
    let in_journal: FxHashMap<ShardKey, &Tail> =
        journal.shards.iter().map(|(shard, tail)| (*shard, tail)).collect();
    let mut unknown: BTreeSet<StreamId> = in_journal.keys().map(|shard| shard.stream).collect();
    for stream in streams.clone() {
        unknown.remove(&stream.id);
    }
    if let Some(foreign) = unknown.iter().find(|id| id.0 >= account.next_stream) {
        return Err(OpenError::ForeignJournal(*foreign));
    }
    for stream in streams.filter(|stream| is_in_journal(stream)) {
        if !stream.shards.covers_all() {
            let key = rows::stream_key(stream.id);
            return Err(rows::bad_row(&key, "its open shards do not cover the hash space once"));
        }
        if let Some(missing) =
            stream.shards.open().find(|shard| !in_journal.contains_key(&stream.key(shard.index)))
        {
            let stream = stream.name.to_string();
            return Err(OpenError::ShardMissing { stream, shard: missing.index });
        }
        let kind = stream.change.as_ref().map(|change| change.kind);
        if matches!(kind, None | Some(ChangeKind::Settle)) {
            check_not_behind(stream, &in_journal)?;
        }
    }
    Ok(unknown.into_iter().collect())
}

/// Whether all of a stream's open shards must be in the journal: it is neither in the making nor being deleted.
pub(crate) fn is_in_journal(stream: &Stream) -> bool {
    let kind = stream.change.as_ref().map(|change| change.kind);
    !matches!(kind, Some(ChangeKind::Create { .. } | ChangeKind::Delete))
}

/// Whether the journal did something to the stream that the catalog does not know of, although nothing is under way.
fn check_not_behind(stream: &Stream, in_journal: &FxHashMap<ShardKey, &Tail>) -> Result<(), OpenError> {
    let behind = |shard, what| OpenError::CatalogBehind { stream: stream.name.to_string(), shard, what };
    if let Some(closed) = stream.shards.open().find(|shard| in_journal[&stream.key(shard.index)].sealed) {
        return Err(behind(closed.index, "closed"));
    }
    let next = stream.key(ShardIndex(stream.shards.next_index()));
    let opened = in_journal.keys().filter(|shard| shard.stream == next.stream && **shard >= next).min();
    opened.map_or(Ok(()), |opened| Err(behind(opened.shard, "opened")))
}

/// The hexadecimal number that follows `prefix` in a key.
fn id_in(key: &[u8], prefix: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(key.strip_prefix(prefix)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}
