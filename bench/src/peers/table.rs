//! The peers: pinned versions, how they are had, and their command lines at their best documented settings. Starting
//! them is [`super::subject`]'s.
//!
//! In commands, `{here}` is where the peer is installed, `{dir}` an empty folder for its data, `{port}` the port that
//! is measured and `{spare}` another free one.

/// A program that speaks the Kinesis API.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) source: Source,
    /// The program, and what comes before the arguments of a [`Mode`].
    pub(crate) program: &'static [&'static str],
    /// A file that is there when it is installed.
    pub(crate) proof: &'static str,
    pub(crate) modes: &'static [Mode],
}

/// The package manager that has it, and its name there.
pub(crate) enum Source {
    Npm(&'static str),
    PyPi(&'static str),
    Cargo(&'static str),
}

/// One way to run it.
pub(crate) struct Mode {
    /// What tells it from the others of the same peer: `in memory`.
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static [&'static str],
    pub(crate) variables: &'static [(&'static str, &'static str)],
    pub(crate) durability: &'static str,
    /// A put costs more the more the server holds, so much that warming it up would be held against it.
    pub(crate) slows_down: bool,
}

/// Nothing is kept.
pub(crate) const IN_MEMORY: &str = "none: in memory";
/// As durable as this project's server.
pub(crate) const SYNCED: &str = "durable: synced to the device before the answer";
/// It survives the end of the process, not that of the machine.
const WRITTEN: &str =
    "written to files before the answer, not synced: a crash of the machine loses answered records";
/// In memory, copied to a file from time to time.
const FROM_TIME_TO_TIME: &str =
    "in memory, all of it written to a file every 5 seconds: a crash loses answered records";

/// Node's default heap would end them before the memory bound of [`super::load`] does.
const NODE_HEAP: (&str, &str) = ("NODE_OPTIONS", "--max-old-space-size=7168");

pub(crate) const PEERS: &[Peer] = &[
    Peer {
        name: "kinesalite",
        version: "3.3.3",
        source: Source::Npm("kinesalite"),
        program: &["node", "{here}/node_modules/kinesalite/cli.js"],
        proof: "node_modules/kinesalite/cli.js",
        modes: &[
            Mode {
                name: "in memory",
                arguments: &["--port", "{port}", "--createStreamMs", "0", "--shardLimit", "1000"],
                variables: &[NODE_HEAP],
                durability: IN_MEMORY,
                slows_down: false,
            },
            Mode {
                name: "LevelDB",
                arguments: &[
                    "--port",
                    "{port}",
                    "--createStreamMs",
                    "0",
                    "--shardLimit",
                    "1000",
                    "--path",
                    "{dir}/leveldb",
                ],
                variables: &[NODE_HEAP],
                durability: WRITTEN,
                slows_down: false,
            },
        ],
    },
    Peer {
        name: "kinesis-mock",
        version: "0.6.2",
        source: Source::Npm("kinesis-local"),
        program: &["node", "{here}/node_modules/kinesis-local/main.js"],
        proof: "node_modules/kinesis-local/main.js",
        modes: &[
            Mode {
                name: "in memory",
                arguments: &[],
                variables: &[
                    ("KINESIS_MOCK_PLAIN_PORT", "{port}"),
                    ("KINESIS_MOCK_TLS_PORT", "{spare}"),
                    ("KINESIS_MOCK_CERT_PATH", "{here}/node_modules/kinesis-local/server.json"),
                    ("CREATE_STREAM_DURATION", "0s"),
                    ("SHARD_LIMIT", "1000"),
                    ("LOG_LEVEL", "ERROR"),
                    NODE_HEAP,
                ],
                durability: IN_MEMORY,
                slows_down: false,
            },
            Mode {
                name: "persisting",
                arguments: &[],
                variables: &[
                    ("KINESIS_MOCK_PLAIN_PORT", "{port}"),
                    ("KINESIS_MOCK_TLS_PORT", "{spare}"),
                    ("KINESIS_MOCK_CERT_PATH", "{here}/node_modules/kinesis-local/server.json"),
                    ("CREATE_STREAM_DURATION", "0s"),
                    ("SHARD_LIMIT", "1000"),
                    ("LOG_LEVEL", "ERROR"),
                    ("SHOULD_PERSIST_DATA", "true"),
                    ("PERSIST_PATH", "{dir}/state"),
                    ("PERSIST_INTERVAL", "5s"),
                    NODE_HEAP,
                ],
                durability: FROM_TIME_TO_TIME,
                slows_down: false,
            },
        ],
    },
    Peer {
        name: "moto server",
        version: "5.2.5",
        source: Source::PyPi("moto[server]"),
        program: &["{here}/bin/moto_server"],
        proof: "bin/moto_server",
        modes: &[Mode {
            name: "in memory",
            arguments: &["--host", "127.0.0.1", "--port", "{port}"],
            variables: &[],
            durability: IN_MEMORY,
            slows_down: false,
        }],
    },
    Peer {
        name: "ministack",
        version: "1.5.33",
        source: Source::PyPi("ministack"),
        program: &["{here}/bin/ministack"],
        proof: "bin/ministack",
        // Its PERSIST_STATE saves at a clean shutdown only: the same server while it runs.
        modes: &[Mode {
            name: "in memory",
            arguments: &[],
            variables: &[
                ("GATEWAY_PORT", "{port}"),
                ("BIND_HOST", "127.0.0.1"),
                ("IOT_MTLS_ENABLED", "0"),
                ("LOG_LEVEL", "ERROR"),
                ("TMPDIR", "{dir}"),
            ],
            durability: IN_MEMORY,
            slows_down: false,
        }],
    },
    Peer {
        name: "ferrokinesis",
        version: "0.7.0",
        source: Source::Cargo("ferrokinesis"),
        program: &["{here}/bin/ferrokinesis"],
        proof: "bin/ferrokinesis",
        modes: &[
            Mode {
                name: "in memory",
                arguments: &[
                    "--port",
                    "{port}",
                    "--create-stream-ms",
                    "0",
                    "--shard-limit",
                    "1000",
                    "--log-level",
                    "off",
                ],
                variables: &[],
                durability: IN_MEMORY,
                slows_down: false,
            },
            Mode {
                name: "durable",
                arguments: &[
                    "--port",
                    "{port}",
                    "--create-stream-ms",
                    "0",
                    "--shard-limit",
                    "1000",
                    "--log-level",
                    "off",
                    "--state-dir",
                    "{dir}/state",
                    // Snapshots come on top of a log that has everything already.
                    "--snapshot-interval-secs",
                    "0",
                ],
                variables: &[],
                durability: SYNCED,
                // Each put writes everything that is held to the log again.
                slows_down: true,
            },
        ],
    },
];

/// Known peers that cannot be measured, and why.
pub(crate) const UNAVAILABLE: &[(&str, &str)] =
    &[("LocalStack", "its container does not start without the token of an account")];
