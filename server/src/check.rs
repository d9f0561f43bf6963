//! `thalweg check`: whether everything in a data directory that no server uses is as it was written, and belongs together.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use thalweg_catalog::Catalog;
use thalweg_catalog::memory::MemoryCatalog;
use thalweg_journal_disk::{Checked, Damage, Lost, SetAside};
use thalweg_streams::JournalFacts;
use thalweg_system::os::OsDisk;
use thalweg_types::{ShardKey, StreamId, StreamName, Timestamp};

use crate::compose::CATALOG_DIRECTORY;
use crate::config::DATA_DIRECTORY;
use crate::start_error::{StartError, in_one_line};

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The data directory; --data-dir says the same
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The data directory, unless DIR is given
    #[arg(long, value_name = "DIR", env = "THALWEG_DATA_DIR", default_value = DATA_DIRECTORY)]
    data_dir: PathBuf,
    /// Write damaged segments anew without the records that cannot be read, say which these are, and keep the damaged files
    /// in the directory's folder "set-aside"
    #[arg(long)]
    set_aside: bool,
}

/// The names of the streams that the catalog has.
type Names = BTreeMap<StreamId, StreamName>;

/// Reads everything, and prints what there is and what is damaged; whether nothing is. Changes nothing unless damaged
/// segments are to be set aside, which comes first.
///
/// # Errors
/// The directory cannot be locked, is not there, or a server uses it; or damage is more than what can be set aside.
#[allow(clippy::disallowed_methods)] // nothing is made where nothing is
pub(crate) fn run(args: &CheckArgs) -> Result<bool, StartError> {
    let directory = args.directory.as_ref().unwrap_or(&args.data_dir);
    if !directory.is_dir() {
        return Err(StartError::NoDirectory(directory.display().to_string()));
    }
    let disk = OsDisk::open(directory)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without events always starts");
    let failed = |source| StartError::Journal { directory: directory.display().to_string(), source };
    let catalog = match runtime.block_on(thalweg_catalog_disk::check(&disk, CATALOG_DIRECTORY)) {
        Ok(rows) => Ok(rows.map(MemoryCatalog::with_rows)),
        Err(error) => Err(in_one_line(&error)),
    };
    let names = match &catalog {
        // A row that is not understood is told below.
        Ok(Some(catalog)) => runtime.block_on(thalweg_streams::names(catalog)).unwrap_or_default(),
        _ => Names::new(),
    };
    if args.set_aside {
        // What is lost is said before anything else is done: it cannot be found again.
        for one in runtime.block_on(thalweg_journal_disk::set_aside(&disk)).map_err(failed)? {
            print!("{}", lines_of(&one, &names));
        }
        // An error is met again by the next `print!`.
        let _ = std::io::stdout().flush();
    }
    let checked = runtime.block_on(thalweg_journal_disk::check(&disk));
    let compared = catalog.and_then(|catalog| runtime.block_on(compare(catalog.as_ref(), &checked)));
    let mut damage: Vec<String> = compared.err().into_iter().collect();
    damage.extend(checked.damage.iter().map(|damage| line_of(damage, &names)));
    print!("{}", report(directory, &checked, &damage));
    Ok(damage.is_empty())
}

/// Whether catalog and journal belong together.
async fn compare(catalog: Option<&MemoryCatalog>, checked: &Checked) -> Result<(), String> {
    let has_journal = checked.identity.is_some() || !checked.damage.is_empty();
    let catalog = match catalog {
        None if has_journal => {
            return Err(format!("{CATALOG_DIRECTORY} has no catalog, and there is a journal beside it"));
        }
        None => return Ok(()),
        Some(catalog) => catalog,
    };
    if !has_journal && catalog.scan(b"", None, 1).await.is_ok_and(|rows| !rows.is_empty()) {
        return Err(format!("there is no journal, and {CATALOG_DIRECTORY} has a catalog that is in use"));
    }
    let (Some(identity), Some(shards)) = (checked.identity, checked.tails.clone()) else {
        return Ok(());
    };
    let compared = thalweg_streams::check(catalog, &JournalFacts { identity, shards }).await;
    compared.map_err(|error| format!("{CATALOG_DIRECTORY}: {error}"))
}

/// A shard by its stream's name, where that is known.
fn shard_name(shard: ShardKey, names: &Names) -> String {
    match names.get(&shard.stream) {
        Some(name) => format!("{} of {name} ({})", shard.shard, shard.stream),
        None => shard.to_string(),
    }
}

fn time(at: Timestamp) -> String {
    let millis = at.as_millis();
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| at.to_string(), |time| format!("{time:.3}"))
}

/// What was set aside and what is lost with it: `LOST` for scripts.
fn lines_of(one: &SetAside, names: &Names) -> String {
    let mut text = match &one.kept {
        Some(kept) => format!("set aside: {} is kept as {kept}\n", one.file),
        None => format!("set aside: {} is not there\n", one.file),
    };
    for Lost { shard, offsets, arrivals: (first, last) } in &one.lost {
        let (from, to, shard) = (offsets.start, offsets.end - 1, shard_name(*shard, names));
        let (first, last) = (time(*first), time(*last));
        text += &format!("LOST: records {from} to {to} of {shard}, which arrived from {first} to {last}\n");
    }
    text
}

fn line_of(damage: &Damage, names: &Names) -> String {
    let what = &damage.what;
    match &damage.records {
        Some((shard, offsets)) => {
            let (from, to, shard) = (offsets.start, offsets.end - 1, shard_name(*shard, names));
            format!("{what} (records {from} to {to} of {shard})")
        }
        None => what.clone(),
    }
}

/// For people, and the lines that begin with `DAMAGED` for scripts.
fn report(directory: &Path, checked: &Checked, damage: &[String]) -> String {
    let Checked { checkpoint, through, batches, head, shards, segments, chunks, records, bytes, .. } =
        checked;
    let mut text = format!("{}\n", directory.display());
    if checked.identity.is_none() && damage.is_empty() {
        text += "no server has begun to use it\n";
        return text;
    }
    text += &format!("checkpoint {checkpoint} has all batches up to {through}, for {shards} shards\n");
    text += &match checked.is_clean {
        true => "the ring holds nothing newer: the server ended in good order\n".to_owned(),
        false => {
            format!("the ring holds {batches} batches with records or changes behind that, up to {head}\n")
        }
    };
    text += &format!("{segments} segments hold {chunks} chunks of {records} records, {bytes} bytes\n");
    for note in &checked.notes {
        text += &format!("note: {note}\n");
    }
    for damage in damage {
        text += &format!("DAMAGED: {damage}\n");
    }
    text += &match damage.len() {
        0 => "everything checks out\n".to_owned(),
        1 => "1 place is damaged\n".to_owned(),
        count => format!("{count} places are damaged\n"),
    };
    text
}
