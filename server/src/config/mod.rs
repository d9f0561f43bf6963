//! The configuration: flags over `THALWEG_*` variables over the configuration file over defaults. The only reader of
//! settings from files and from the environment; everyone else is handed values.

mod flags;
mod values;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thalweg_types::limits::SHARD_LIMIT_DEFAULT;

pub(crate) use flags::{LimitsChoice, LogFormat, Options, ServeArgs};
pub(crate) use values::NewStream;

/// What `thalweg serve` does, completely.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    /// Whether `listen` is reachable from other machines, and that was asked for.
    pub(crate) is_exposed: bool,
    pub(crate) storage: StorageConfig,
    /// The sizes that tests need.
    pub(crate) has_small_files: bool,
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) create_streams: Vec<NewStream>,
    pub(crate) limits: LimitsChoice,
    pub(crate) shard_limit: u32,
    pub(crate) transition_delay: Duration,
    /// `None`: one for each processor.
    pub(crate) threads: Option<NonZeroUsize>,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: String,
    /// Whether log lines on a terminal may have colours: unless NO_COLOR is set (no-color.org).
    pub(crate) log_colours: bool,
}

/// Where the data is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StorageConfig {
    /// In a directory.
    Directory {
        path: PathBuf,
        disk_reserve_permille: u32,
        /// `None`, here and below: the engine's default.
        undrained_bytes: Option<usize>,
        tail_cache_bytes: Option<usize>,
        chunk_cache_bytes: Option<usize>,
    },
    /// In memory.
    Memory {
        /// Of records.
        bytes_max: Option<usize>,
    },
}

/// Why there is no configuration: the user's doing, all of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read the configuration file {path}: {reason}")]
    FileRead { path: String, reason: String },
    #[error("configuration file {path}, line {line}: {reason}")]
    FileContent { path: String, line: usize, reason: String },
    #[error(
        "{0} can be reached from other machines, and there is no access control yet: listen on 127.0.0.1, or add \
         --insecure to listen there anyway"
    )]
    Exposed(SocketAddr),
    #[error("--undrained-bytes is at least 64MiB: the largest requests and two batches must fit")]
    UndrainedTooSmall,
}

/// Where the data is unless something else is said.
pub(crate) const DATA_DIRECTORY: &str = "./thalweg-data";

/// Below this the ring's slots are larger than what may be undrained. Six of the largest batches (10.3 MiB each).
const UNDRAINED_BYTES_MIN: usize = 64 << 20;

/// Puts the configuration together. `args` are the flags, and the variables where there is no flag.
pub(crate) fn load(args: ServeArgs) -> Result<Config, ConfigError> {
    let from_file = match &args.config {
        Some(path) => read_file(path)?,
        None => Options::default(),
    };
    let mut config = complete(args.options.or(from_file))?;
    config.has_small_files = args.small_files;
    config.log_colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Ok(config)
}

#[allow(clippy::disallowed_methods)] // the one reader of files
fn read_file(path: &Path) -> Result<Options, ConfigError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::FileRead { path: shown.clone(), reason: error.to_string() })?;
    parse_file(&shown, &text)
}

fn parse_file(path: &str, text: &str) -> Result<Options, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or(""));
        ConfigError::FileContent {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            reason: error.message().replace('\n', " "),
        }
    })
}

/// Adds the defaults, and checks what can be checked without touching anything.
fn complete(options: Options) -> Result<Config, ConfigError> {
    let listen = options.listen.map_or(SocketAddr::from(([127, 0, 0, 1], 4567)), |listen| listen.0);
    let is_exposed = !listen.ip().to_canonical().is_loopback();
    if is_exposed && !options.insecure.unwrap_or(false) {
        return Err(ConfigError::Exposed(listen));
    }
    let storage = if options.ephemeral.unwrap_or(false) {
        StorageConfig::Memory { bytes_max: options.ephemeral_bytes.map(|size| size.0) }
    } else {
        if options.undrained_bytes.is_some_and(|size| size.0 < UNDRAINED_BYTES_MIN) {
            return Err(ConfigError::UndrainedTooSmall);
        }
        StorageConfig::Directory {
            path: options.data_dir.unwrap_or_else(|| PathBuf::from(DATA_DIRECTORY)),
            disk_reserve_permille: options.disk_reserve.map_or(50, |percent| percent.permille),
            undrained_bytes: options.undrained_bytes.map(|size| size.0),
            tail_cache_bytes: options.tail_cache.map(|size| size.0),
            chunk_cache_bytes: options.chunk_cache.map(|size| size.0),
        }
    };
    Ok(Config {
        listen,
        is_exposed,
        storage,
        has_small_files: false,
        region: options.region.map_or("us-east-1".to_owned(), |region| region.0),
        account: options.account.map_or("000000000000".to_owned(), |account| account.0),
        create_streams: options.create_stream.unwrap_or_default(),
        limits: options.limits.unwrap_or(LimitsChoice::None),
        shard_limit: options.shard_limit.unwrap_or(SHARD_LIMIT_DEFAULT),
        transition_delay: options.transition_delay.map_or(Duration::ZERO, |delay| delay.0),
        threads: options.threads.map(|threads| threads.0),
        log_format: options.log_format.unwrap_or(LogFormat::Text),
        log_level: options.log_level.map_or("info".to_owned(), |level| level.0),
        log_colours: true,
    })
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    fn flags(arguments: &[&str]) -> Options {
        let command = ServeArgs::augment_args(Command::new("serve").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments).expect("the table's arguments are right");
        ServeArgs::from_arg_matches(&matches).expect("they were parsed").options
    }

    /// The flags that users see: the others are for tests of the program.
    fn settings() -> Vec<clap::Arg> {
        let command = ServeArgs::augment_args(Command::new("serve"));
        command.get_arguments().filter(|argument| !argument.is_hide_set()).cloned().collect()
    }

    /// Every key, with a value that is not the default.
    const FULL_FILE: &str = r#"
        listen = "127.0.0.1:9"
        insecure = true
        data-dir = "/data"
        ephemeral = false
        disk-reserve = 2.5
        undrained-bytes = "128MiB"
        tail-cache = "1MiB"
        chunk-cache = 4096
        ephemeral-bytes = "2GiB"
        region = "eu-west-1"
        account = "123456789012"
        create-stream = ["a", "b:2"]
        limits = "aws"
        shard-limit = 7
        transition-delay = "5s"
        threads = 3
        log-format = "json"
        log-level = "debug"
    "#;

    /// The same as flags.
    const FULL_FLAGS: &[&str] = &[
        "--listen=127.0.0.1:9",
        "--insecure",
        "--data-dir=/data",
        "--ephemeral=false",
        "--disk-reserve=2.5",
        "--undrained-bytes=128MiB",
        "--tail-cache=1MiB",
        "--chunk-cache=4096",
        "--ephemeral-bytes=2GiB",
        "--region=eu-west-1",
        "--account=123456789012",
        "--create-stream=a",
        "--create-stream=b:2",
        "--limits=aws",
        "--shard-limit=7",
        "--transition-delay=5s",
        "--threads=3",
        "--log-format=json",
        "--log-level=debug",
    ];

    #[test]
    fn every_flag_is_a_key_of_the_file_and_means_the_same() {
        let from_file = parse_file("t", FULL_FILE).expect("the file is right");
        assert_eq!(from_file, flags(FULL_FLAGS));
        for argument in settings().iter().filter(|argument| argument.get_id() != "config") {
            let name = argument.get_long().expect("every setting is a long flag");
            assert!(FULL_FILE.contains(&format!("{name} =")), "{name} is not in the table");
        }
    }

    #[test]
    fn every_flag_has_a_variable_of_its_name() {
        for argument in settings() {
            let name = argument.get_long().expect("every setting is a long flag");
            let variable = format!("THALWEG_{}", name.to_uppercase().replace('-', "_"));
            assert_eq!(argument.get_env().and_then(|env| env.to_str()), Some(variable.as_str()));
        }
    }

    #[test]
    fn the_documentation_has_every_setting() {
        let page = include_str!("../../../docs/operating/configuration.md");
        for argument in settings().iter().filter(|argument| argument.get_id() != "config") {
            let name = argument.get_long().expect("every setting is a long flag");
            let row = page.lines().find(|line| {
                line.strip_prefix(&format!("| `--{name}")).is_some_and(|rest| rest.starts_with([' ', '[']))
            });
            let row = row.unwrap_or_else(|| panic!("no row for --{name}"));
            let help = argument.get_help().expect("every setting has help").to_string();
            let default = help.split("[default: ").nth(1).and_then(|rest| rest.strip_suffix(']'));
            // Those without a default in the help are switches, and lists.
            if let Some(default) = default {
                let default = default.trim_end_matches(']');
                assert!(row.contains(default), "--{name} has the default {default}: {row}");
            }
        }
    }

    #[test]
    fn a_setting_that_is_given_hides_the_file_s() {
        let file = parse_file("t", FULL_FILE).expect("the file is right");
        let merged = flags(&["--region=us-west-2", "--create-stream=c"]).or(file.clone());
        assert_eq!(merged.region.expect("it is given").0, "us-west-2");
        assert_eq!(merged.create_stream.expect("it is given").len(), 1);
        assert_eq!(merged.account, file.account);
    }

    #[test]
    fn the_defaults_are_those_of_the_help() {
        let config = complete(Options::default()).expect("the defaults are right");
        assert_eq!(config.listen, SocketAddr::from(([127, 0, 0, 1], 4567)));
        let StorageConfig::Directory { path, disk_reserve_permille, .. } = config.storage else {
            panic!("a directory is the default");
        };
        assert_eq!(path, Path::new("./thalweg-data"));
        assert_eq!(disk_reserve_permille, 50);
        assert_eq!((config.region.as_str(), config.account.as_str()), ("us-east-1", "000000000000"));
        assert_eq!((config.limits, config.shard_limit), (LimitsChoice::None, 20_000));
        assert_eq!(config.transition_delay, Duration::ZERO);
        assert_eq!((config.log_format, config.log_level.as_str()), (LogFormat::Text, "info"));
    }

    #[track_caller]
    fn check_file_error(text: &str, line: &str, expected: &str) {
        let error = parse_file("t.toml", text).expect_err("the table's files are wrong").to_string();
        assert!(error.starts_with(&format!("configuration file t.toml, line {line}: ")), "{error}");
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains('\n'), "one line: {error}");
    }

    #[test]
    fn mistakes_in_the_file_are_told_in_one_line() {
        check_file_error("\nlisen = \"127.0.0.1:1\"\n", "2", "unknown field `lisen`");
        check_file_error("region = \"X\"", "1", "lower-case letters");
        check_file_error("account = 123456789012\naccount = \"123456789012\"", "2", "duplicate key");
        check_file_error("account = 12", "1", "twelve digits");
        check_file_error("listen = true", "1", "an address and port");
        check_file_error("limits = \"some\"", "1", "some");
        check_file_error("shard-limit = -1", "1", "-1");
        check_file_error("threads = 0", "1", "from 1 to 256");
        check_file_error("log-level = \"verbose\"", "1", "info");
        check_file_error("region", "1", "");
        check_file_error("[server]\nregion = \"a\"", "1", "unknown field `server`");
    }

    #[test]
    fn other_machines_are_let_in_only_when_asked_for() {
        for (arguments, expected) in [
            (&["--listen=0.0.0.0:1"][..], None),
            (&["--listen=[::]:1"], None),
            (&["--listen=10.0.0.1:1"], None),
            (&["--listen=0.0.0.0:1", "--insecure=false"], None),
            (&["--listen=0.0.0.0:1", "--insecure"], Some(true)),
            (&["--listen=127.0.0.2:1"], Some(false)),
            (&["--listen=[::1]:1"], Some(false)),
            (&["--listen=[::ffff:127.0.0.1]:1"], Some(false)),
            (&["--insecure"], Some(false)),
        ] {
            let config = complete(flags(arguments)).ok();
            assert_eq!(config.map(|config| config.is_exposed), expected, "{arguments:?}");
        }
    }
}
