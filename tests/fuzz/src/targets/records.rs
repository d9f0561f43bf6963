//! Records as they lie on disk: a run's bytes, read one record after the other.

use thalweg_journal::Record;
use thalweg_journal::record::Records;

use super::Target;

pub(crate) const TARGET: Target = Target { name: "records", run, seeds, bytes_max: 1024, mutations: 4000 };

fn run(bytes: &[u8]) {
    let mut records = Records::new(bytes);
    loop {
        let start = records.position();
        let Some(Ok(record)) = records.next() else { break };
        let mut again = Vec::new();
        record.encode(&mut again);
        let read = Records::new(&again).next().expect("there is one").expect("it was just written");
        assert_eq!(read, record);
        assert!(records.position() > start, "each takes some bytes");
    }
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut bytes = Vec::new();
    for record in [
        Record { partition_key: Some("key"), explicit_hash_key: None, id: None, data: b"some data" },
        Record {
            partition_key: Some("\u{1f30a}"),
            explicit_hash_key: Some(1 << 100),
            id: Some(b"id"),
            data: b"",
        },
        Record { partition_key: None, explicit_hash_key: None, id: None, data: b"x" },
    ] {
        record.encode(&mut bytes);
    }
    vec![("three", bytes)]
}
