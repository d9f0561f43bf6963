//! The program `thalweg`: the server (`serve`) and the commands that speak to one (`thalweg_cli`).
//!
//! What is where: `config` reads flags, environment and file; `compose` makes the parts and puts them together;
//! `serve` is a server's life from start to end; `check` verifies a data directory; `shutdown` is how it is told to end;
//! `start_error` is what it says when it cannot start.

mod check;
mod compose;
mod config;
mod descriptors;
mod logs;
mod panics;
mod serve;
mod shutdown;
mod socket;
mod start_error;

use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

/// musl's allocator is slow, and slower with each thread; this one is for static builds. With glibc its own is the better
/// one here: putting 400,000 records of 1.3 KB took the server 0.96 s of processor time with it and 1.38 to 1.65 s with
/// mimalloc, which gives large buffers back to the system and fetches them again; and an idle
/// server is 11 MB, not 29 (release builds, two cores).
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A streaming platform that speaks the Amazon Kinesis APIs.
///
/// `thalweg serve` starts a server; the other commands speak to one, on this machine unless told otherwise.
#[derive(Debug, Parser)]
#[command(name = "thalweg", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a server
    ///
    /// Settings come from flags, then THALWEG_* variables (--data-dir is THALWEG_DATA_DIR), then the configuration
    /// file (data-dir = "..."), then the defaults. Records are on disk before a put is answered. SIGTERM and Ctrl-C end
    /// the server cleanly; a second one ends it at once, which loses nothing that was acknowledged.
    Serve(Box<config::ServeArgs>),
    /// Verify a data directory that no server uses
    ///
    /// Reads everything in it and compares it with its checksums; changes nothing, unless --set-aside is given. The exit
    /// code is 1 when something is damaged: the lines that begin with DAMAGED say which file, which byte, and which records.
    Check(check::CheckArgs),
    #[command(flatten)]
    Client(thalweg_cli::Command),
}

/// The exit code of a command line or configuration that makes no sense.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let command = match Arguments::try_parse() {
        Ok(arguments) => arguments.command,
        Err(error) => return refuse(&error),
    };
    match command {
        Command::Serve(args) => match config::load(*args) {
            Err(error) => fail(&error.to_string(), EXIT_USAGE),
            Ok(config) => match serve::run(config) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error.to_string(), 1),
            },
        },
        Command::Check(args) => match check::run(&args) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => fail(&error.to_string(), 1),
        },
        Command::Client(command) => match thalweg_cli::run(command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => match error.exit_code() {
                0 => ExitCode::SUCCESS,
                code => fail(&error.to_string(), code),
            },
        },
    }
}

/// One line on standard error. Where that cannot be written to, the code says it.
fn fail(reason: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "thalweg: {}", reason.replace('\n', " "));
    ExitCode::from(code)
}

/// Prints the help that was asked for, or says in one line what is wrong with the command line.
fn refuse(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Whoever asked may have closed the pipe: nothing to be done about it.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(EXIT_USAGE)
        }
        _ => fail(&one_line(&error.render().to_string()), EXIT_USAGE),
    }
}

/// clap's several lines in one: what is wrong and its tips, without the usage that follows.
fn one_line(message: &str) -> String {
    let mut text = String::new();
    for line in message.lines().map(str::trim) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        let line = line.strip_prefix("error: ").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        if line.starts_with("tip:") || line.starts_with('[') {
            text += "; ";
        } else if !text.is_empty() {
            text += " ";
        }
        text += line;
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_put_together_right() {
        Arguments::command().debug_assert();
    }

    #[track_caller]
    fn check_refusal(arguments: &[&str], expected: &str) {
        let arguments = [&["thalweg"], arguments].concat();
        let error = Arguments::try_parse_from(arguments).expect_err("the table's arguments are wrong");
        assert_eq!(one_line(&error.render().to_string()), expected);
    }

    #[test]
    fn what_is_wrong_with_a_command_line_is_said_in_one_line() {
        check_refusal(
            &["serve", "--lisen", "x"],
            "unexpected argument '--lisen' found; tip: a similar argument exists: '--listen'",
        );
        check_refusal(
            &["serve", "--listen", "4567"],
            "invalid value '4567' for '--listen <ADDRESS:PORT>': write an IP address and a port, such as \
             127.0.0.1:4567 or [::1]:4567",
        );
        check_refusal(
            &["serve", "--limits", "some"],
            "invalid value 'some' for '--limits <WHICH>'; [possible values: none, aws]",
        );
        check_refusal(
            &["put", "or/ders", "x"],
            "invalid value 'or/ders' for '<STREAM>': a name has only letters, digits, underscores, dots and dashes",
        );
        check_refusal(&["put"], "the following required arguments were not provided: <STREAM>");
        check_refusal(
            &["tail", "s", "--from", "x"],
            &format!(
                "invalid value 'x' for '--from <WHERE>': {}",
                "write trim-horizon, latest, a duration such as 5m, a time such as 2026-11-20T13:00:00Z, or a sequence \
             number"
            ),
        );
    }
}
