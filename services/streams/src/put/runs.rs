//! The records of each shard, encoded end to end into one allocation of exactly their length. Data is decoded
//! (or copied) straight from where the request has it; nothing is copied a second time.

use bytes::Bytes;
use thalweg_journal::record::{encode_before_data, encoded_length};
use thalweg_journal::{Append, Run};
use thalweg_types::HashKey;
use thalweg_wire::hot::PutEntry;

pub(super) use thalweg_wire::hot::NotBase64;

use super::route::Routes;
use crate::stream::Stream;

/// What the journal is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Runs(pub(super) Append);

impl Runs {
    /// Of a request's records. Explicit hash keys are in range: routing them found out.
    ///
    /// # Errors
    /// When a blob is not base64.
    pub(super) fn of_request(
        stream: &Stream,
        routes: &Routes,
        records: &[PutEntry<'_>],
    ) -> Result<Runs, NotBase64> {
        Runs::build(
            stream,
            routes,
            |number| {
                let record = &records[number as usize];
                let key_bytes = record.partition_key.map_or(0, str::len);
                encoded_length(key_bytes, record.explicit_hash_key.is_some(), None, record.data.len())
            },
            |number, out| {
                let PutEntry { partition_key, explicit_hash_key, data } = &records[number as usize];
                let explicit_hash_key =
                    explicit_hash_key.map(|text| HashKey::parse(text).expect("routed by it").0);
                encode_before_data(out, *partition_key, explicit_hash_key, None, data.len());
                data.append_to(out)
            },
        )
    }

    /// Of records that are encoded already.
    pub(super) fn again(stream: &Stream, routes: &Routes, encoded: &dyn Fn(u32) -> Bytes) -> Runs {
        Runs::build(
            stream,
            routes,
            |number| encoded(number).len(),
            |number, out| {
                out.extend_from_slice(&encoded(number));
                Ok(())
            },
        )
        .expect("encoded records are copied as they are")
    }

    fn build(
        stream: &Stream,
        routes: &Routes,
        length: impl Fn(u32) -> usize,
        mut append: impl FnMut(u32, &mut Vec<u8>) -> Result<(), NotBase64>,
    ) -> Result<Runs, NotBase64> {
        let length: usize = routes.records().map(length).sum();
        let mut bytes = Vec::with_capacity(length);
        let mut runs = Vec::with_capacity(routes.groups().count());
        for (shard, records) in routes.groups() {
            let start = bytes.len();
            let count = u32::try_from(records.len()).expect("a request has at most 500 records");
            for number in records {
                append(number, &mut bytes)?;
            }
            runs.push(Run::new(stream.key(shard), count, &bytes[start..]));
        }
        assert_eq!(bytes.len(), length, "records are as long as they were expected to be");
        Ok(Runs(Append { runs, bytes: Bytes::from(bytes) }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thalweg_journal::Record;
    use thalweg_journal::record::Records;
    use thalweg_system::simulated::SeededRandom;
    use thalweg_wire::hot::Data;

    use super::super::route::tests::stream;
    use super::*;

    proptest! {
        #[test]
        fn runs_hold_the_records_of_their_shards_and_nothing_else(
            records in prop::collection::vec(
                (any::<Option<String>>(), any::<Option<u128>>(), any::<Vec<u8>>(), any::<bool>()), 1..100),
            shards in 1u32..9,
        ) {
            let stream = stream(shards);
            let texts: Vec<_> = records
                .iter()
                .map(|(_, explicit, data, _)| {
                    (explicit.map(|key| key.to_string()), base64_simd::STANDARD.encode_to_string(data))
                })
                .collect();
            let entries: Vec<_> = records
                .iter()
                .zip(&texts)
                .map(|((key, _, data, encoded), (explicit, text))| PutEntry {
                    partition_key: key.as_deref(),
                    explicit_hash_key: explicit.as_deref(),
                    data: match encoded {
                        true => Data::Base64 { text: text.as_bytes(), length: data.len() },
                        false => Data::Raw(data),
                    },
                })
                .collect();
            let mut routes = Routes::of_request(&stream, &entries, &SeededRandom::new(0)).expect("in range");
            routes.group();
            let Runs(append) = Runs::of_request(&stream, &routes, &entries).expect("good base64");
            let mut start = 0;
            for ((shard, numbers), run) in routes.groups().zip(&append.runs) {
                let bytes = &append.bytes[start..start + run.length as usize];
                start += run.length as usize;
                let count = u32::try_from(numbers.len()).expect("few");
                prop_assert_eq!(run, &Run::new(stream.key(shard), count, bytes));
                for (number, record) in numbers.zip(Records::new(bytes)) {
                    let (key, explicit_hash_key, data, _) = &records[number as usize];
                    let explicit_hash_key = *explicit_hash_key;
                    let expected = Record { partition_key: key.as_deref(), explicit_hash_key, id: None, data };
                    prop_assert_eq!(record, Ok(expected));
                }
            }
            prop_assert_eq!(start, append.bytes.len());

            // What is routed again to the same shards is the same.
            let all: Vec<(u32, Bytes)> = routes
                .records()
                .zip(super::super::place::encoded_records(append.bytes.clone()))
                .collect();
            let decoded = all.iter().map(|(number, bytes)| {
                (*number, Records::new(bytes).next().expect("one record").expect("encoded by us"))
            });
            let again = Routes::again(&stream, decoded, &SeededRandom::new(0));
            prop_assert_eq!(&again, &routes);
            let encoded = |number: u32| {
                all.iter().find(|(known, _)| *known == number).expect("one of them").1.clone()
            };
            prop_assert_eq!(Runs::again(&stream, &again, &encoded), Runs(append));
        }
    }

    #[test]
    fn what_is_not_base64_is_no_run() {
        let stream = stream(1);
        let data = Data::Base64 { text: b"YR==", length: 1 };
        let entries = [PutEntry { partition_key: Some("k"), explicit_hash_key: None, data }];
        let mut routes = Routes::of_request(&stream, &entries, &SeededRandom::new(0)).expect("in range");
        routes.group();
        assert_eq!(Runs::of_request(&stream, &routes, &entries), Err(NotBase64));
    }
}
