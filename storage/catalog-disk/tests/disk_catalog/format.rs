//! Version 1 of the format, pinned: stored files must open for ever, and the same life writes the same bytes.
//!
//! `cargo test -p thalweg-catalog-disk write_the_fixture -- --ignored` writes the stored files anew: only for a new
//! version, into a folder of its own.

use thalweg_catalog::{Catalog, Condition, Row, Write};
use thalweg_catalog_disk::{FORMAT_VERSION, OpenError, Settings};
use thalweg_system::simulated::SimulatedDisk;

use crate::support::{Machine, SMALL, commit, everything, put};

const VERSION_1: [(&str, &[u8]); 3] = [
    ("meta/log-a", include_bytes!("../fixtures/v1/log-a")),
    ("meta/log-b", include_bytes!("../fixtures/v1/log-b")),
    ("meta/snapshot", include_bytes!("../fixtures/v1/snapshot")),
];

const TINY: Settings = Settings { log_bytes_initial: 4 << 10, log_bytes_doubled_max: 4 << 10, ..SMALL };

/// A life that writes everything the format has: puts, deletes, empty commits, several commits in a batch, a
/// snapshot with rows, confirmations, a second epoch.
fn live() -> Machine {
    let machine = Machine { settings: TINY, ..Machine::new(20_261_120) };
    machine.spawn.block_on(async {
        let catalog = machine.open().await;
        for number in 0..5 {
            commit(&catalog, vec![put(&format!("stream/{number}"), "before the snapshot")]).await;
            machine.spawn.run_until_idle();
        }
        catalog.shutdown().await;
        let catalog = machine.open().await;
        let condition = Condition::Present("stream/0".into());
        let deletes =
            vec![Write::Delete("stream/0".into()), put("stream/1", ""), Write::Delete("none".into())];
        let together = futures_util::future::join3(
            catalog.commit(vec![condition], deletes),
            catalog.commit(Vec::new(), Vec::new()),
            catalog.commit(Vec::new(), vec![Write::Put("\u{0}\u{ff}".into(), vec![0xff, 0].into())]),
        );
        let versions = together.await;
        assert_eq!(versions, (Ok(6), Ok(7), Ok(8)));
        catalog.shutdown().await;
    });
    machine
}

fn expected_rows() -> Vec<Row> {
    let row = |key: &str, value: &[u8], version| Row {
        key: key.to_owned().into(),
        value: value.to_vec().into(),
        version,
    };
    vec![
        row("\u{0}\u{ff}", &[0xff, 0], 8),
        row("stream/1", b"", 6),
        row("stream/2", b"before the snapshot", 3),
        row("stream/3", b"before the snapshot", 4),
        row("stream/4", b"before the snapshot", 5),
    ]
}

fn stored(files: &[(&str, &[u8])]) -> Machine {
    let disk = SimulatedDisk::new();
    for (path, bytes) in files {
        disk.put(path, bytes);
    }
    Machine { settings: TINY, ..Machine::with_disk(1, disk) }
}

#[test]
fn files_of_version_1_open_for_ever() {
    let machine = stored(&VERSION_1);
    machine.spawn.block_on(async {
        let catalog = machine.open().await;
        assert_eq!(everything(&catalog).await, expected_rows());
        assert_eq!(*catalog.watch().borrow(), 8);
        assert_eq!(commit(&catalog, vec![put("next", "1")]).await, 9);
    });
}

#[test]
fn the_bytes_of_version_1_do_not_change() {
    assert_eq!(FORMAT_VERSION, 1, "a new version has stored files of its own");
    let machine = live();
    for (path, bytes) in VERSION_1 {
        assert!(machine.disk.content(path).as_deref() == Some(bytes), "{path} is written in another way");
    }
}

/// Gives a file another version, with a checksum that fits, and expects a refusal.
fn check_newer_version(path: &str, start: usize, end: usize) {
    let machine = stored(&VERSION_1);
    machine.disk.damage(path, |bytes| {
        bytes[start + 8] = 2;
        let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[start + 8..end]);
        let checksum = u32::try_from(checksum).expect("this CRC has 32 bits");
        bytes[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
    });
    match machine.spawn.block_on(machine.try_open()) {
        Err(error @ OpenError::Version { .. }) => {
            assert_eq!(
                error.to_string(),
                format!("{path} has format version 2; this program reads version 1")
            );
        }
        Err(other) => panic!("{path}: {other}"),
        Ok(_) => panic!("{path}: opened"),
    }
}

#[test]
fn a_newer_version_is_refused_by_name() {
    check_newer_version("meta/snapshot", 0, 60);
    check_newer_version("meta/log-a", 0, 512);
    check_newer_version("meta/log-b", 512, 1024);
}

#[test]
#[ignore = "writes the stored files"]
#[allow(clippy::disallowed_methods, reason = "a chore that writes into the source folder")]
fn write_the_fixture() {
    let machine = live();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1");
    std::fs::create_dir_all(folder).expect("the source folder is there");
    for path in machine.disk.files() {
        let name = path.strip_prefix("meta/").expect("the catalog's directory");
        let bytes = machine.disk.content(&path).expect("it is listed");
        std::fs::write(format!("{folder}/{name}"), bytes).expect("the source folder is there");
    }
}
