//! The hot codecs agree with the ordinary ones: what a scanner reads, the decoder reads alike; what a writer
//! writes is byte for byte what the encoder writes of the same tree.

use bytes::Bytes;
use proptest::prelude::*;
use thalweg_shape::Value;
use thalweg_types::{HashKey, HashKeyRange, SequenceNumber, ShardIndex, Timestamp};
use thalweg_wire::Protocol;
use thalweg_wire::hot::agreement::{GUESSER, SCANNERS, check_agreement, map, normal, optional, text};
use thalweg_wire::hot::{
    ChildShard, PlacedRun, PutRecord, PutRecords, PutResult, Record, RecordsWriter, put_record_answer,
    put_records_answer,
};

const PROTOCOLS: [Protocol; 2] = [Protocol::AwsJson11, Protocol::AwsCbor11];

/// Which of the three scanners take a JSON body.
#[track_caller]
fn check_taken(body: &str, expected: [bool; 3]) {
    check_agreement(Protocol::AwsJson11, body.as_bytes());
    let taken = SCANNERS.map(|scanner| scanner(Protocol::AwsJson11, body.as_bytes()).is_some());
    assert_eq!(taken, expected, "{body}");
}

const PUT_RECORDS: [bool; 3] = [true, false, false];
const PUT_RECORD: [bool; 3] = [false, true, false];
const GET_RECORDS: [bool; 3] = [false, false, true];
const NONE: [bool; 3] = [false; 3];

#[test]
fn what_clients_send_is_taken() {
    check_taken(r#"{"Records":[{"Data":"aGk=","PartitionKey":"a"}],"StreamName":"s"}"#, PUT_RECORDS);
    check_taken(
        r#" { "StreamARN" : "arn" ,"Records"
            : [ {"PartitionKey":"clé","Data":"","ExplicitHashKey":"0"} , { "Data" : "YQ==" } ] } "#,
        PUT_RECORDS,
    );
    check_taken(r#"{"Records":[]}"#, PUT_RECORDS);
    check_taken(r#"{"StreamName":"s","Data":"aGk=","PartitionKey":"k"}"#, PUT_RECORD);
    check_taken(
        r#"{"StreamName":"s","Data":"aGk=","PartitionKey":"k","SequenceNumberForOrdering":"1","ExplicitHashKey":"2"}"#,
        PUT_RECORD,
    );
    check_taken(r#"{"ShardIterator":"AAAA"}"#, GET_RECORDS);
    check_taken(r#"{"ShardIterator":"AAAA","Limit":10000,"StreamARN":"arn"}"#, GET_RECORDS);
    check_taken(r#"{"ShardIterator":"AAAA","Limit":0}"#, GET_RECORDS);
}

#[test]
fn whatever_is_unusual_or_wrong_is_declined() {
    for body in [
        // Nothing, or not what it should be.
        "",
        "{",
        "{}",
        "[]",
        "null",
        r#"{"Records":null,"StreamName":"s"}"#,
        r#"{"Records":{},"StreamName":"s"}"#,
        r#"{"Records":[null]}"#,
        r#"{"Records":[{}]}"#,
        r#"{"Records":["x"]}"#,
        r#"{"Records":[{"Data":1}]}"#,
        r#"{"Records":[{"Data":null}]}"#,
        r#"{"Records":[{"Data":"","PartitionKey":null}]}"#,
        r#"{"Records":[{"Data":"","PartitionKey":1}]}"#,
        r#"{"StreamName":null,"Data":"","PartitionKey":"a"}"#,
        r#"{"StreamName":"s"}"#,
        // Escapes, control characters.
        r#"{"Records":[{"Data":"a\/b=","PartitionKey":"a"}]}"#,
        r#"{"Records":[{"Data":"aGk=","PartitionKey":"a\"b"}]}"#,
        r#"{"Data":"","Partition\u004bey":"a"}"#,
        "{\"Data\":\"\",\"PartitionKey\":\"a\nb\"}",
        // Members that are doubled or not ours.
        r#"{"Records":[],"Records":[]}"#,
        r#"{"Data":"","Data":""}"#,
        r#"{"Data":"","PartitionKey":"a","PartitionKey":"b"}"#,
        r#"{"Records":[{"Data":"","Data":""}]}"#,
        r#"{"Records":[],"DryRun":true}"#,
        r#"{"Data":"","StreamId":"s"}"#,
        r#"{"Data":"","é":"s"}"#,
        // Base64 that is none.
        r#"{"Data":"a"}"#,
        r#"{"Data":"aGk"}"#,
        r#"{"Data":"aGl="}"#,
        r#"{"Data":"===="}"#,
        r#"{"Data":"a==="}"#,
        r#"{"Data":"aa=a"}"#,
        r#"{"Data":"aG k"}"#,
        r#"{"Data":"-_-_"}"#,
        r#"{"Data":"ééé"}"#,
        r#"{"Records":[{"Data":"aGk="},{"Data":"!!!!"}]}"#,
        // Broken JSON.
        r#"{"Data":""}}"#,
        r#"{"Data":""} x"#,
        r#"{"Data":"",}"#,
        r#"{,"Data":""}"#,
        r#"{"Data":"" "PartitionKey":"a"}"#,
        r#"{"Data" "aGk="}"#,
        r#"{"Data":"aGk="#,
        r#"{"Records":[{"Data":""},]}"#,
        r#"{"Records":[,{"Data":""}]}"#,
        r#"{"Records":[{"Data":""}{"Data":""}]}"#,
        // Numbers beyond what the scanner reads.
        r#"{"ShardIterator":"A","Limit":"1"}"#,
        r#"{"ShardIterator":"A","Limit":-1}"#,
        r#"{"ShardIterator":"A","Limit":1.0}"#,
        r#"{"ShardIterator":"A","Limit":1e2}"#,
        r#"{"ShardIterator":"A","Limit":01}"#,
        r#"{"ShardIterator":"A","Limit":9999999999999999999}"#,
        r#"{"ShardIterator":"A","Limit":}"#,
        r#"{"Limit":1}"#,
    ] {
        check_taken(body, NONE);
    }
    assert_eq!(PutRecord::scan(Protocol::AwsJson11, b"{\"Data\":\"\",\"PartitionKey\":\"\xff\"}"), None);
}

#[test]
fn more_records_than_allowed_are_declined() {
    for protocol in PROTOCOLS {
        for (count, taken) in [(500, true), (501, false)] {
            let record = map(vec![("Data", Value::Bytes(Bytes::new()))]);
            let mut body = Vec::new();
            protocol.encode(&map(vec![("Records", Value::List(vec![record; count]))]), &mut body);
            assert_eq!(PutRecords::scan(protocol, &body).is_some(), taken, "{protocol:?} {count}");
        }
    }
}

#[test]
fn cbor_of_any_length_form_is_taken_and_pieces_are_declined() {
    let check = |body: &[u8], taken: bool| {
        check_agreement(Protocol::AwsCbor11, body);
        let found = SCANNERS[1](Protocol::AwsCbor11, body).is_some();
        assert_eq!(found, taken, "{}", String::from_utf8_lossy(body));
    };
    check(b"\xbf\x64Data\x42hi\x6cPartitionKey\x61a\xff", true);
    check(b"\xa2\x64Data\x42hi\x6cPartitionKey\x61a", true);
    check(b"\xb8\x01\x64Data\x58\x02hi", true);
    check(b"\xbf\x64Data\x5f\x41h\x41i\xff\xff", false);
    check(b"\xbf\x64Data\x42hi\x6cPartitionKey\xf6\xff", false);
    check(b"\xbf\x64Data\x62hi\xff", false);
    check(b"\xbf\x64Data\x42hi", false);
    check(b"\xbf\x64Data\x42hi\xff\x00", false);
    check(b"\xa2\x64Data\x42hi", false);
    check(b"\xbf\x64Data\x5b\x80\0\0\0\0\0\0\0\xff", false);
}

#[test]
fn deep_nesting_is_declined_at_once() {
    for depth in [10, 100, 1_000_000] {
        for (head, protocol) in [
            (&b"["[..], Protocol::AwsJson11),
            (b"{\"Records\":[", Protocol::AwsJson11),
            (b"{\"Data\":", Protocol::AwsJson11),
            (b"\x81", Protocol::AwsCbor11),
            (b"\xbf\x67Records\x9f", Protocol::AwsCbor11),
            (b"\xc1", Protocol::AwsCbor11),
        ] {
            let body = head.repeat(depth);
            assert!(SCANNERS.iter().all(|scanner| scanner(protocol, &body).is_none()));
            assert!(protocol.decode(&body).is_err());
        }
    }
}

fn requests() -> impl Strategy<Value = Value> {
    let key = || prop_oneof![4 => "[a-zé0-9/ ]{0,12}", 1 => any::<String>()].prop_map(Value::Text);
    let blob =
        || proptest::collection::vec(any::<u8>(), 0..80).prop_map(|bytes| Value::Bytes(Bytes::from(bytes)));
    let maybe = |value: BoxedStrategy<Value>| prop_oneof![4 => value, 1 => Just(Value::Null)];
    let entry = (blob(), maybe(key().boxed()), maybe(key().boxed()))
        .prop_map(|(data, key, hash)| vec![("Data", data), ("PartitionKey", key), ("ExplicitHashKey", hash)]);
    let stream = (maybe(key().boxed()), maybe(key().boxed()))
        .prop_map(|(name, arn)| vec![("StreamName", name), ("StreamARN", arn)]);
    let put_records =
        (proptest::collection::vec(entry.clone(), 0..6), stream.clone()).prop_map(|(records, stream)| {
            let records = Value::List(records.into_iter().map(map).collect());
            [vec![("Records", records)], stream].concat()
        });
    let put_record = (entry, stream).prop_map(|(entry, stream)| [entry, stream].concat());
    let get_records = (key(), maybe((0i64..1 << 50).prop_map(Value::Integer).boxed()))
        .prop_map(|(iterator, limit)| vec![("ShardIterator", iterator), ("Limit", limit)]);
    prop_oneof![put_records, put_record, get_records].prop_shuffle_members()
}

/// Members come in any order.
trait ShuffleMembers: Strategy<Value = Vec<(&'static str, Value)>> + Sized + 'static {
    fn prop_shuffle_members(self) -> impl Strategy<Value = Value> {
        self.prop_flat_map(|members| Just(members).prop_shuffle()).prop_map(map)
    }
}

impl<S: Strategy<Value = Vec<(&'static str, Value)>> + 'static> ShuffleMembers for S {}

/// A record as JSON, in one of the ways to write it.
fn json_record(data: &str, key: &str, style: usize) -> String {
    match style {
        0 => format!(r#"{{"Data":"{data}","PartitionKey":"{key}"}}"#),
        1 => format!(r#"{{"PartitionKey": "{key}", "Data": "{data}"}}"#),
        2 => format!(r#"{{"Data":"{data}","PartitionKey":"{key}","ExplicitHashKey":"0"}}"#),
        _ => format!(r#"{{ "Data" : "{data}" }}"#),
    }
}

#[test]
fn a_wrong_guess_does_not_decode() {
    let short = json_record("AAAA", "0123456789", 0);
    // As long as the data of three short records and all between them: a quote is where the first record has it.
    let within = format!(r#"AAAA","PartitionKey":"0123456789"}},{short},{{"Data":"AAAA"#);
    assert!(within.len().is_multiple_of(4), "or it is no base64 at first sight");
    let long = json_record(&"x".repeat(within.len()), "0123456789", 0);
    let body = format!(r#"{{"StreamName":"s","Records":[{long},{short},{short},{short},{short}]}}"#);
    let guessed = PutRecords::guess(Protocol::AwsJson11, body.as_bytes()).expect("it looks like that");
    assert_eq!(guessed.records.len(), 3);
    assert!(guessed.records[1].data.check().is_err());
    check_taken(&body, PUT_RECORDS);
}

#[test]
fn records_that_look_alike_are_guessed() {
    for style in 0..4 {
        for protocol in PROTOCOLS {
            let records: Vec<String> = [("AAA=", "k"), ("BBBB", "l"), ("CA==", "\u{7f}")]
                .into_iter()
                .map(|(data, key)| json_record(data, key, style))
                .collect();
            let body = format!(r#"{{"Records":[{}]}}"#, records.join(","));
            let mut encoded = body.clone().into_bytes();
            if protocol == Protocol::AwsCbor11 {
                encoded.clear();
                let tree = normal(Protocol::AwsJson11.decode(body.as_bytes()).expect("it is JSON"));
                protocol.encode(&tree, &mut encoded);
            }
            let scanned = PutRecords::scan(protocol, &encoded);
            assert_eq!(PutRecords::guess(protocol, &encoded), scanned, "{body}");
        }
    }
    // What is no record is none when it looks like one.
    for (data, key) in
        [("====", "k"), ("DD-D", "k"), ("DDDD", "\""), ("DDDD", "\\"), ("DDDD", "\n"), ("D\\/D", "k")]
    {
        for style in 0..2 {
            let records = [json_record("AAAA", "k", style), json_record(data, key, style)];
            let body = format!(r#"{{"Records":[{}]}}"#, records.join(","));
            assert_eq!(GUESSER(Protocol::AwsJson11, body.as_bytes()), None, "{body}");
        }
    }
}

proptest! {
    #[test]
    fn guesses_agree_with_scans(
        records in proptest::collection::vec(
            (prop_oneof![3 => Just(24usize), 1 => 0usize..60], prop_oneof!["[a-z]{4}", "[a-z\"\\\\é]{0,6}"], any::<u8>()),
            0..40,
        ),
        style in 0usize..4,
        another_style in prop::option::weighted(0.2, 0usize..4),
        damage in prop::option::weighted(0.5, (any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let tree = |(length, key, byte): &(usize, String, u8)| {
            map(vec![("Data", Value::Bytes(vec![*byte; *length].into())), ("PartitionKey", text(key))])
        };
        let tree = map(vec![("Records", Value::List(records.iter().map(tree).collect()))]);
        let mut cbor = Vec::new();
        Protocol::AwsCbor11.encode(&tree, &mut cbor);
        let json: Vec<String> = records
            .iter()
            .enumerate()
            .map(|(number, (length, key, byte))| {
                let style = if number % 3 == 2 { another_style.unwrap_or(style) } else { style };
                json_record(&base64_simd::STANDARD.encode_to_string(vec![*byte; *length]), key, style)
            })
            .collect();
        let json = format!(r#"{{"Records":[{}]}}"#, json.join(",")).into_bytes();
        for (protocol, mut body) in [(Protocol::AwsJson11, json), (Protocol::AwsCbor11, cbor)] {
            if let Some((place, byte)) = damage {
                let place = place.index(body.len());
                body[place] = byte;
            }
            let (guessed, scanned) = (GUESSER(protocol, &body), SCANNERS[0](protocol, &body));
            prop_assert!(guessed.is_none() || guessed == scanned, "{}", String::from_utf8_lossy(&body));
            if protocol == Protocol::AwsCbor11 {
                prop_assert_eq!(guessed, scanned);
            }
            check_agreement(protocol, &body);
        }
    }

    #[test]
    fn scanners_agree_with_the_decoder(request in requests()) {
        for protocol in PROTOCOLS {
            let mut body = Vec::new();
            protocol.encode(&request, &mut body);
            check_agreement(protocol, &body);
            let taken = SCANNERS.iter().any(|scanner| scanner(protocol, &body).is_some());
            let escaped = protocol == Protocol::AwsJson11 && body.contains(&b'\\');
            prop_assert!(taken != escaped, "everything is taken but escapes");
        }
    }

    #[test]
    fn scanners_agree_on_damaged_bodies(
        request in requests(), place: prop::sample::Index, damage in 0..4, byte: u8, token: prop::sample::Index,
    ) {
        // Bytes that mean something are likelier to slip through.
        const TOKENS: &[u8] = b"{}[],:\"\\= \nA0\xff\xf6\xbf\x9f\x5f\x7f\x40\x60\xc1";
        for protocol in PROTOCOLS {
            let mut body = Vec::new();
            protocol.encode(&request, &mut body);
            let place = place.index(body.len());
            match damage {
                0 => body.truncate(place),
                1 => body[place] = byte,
                2 => body[place] = TOKENS[token.index(TOKENS.len())],
                _ => body.insert(place, TOKENS[token.index(TOKENS.len())]),
            }
            check_agreement(protocol, &body);
        }
    }

    #[test]
    fn scanners_take_any_bytes(bytes: Vec<u8>) {
        for protocol in PROTOCOLS {
            check_agreement(protocol, &bytes);
        }
    }
}

fn numbers() -> impl Strategy<Value = SequenceNumber> {
    (1_000_000_000i64..16_000_000_000, 0u32..=i32::MAX as u32, 0u64..1 << 60).prop_map(
        |(created, shard, offset)| {
            let created = Timestamp::from_seconds(created);
            SequenceNumber::of_record(created, ShardIndex(shard), offset, created)
        },
    )
}

fn shards() -> impl Strategy<Value = ShardIndex> {
    (0..=i32::MAX as u32).prop_map(ShardIndex)
}

#[derive(Clone, Debug)]
struct OwnedRecord {
    number: SequenceNumber,
    arrival: i64,
    data: Vec<u8>,
    key: Option<String>,
    encrypted: bool,
}

fn records() -> impl Strategy<Value = OwnedRecord> {
    let data = proptest::collection::vec(any::<u8>(), 0..100);
    (numbers(), -5000i64..1 << 45, data, any::<Option<String>>(), any::<bool>()).prop_map(
        |(number, arrival, data, key, encrypted)| OwnedRecord { number, arrival, data, key, encrypted },
    )
}

/// Some follow the one before, as in a run: by their number, by their arrival, or by both.
fn record_lists(most: usize) -> impl Strategy<Value = Vec<OwnedRecord>> {
    proptest::collection::vec((records(), any::<[bool; 2]>()), 0..most).prop_map(|list| {
        let mut done: Vec<OwnedRecord> = Vec::new();
        for (mut record, [follows, arrives_with]) in list {
            if let Some(before) = done.last() {
                let number = before.number;
                if follows && !number.is_shard_end() {
                    let offset = number.offset_after();
                    record.number =
                        SequenceNumber::of_record(number.created(), number.shard(), offset, number.arrival());
                }
                if arrives_with {
                    record.arrival = before.arrival;
                }
            }
            done.push(record);
        }
        done
    })
}

fn children() -> impl Strategy<Value = Vec<(ShardIndex, Vec<ShardIndex>, (u128, u128))>> {
    proptest::collection::vec(
        (shards(), proptest::collection::vec(shards(), 1..3), any::<(u128, u128)>()),
        0..3,
    )
}

fn shard_text(shard: ShardIndex) -> Value {
    Value::Text(shard.to_string())
}

fn number_text(number: SequenceNumber) -> Value {
    Value::Text(number.to_string())
}

fn encryption(encrypted: bool) -> Option<&'static str> {
    encrypted.then_some("KMS")
}

fn record_tree(record: &OwnedRecord) -> Value {
    map(vec![
        ("SequenceNumber", number_text(record.number)),
        ("ApproximateArrivalTimestamp", Value::Timestamp(Timestamp::from_millis(record.arrival))),
        ("Data", Value::Bytes(Bytes::from(record.data.clone()))),
        ("PartitionKey", optional(record.key.as_deref())),
        ("EncryptionType", optional(encryption(record.encrypted))),
    ])
}

fn children_tree(children: &[ChildShard<'_>]) -> Value {
    if children.is_empty() {
        return Value::Null;
    }
    let child = |child: &ChildShard<'_>| {
        let range = vec![
            ("StartingHashKey", Value::Text(child.range.start.to_string())),
            ("EndingHashKey", Value::Text(child.range.end.to_string())),
        ];
        map(vec![
            ("ShardId", shard_text(child.shard)),
            ("ParentShards", Value::List(child.parents.iter().map(|parent| shard_text(*parent)).collect())),
            ("HashKeyRange", map(range)),
        ])
    };
    Value::List(children.iter().map(child).collect())
}

fn content(records: &[OwnedRecord]) -> usize {
    records.iter().map(|record| record.data.len() + record.key.as_ref().map_or(0, String::len)).sum()
}

fn write_records(out: &mut Vec<u8>, protocol: Protocol, records: &[OwnedRecord]) -> RecordsWriter {
    let mut writer = RecordsWriter::open(out, protocol, records.len(), content(records));
    for record in records {
        let record = Record {
            sequence_number: record.number,
            arrival: Timestamp::from_millis(record.arrival),
            data: &record.data,
            partition_key: record.key.as_deref(),
            encryption_type: encryption(record.encrypted),
        };
        writer.record(out, &record);
    }
    writer
}

#[track_caller]
fn check_written(protocol: Protocol, written: &[u8], tree: &Value) {
    let mut expected = Vec::new();
    protocol.encode(tree, &mut expected);
    assert_eq!(String::from_utf8_lossy(written), String::from_utf8_lossy(&expected));
    assert_eq!(written, expected);
}

proptest! {
    #[test]
    fn records_are_written_as_their_tree_is(
        records in record_lists(8),
        next in proptest::option::of("[A-Za-z0-9+/=]{1,512}"),
        continuation in proptest::option::of(numbers()),
        behind: i64,
        children in children(),
    ) {
        let children: Vec<ChildShard<'_>> = children
            .iter()
            .map(|(shard, parents, (start, end))| ChildShard {
                shard: *shard,
                parents,
                range: HashKeyRange { start: HashKey(*start), end: HashKey(*end) },
            })
            .collect();
        for protocol in PROTOCOLS {
            let list = Value::List(records.iter().map(record_tree).collect());
            let mut out = Vec::new();
            write_records(&mut out, protocol, &records).close_get_records(&mut out, next.as_deref(), behind, &children);
            check_written(protocol, &out, &map(vec![
                ("Records", list.clone()),
                ("NextShardIterator", optional(next.as_deref())),
                ("MillisBehindLatest", Value::Integer(behind)),
                ("ChildShards", children_tree(&children)),
            ]));
            out.clear();
            write_records(&mut out, protocol, &records).close_event(&mut out, continuation, behind, &children);
            check_written(protocol, &out, &map(vec![
                ("Records", list),
                ("ContinuationSequenceNumber", continuation.map_or(Value::Null, number_text)),
                ("MillisBehindLatest", Value::Integer(behind)),
                ("ChildShards", children_tree(&children)),
            ]));
        }
    }

    #[test]
    fn put_answers_are_written_as_their_tree_is(
        runs in proptest::collection::vec((numbers(), shards()), 1..5),
        results in proptest::collection::vec(
            (any::<prop::sample::Index>(), prop::option::weighted(0.1, any::<String>()), prop::option::weighted(0.1, 0u32..500)),
            0..60,
        ),
        encrypted: bool,
    ) {
        let runs: Vec<PlacedRun> = runs.iter().map(|(first, shard)| PlacedRun { shard: *shard, first: *first }).collect();
        let code = "ProvisionedThroughputExceededException";
        // One after the other, mostly.
        let mut places = vec![0; runs.len()];
        let hot: Vec<PutResult<'_>> = results
            .iter()
            .map(|(run, failed, jump)| match failed {
                Some(message) => PutResult::Failed { code, message },
                None => {
                    let run = run.index(runs.len());
                    let place = jump.unwrap_or(places[run]);
                    places[run] = place + 1;
                    PutResult::Placed { run: u32::try_from(run).expect("few"), place }
                }
            })
            .collect();
        let failed = results.iter().filter(|(_, failed, _)| failed.is_some()).count();
        for protocol in PROTOCOLS {
            let tree = hot.iter().map(|result| match *result {
                PutResult::Placed { run, place } => {
                    let run = runs[run as usize];
                    assert_eq!(run.number(place).offset_at(), run.first.offset_at() + u64::from(place));
                    map(vec![("SequenceNumber", number_text(run.number(place))), ("ShardId", shard_text(run.shard))])
                }
                PutResult::Failed { code, message } => {
                    map(vec![("ErrorCode", text(code)), ("ErrorMessage", text(message))])
                }
            });
            let mut out = Vec::new();
            put_records_answer(&mut out, protocol, &runs, hot.iter().copied(), encryption(encrypted));
            check_written(protocol, &out, &map(vec![
                ("FailedRecordCount", Value::Integer(i64::try_from(failed).expect("few"))),
                ("Records", Value::List(tree.collect())),
                ("EncryptionType", optional(encryption(encrypted))),
            ]));
            for PlacedRun { shard, first } in &runs {
                out.clear();
                put_record_answer(&mut out, protocol, *shard, *first, encryption(encrypted));
                check_written(protocol, &out, &map(vec![
                    ("ShardId", shard_text(*shard)),
                    ("SequenceNumber", number_text(*first)),
                    ("EncryptionType", optional(encryption(encrypted))),
                ]));
            }
        }
    }

    #[test]
    fn room_is_made_once(records in record_lists(50)) {
        // Keys without escapes: those that need them may cost another allocation.
        let records: Vec<OwnedRecord> =
            records.into_iter().map(|record| OwnedRecord { key: record.key.map(|_| "key".into()), ..record }).collect();
        for protocol in PROTOCOLS {
            let mut out = Vec::new();
            let _ = RecordsWriter::open(&mut out, protocol, records.len(), content(&records));
            let room = out.capacity();
            let mut out = Vec::new();
            write_records(&mut out, protocol, &records).close_get_records(&mut out, Some(&"x".repeat(512)), 1, &[]);
            prop_assert_eq!(out.capacity(), room);
        }
    }
}
