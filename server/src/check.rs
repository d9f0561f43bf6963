//! `thalweg check`: whether everything in a data directory that no server uses is as it was written.

use std::path::{Path, PathBuf};

use thalweg_journal_disk::{Checked, Lost, SetAside};
use thalweg_system::os::OsDisk;

use crate::compose::CATALOG_DIRECTORY;
use crate::config::DATA_DIRECTORY;
use crate::start_error::StartError;

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The data directory
    #[arg(long, value_name = "DIR", env = "THALWEG_DATA_DIR", default_value = DATA_DIRECTORY)]
    data_dir: PathBuf,
    /// Write damaged segments anew without the records that cannot be read, say which these are, and keep the damaged files
    /// in the directory's folder "set-aside"
    #[arg(long)]
    set_aside: bool,
}

/// Reads everything, and prints what there is and what is damaged; whether nothing is. Changes nothing unless damaged
/// segments are to be set aside, which comes first.
///
/// # Errors
/// The directory cannot be read, is not there, or a server uses it; or damage is more than what can be set aside.
#[allow(clippy::disallowed_methods)] // nothing is made where nothing is
pub(crate) fn run(args: &CheckArgs) -> Result<bool, StartError> {
    let directory = &args.data_dir;
    if !directory.is_dir() {
        return Err(StartError::NoDirectory(directory.display().to_string()));
    }
    let disk = OsDisk::open(directory)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without events always starts");
    let failed = |source| StartError::Journal { directory: directory.display().to_string(), source };
    if args.set_aside {
        for one in runtime.block_on(thalweg_journal_disk::set_aside(&disk)).map_err(failed)? {
            print!("{}", lines_of(&one));
        }
    }
    let checked = runtime.block_on(thalweg_journal_disk::check(&disk)).map_err(failed)?;
    let catalog = runtime.block_on(thalweg_catalog_disk::check(&disk, CATALOG_DIRECTORY));
    if let Err(thalweg_catalog_disk::OpenError::Disk(error)) = catalog {
        return Err(error.into());
    }
    let catalog = catalog.err().map(|error| error.to_string());
    print!("{}", report(directory, &checked, catalog.as_deref()));
    Ok(checked.damage.is_empty() && catalog.is_none())
}

/// What was set aside and what is lost with it: `LOST` for scripts.
fn lines_of(one: &SetAside) -> String {
    let mut text = match &one.kept {
        Some(kept) => format!("set aside: {} is kept as {kept}\n", one.file),
        None => format!("set aside: {} is not there\n", one.file),
    };
    for Lost { shard, offsets, arrivals: (first, last) } in &one.lost {
        let (from, to) = (offsets.start, offsets.end - 1);
        text +=
            &format!("LOST: records {from} to {to} of shard {shard}, which arrived from {first} to {last}\n");
    }
    text
}

/// For people, and the lines that begin with `DAMAGED` for scripts.
fn report(directory: &Path, checked: &Checked, catalog: Option<&str>) -> String {
    let Checked { checkpoint, through, batches, head, shards, segments, chunks, records, bytes, .. } =
        checked;
    let mut text = format!("{}\n", directory.display());
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
    let damage: Vec<String> = catalog
        .map(str::to_owned)
        .into_iter()
        .chain(checked.damage.iter().map(ToString::to_string))
        .collect();
    for damage in &damage {
        text += &format!("DAMAGED: {damage}\n");
    }
    text += &match damage.len() {
        0 => "everything checks out\n".to_owned(),
        1 => "1 place is damaged\n".to_owned(),
        count => format!("{count} places are damaged\n"),
    };
    text
}
