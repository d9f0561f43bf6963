//! Every setting of `thalweg serve`, once: the same definition makes the flag, the environment variable and the key
//! of the configuration file. All are optional here; [`super`] puts the three together and adds the defaults.

use std::path::PathBuf;

use serde::Deserialize;

use super::values::{Account, ByteSize, Delay, ListenAddress, LogLevel, NewStream, Percent, Region, Threads};

/// What `thalweg serve` takes on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Read settings from a TOML file, whose keys are the names of these flags
    #[arg(long, value_name = "FILE", env = "THALWEG_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// For tests of this program: files so small that all that can happen to them happens within seconds
    #[arg(long, hide = true)]
    pub(crate) small_files: bool,
    #[command(flatten)]
    pub(crate) options: Options,
}

/// Which of AWS's limits are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LimitsChoice {
    /// Only what protects the server: shapes, sizes, the shard limit
    None,
    /// Request rates, shard throughput and resource counts too, each with AWS's error
    Aws,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

/// The settings, each as given or not given in one place.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Options {
    /// The address and port to listen on; port 0 picks a free one and prints it [default: 127.0.0.1:4567]
    #[arg(long, value_name = "ADDRESS:PORT", env = "THALWEG_LISTEN", hide_env_values = true)]
    pub(crate) listen: Option<ListenAddress>,

    /// Listen on an address that other machines can reach, although there is no access control
    #[arg(long, value_name = "true|false", env = "THALWEG_INSECURE", hide_env_values = true,
          num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) insecure: Option<bool>,

    /// Where the data is; made if it is not there [default: ./thalweg-data]
    #[arg(
        long,
        value_name = "DIRECTORY",
        env = "THALWEG_DATA_DIR",
        hide_env_values = true,
        help_heading = "Storage"
    )]
    pub(crate) data_dir: Option<PathBuf>,

    /// Keep everything in memory and nothing after the end
    #[arg(long, value_name = "true|false", env = "THALWEG_EPHEMERAL", hide_env_values = true,
          help_heading = "Storage",
          num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) ephemeral: Option<bool>,

    /// Refuse puts while less than this part of the volume is free, in percent [default: 5]
    #[arg(
        long,
        value_name = "PERCENT",
        env = "THALWEG_DISK_RESERVE",
        hide_env_values = true,
        help_heading = "Storage"
    )]
    pub(crate) disk_reserve: Option<Percent>,

    /// Refuse puts while more than this waits to be moved from the write-ahead ring to segments; it bounds memory
    /// and the time a start takes [default: 256MiB]
    #[arg(
        long,
        value_name = "BYTES",
        env = "THALWEG_UNDRAINED_BYTES",
        hide_env_values = true,
        help_heading = "Storage"
    )]
    pub(crate) undrained_bytes: Option<ByteSize>,

    /// Memory for the newest records, from which readers that keep up are served [default: 64MiB]
    #[arg(
        long,
        value_name = "BYTES",
        env = "THALWEG_TAIL_CACHE",
        hide_env_values = true,
        help_heading = "Storage"
    )]
    pub(crate) tail_cache: Option<ByteSize>,

    /// Memory for older records read from disk [default: 32MiB]
    #[arg(
        long,
        value_name = "BYTES",
        env = "THALWEG_CHUNK_CACHE",
        hide_env_values = true,
        help_heading = "Storage"
    )]
    pub(crate) chunk_cache: Option<ByteSize>,

    /// With --ephemeral: refuse puts while records take more memory than this [default: 1GiB]
    #[arg(
        long,
        value_name = "BYTES",
        env = "THALWEG_EPHEMERAL_BYTES",
        hide_env_values = true,
        help_heading = "Storage"
    )]
    pub(crate) ephemeral_bytes: Option<ByteSize>,

    /// The region in ARNs [default: us-east-1]
    #[arg(
        long,
        value_name = "REGION",
        env = "THALWEG_REGION",
        hide_env_values = true,
        help_heading = "Kinesis"
    )]
    pub(crate) region: Option<Region>,

    /// The account in ARNs: twelve digits [default: 000000000000]
    #[arg(
        long,
        value_name = "ACCOUNT",
        env = "THALWEG_ACCOUNT",
        hide_env_values = true,
        help_heading = "Kinesis"
    )]
    pub(crate) account: Option<Account>,

    /// Create a stream at the start unless there is one of that name; may be repeated [default shards: 1]
    #[arg(
        long,
        value_name = "NAME[:SHARDS]",
        env = "THALWEG_CREATE_STREAM",
        hide_env_values = true,
        help_heading = "Kinesis",
        value_delimiter = ','
    )]
    pub(crate) create_stream: Option<Vec<NewStream>>,

    /// Which of AWS's limits to keep [default: none]
    #[arg(
        long,
        value_name = "WHICH",
        env = "THALWEG_LIMITS",
        hide_env_values = true,
        help_heading = "Kinesis"
    )]
    pub(crate) limits: Option<LimitsChoice>,

    /// How many open shards there may be, in all streams together [default: 20000]
    #[arg(
        long,
        value_name = "COUNT",
        env = "THALWEG_SHARD_LIMIT",
        hide_env_values = true,
        help_heading = "Kinesis"
    )]
    pub(crate) shard_limit: Option<u32>,

    /// How long streams and consumers stay CREATING, UPDATING and DELETING: 0, 250ms, 5s [default: 0]
    #[arg(
        long,
        value_name = "DURATION",
        env = "THALWEG_TRANSITION_DELAY",
        hide_env_values = true,
        help_heading = "Kinesis"
    )]
    pub(crate) transition_delay: Option<Delay>,

    /// How many threads answer requests [default: one for each processor]
    #[arg(
        long,
        value_name = "COUNT",
        env = "THALWEG_THREADS",
        hide_env_values = true,
        help_heading = "Process"
    )]
    pub(crate) threads: Option<Threads>,

    /// How log lines look; they go to standard error [default: text]
    #[arg(
        long,
        value_name = "FORMAT",
        env = "THALWEG_LOG_FORMAT",
        hide_env_values = true,
        help_heading = "Process"
    )]
    pub(crate) log_format: Option<LogFormat>,

    /// What is logged: error, warn, info, debug, trace, or directives by module: info,thalweg_gateway=debug [default: info]
    #[arg(
        long,
        value_name = "LEVEL",
        env = "THALWEG_LOG_LEVEL",
        hide_env_values = true,
        help_heading = "Process"
    )]
    pub(crate) log_level: Option<LogLevel>,
}

impl Options {
    /// These settings, and `fallback`'s where these say nothing.
    pub(crate) fn or(self, fallback: Options) -> Options {
        Options {
            listen: self.listen.or(fallback.listen),
            insecure: self.insecure.or(fallback.insecure),
            data_dir: self.data_dir.or(fallback.data_dir),
            ephemeral: self.ephemeral.or(fallback.ephemeral),
            disk_reserve: self.disk_reserve.or(fallback.disk_reserve),
            undrained_bytes: self.undrained_bytes.or(fallback.undrained_bytes),
            tail_cache: self.tail_cache.or(fallback.tail_cache),
            chunk_cache: self.chunk_cache.or(fallback.chunk_cache),
            ephemeral_bytes: self.ephemeral_bytes.or(fallback.ephemeral_bytes),
            region: self.region.or(fallback.region),
            account: self.account.or(fallback.account),
            create_stream: self.create_stream.or(fallback.create_stream),
            limits: self.limits.or(fallback.limits),
            shard_limit: self.shard_limit.or(fallback.shard_limit),
            transition_delay: self.transition_delay.or(fallback.transition_delay),
            threads: self.threads.or(fallback.threads),
            log_format: self.log_format.or(fallback.log_format),
            log_level: self.log_level.or(fallback.log_level),
        }
    }
}
