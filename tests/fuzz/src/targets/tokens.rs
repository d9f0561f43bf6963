//! Shard iterators and page tokens: what clients bring back. The first byte chooses: a text that should be one of them,
//! or a page token that says what the input has, sealed.

use thalweg_streams::fuzzing::{Iterator, open_iterator, open_page_token, seal_iterator, seal_page_token};
use thalweg_types::{ShardIndex, StreamId, StreamName, Timestamp};

use super::Target;
use crate::input::Input;

pub(crate) const TARGET: Target = Target { name: "tokens", run, seeds, bytes_max: 1024, mutations: 4000 };

const SECRET: [u8; 32] = [7; 32];
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kind = input.byte() % 3;
    let rest = input.rest();
    match (kind, std::str::from_utf8(rest)) {
        (0, Ok(text)) => {
            let Some(iterator) = open_iterator(&SECRET, text, NOW) else { return };
            let again = seal_iterator(&SECRET, &iterator, NOW);
            assert_eq!(open_iterator(&SECRET, &again, NOW), Some(iterator));
        }
        (1, Ok(text)) => drop(open_page_token(&SECRET, text, NOW)),
        (2, _) => {
            let Some(token) = open_page_token(&SECRET, &seal_page_token(&SECRET, rest), NOW) else { return };
            assert_eq!(open_page_token(&SECRET, &token, NOW).as_ref(), Some(&token), "it says the same");
        }
        _ => {}
    }
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let name = StreamName::new("orders").expect("a good name");
    let iterator = Iterator { stream: StreamId(12), shard: ShardIndex(3), offset: 4567, turn: 1, name };
    let iterator = seal_iterator(&SECRET, &iterator, NOW);
    let json = |json: &str| [&[2], json.as_bytes()].concat();
    vec![
        ("iterator", [&[0], iterator.as_bytes()].concat()),
        ("iterator-quoted", format!("\0\"{iterator}\"").into_bytes()),
        (
            "page",
            [
                &[1],
                seal_page_token(&SECRET, br#"{"made":1700000000000,"position":{"streams":{"after":"s"}}}"#)
                    .as_bytes(),
            ]
            .concat(),
        ),
        ("streams", json(r#"{"made":1700000000000,"position":{"streams":{"after":"s"}}}"#)),
        (
            "shards",
            json(
                r#"{"made":1,"position":{"shards":{"stream":1,"name":"s","after":7,"filter":{"at_timestamp":5},"start":null}}}"#,
            ),
        ),
        ("consumers", json(r#"{"made":-1,"position":{"consumers":{"stream":1,"after":"c"}}}"#)),
    ]
}
