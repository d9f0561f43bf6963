//! How the program starts, and what it says when it does not: settings and their precedence, one clear line and the
//! right exit code for everything that can be wrong.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests of a whole program: threads, files, processes

mod support;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use support::{Finished, Running, Server, command, fresh_directory, run, without_logs};

/// Runs `thalweg serve` where it is expected not to start.
fn serve(home: &Path, flags: &[&str]) -> Finished {
    let arguments = [&["serve", "--listen", "127.0.0.1:0"], flags].concat();
    run(&mut command(home, &arguments), b"")
}

#[track_caller]
fn greeting_has(server: &Server, part: &str) {
    assert!(server.greeting.iter().any(|line| line.contains(part)), "no {part:?} in {:#?}", server.greeting);
}

#[test]
fn it_says_where_it_listens_where_the_data_is_and_how_to_reach_it() {
    let server = Server::start(&["--region", "eu-west-1", "--account", "123456789012"]);
    greeting_has(&server, "thalweg 0");
    // The AWS CLI of version 1 and boto3 know only this name of the region.
    greeting_has(&server, "AWS_DEFAULT_REGION=eu-west-1");
    greeting_has(&server, &format!("export AWS_ENDPOINT_URL_KINESIS={}", server.endpoint));
    greeting_has(&server, "region eu-west-1, account 123456789012");
    greeting_has(&server, &format!("{}/thalweg-data", server.directory.path().display()));
    greeting_has(&server, "ready in ");
    assert!(!server.endpoint.ends_with(":0"), "{}", server.endpoint);
}

#[test]
fn flags_are_over_variables_over_the_file_over_defaults() {
    let file = "region = \"from-file\"\naccount = \"111111111111\"\nlimits = \"aws\"\nephemeral = true\n";
    let check = |flags: &[&str], variables: &[(&str, &str)], expected: &str| {
        let directory = fresh_directory();
        fs::write(directory.path().join("thalweg.toml"), file).expect("it is ours");
        let server = Server::start_in(directory, flags, variables);
        greeting_has(&server, expected);
    };
    let from_file: &[&str] = &["--config", "thalweg.toml"];
    let variable: &[(&str, &str)] = &[("THALWEG_REGION", "from-variable")];
    check(&["--ephemeral"], &[], "region us-east-1, account 000000000000, limits: none");
    check(from_file, &[], "region from-file, account 111111111111, limits: AWS's");
    check(from_file, variable, "region from-variable, account 111111111111, limits: AWS's");
    let flags: &[&str] = &["--config", "thalweg.toml", "--region", "from-flag"];
    check(flags, variable, "region from-flag, account 111111111111, limits: AWS's");
    check(&[], &[("THALWEG_CONFIG", "thalweg.toml")], "region from-file");
    check(&["--ephemeral=false", "--config", "thalweg.toml"], &[], "data: ");
}

#[test]
fn a_configuration_that_makes_no_sense_is_a_usage_error() {
    let directory = fresh_directory();
    let home = directory.path();
    fs::write(home.join("wrong.toml"), "\nlisen = \"127.0.0.1:1\"\n").expect("it is ours");
    serve(home, &["--config", "wrong.toml"]).check_failure(2, &["wrong.toml, line 2", "`lisen`"]);
    serve(home, &["--config", "none.toml"]).check_failure(2, &["cannot read", "none.toml"]);
    serve(home, &["--region", "US EAST"]).check_failure(2, &["--region", "lower-case letters"]);
    serve(home, &["--account", "12"]).check_failure(2, &["--account", "twelve digits"]);
    serve(home, &["--create-stream", "or/ders"]).check_failure(2, &["--create-stream", "or/ders"]);
    serve(home, &["--threads", "0"]).check_failure(2, &["--threads", "0"]);
    serve(home, &["--nonsense"]).check_failure(2, &["--nonsense"]);
    serve(home, &["--log-level", "thalweg=loud"]).check_failure(2, &["--log-level", "loud"]);
    // Not a level: it would be taken for a module, and everything else would be silent.
    serve(home, &["--log-level", "verbose"]).check_failure(2, &["--log-level", "verbose"]);
    let mut variable = command(home, &["serve"]);
    run(variable.env("THALWEG_LIMITS", "some"), b"").check_failure(2, &["some", "none, aws"]);
    assert!(!home.join("thalweg-data").exists(), "nothing was made");
}

#[test]
fn without_access_control_other_machines_are_let_in_only_when_asked_for() {
    let directory = fresh_directory();
    run(&mut command(directory.path(), &["serve", "--listen", "0.0.0.0:0"]), b"")
        .check_failure(2, &["0.0.0.0:0", "--insecure"]);

    let mut command =
        command(directory.path(), &["serve", "--listen", "0.0.0.0:0", "--insecure", "--ephemeral"]);
    let mut running = Running::start(&mut command);
    running.wait_for_error_line("anyone who reaches it can read and delete everything");
    running.signal("TERM");
    let finished = running.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.text().contains("listening on http://127.0.0.1:"), "{finished:?}");
}

#[test]
fn a_port_in_use_is_said_before_anything_is_touched() {
    let directory = fresh_directory();
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let arguments = ["serve", "--listen", &address];
    run(&mut command(directory.path(), &arguments), b"")
        .check_failure(1, &[&address, "another program listens", "--listen"]);
    assert!(!directory.path().join("thalweg-data").exists(), "nothing was made");
}

#[test]
fn an_exit_code_does_not_depend_on_what_can_be_said() {
    let directory = fresh_directory();
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    for (flags, code) in [(["--listen", &address], 1), (["--nonsense", ""], 2)] {
        let serve = command(directory.path(), &[&["serve"][..], &flags].concat());
        assert_eq!(run(&mut without_logs(&serve), b"").code, Some(code), "{flags:?}");
    }
}

#[test]
fn an_address_of_another_machine_is_refused_in_one_line() {
    // 192.0.2.0/24 is for documentation: nobody has it.
    let directory = fresh_directory();
    run(&mut command(directory.path(), &["serve", "--listen", "192.0.2.1:4567", "--insecure"]), b"")
        .check_failure(1, &["192.0.2.1:4567", "no such address"]);
}

#[test]
fn a_data_directory_that_cannot_be_ours_is_refused_and_left_alone() {
    let directory = fresh_directory();
    let home = directory.path();
    fs::create_dir(home.join("foreign")).expect("it is ours");
    fs::write(home.join("foreign/letter.txt"), "dear").expect("it is ours");
    serve(home, &["--data-dir", "foreign"]).check_failure(1, &["foreign", "--data-dir"]);
    let names: Vec<_> = fs::read_dir(home.join("foreign")).expect("it is there").collect();
    assert_eq!(names.len(), 1, "{names:?}");

    serve(home, &["--data-dir", "foreign/letter.txt"]).check_failure(1, &["letter.txt", "not a directory"]);
    // No one can create a directory there, root included.
    serve(home, &["--data-dir", "/proc/thalweg-data"]).check_failure(1, &["/proc/thalweg-data"]);
}

#[test]
fn data_of_a_newer_version_is_refused_by_name_and_left_alone() {
    let mut server = Server::start(&[]);
    server.running.signal("TERM");
    server.running.finish().ok();
    let home = server.directory.path();
    // The header of a log file (docs/formats/catalog.md): magic, checksum of the rest of its block, version, block.
    let log = home.join("thalweg-data/meta/log-a");
    let mut bytes = fs::read(&log).expect("it is there");
    let block = u32::from_le_bytes(bytes[12..16].try_into().expect("four bytes")) as usize;
    bytes[8..12].copy_from_slice(&9u32.to_le_bytes());
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[8..block]);
    bytes[4..8].copy_from_slice(&u32::try_from(checksum).expect("it has 32 bits").to_le_bytes());
    fs::write(&log, &bytes).expect("it is ours");
    serve(home, &[]).check_failure(1, &["thalweg-data", "meta/log-a", "version 9", "start that one"]);
    assert_eq!(fs::read(&log).expect("it is there"), bytes);

    // One bit more, and it is damage.
    bytes[8] ^= 1;
    fs::write(&log, &bytes).expect("it is ours");
    serve(home, &[]).check_failure(1, &["thalweg-data", "meta/log-a", "damaged at byte 0"]);
}

/// What needs a small volume needs a mount, which not every machine lets its tests make: says so where it cannot.
#[test]
fn a_full_volume_is_refused_in_one_line() {
    let directory = fresh_directory();
    let home = directory.path();
    fs::create_dir(home.join("volume")).expect("it is ours");
    let in_a_volume_of_1_mb = "mount -t tmpfs -o size=1m none volume && exec \"$@\"";
    let in_namespace = |arguments: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", in_a_volume_of_1_mb, "sh"]);
        unshare.args(arguments).current_dir(home);
        unshare
    };
    let can_mount = in_namespace(&["true"]).output().is_ok_and(|output| output.status.success());
    if !can_mount {
        support::skip("a full volume: this machine lets nobody mount a small one");
        return;
    }
    let program = env!("CARGO_BIN_EXE_thalweg");
    let arguments = [program, "serve", "--listen", "127.0.0.1:0", "--data-dir", "volume/data"];
    run(&mut in_namespace(&arguments), b"").check_failure(1, &["volume/data", "No space left", "make room"]);
}

#[test]
fn a_directory_that_another_process_holds_is_refused_by_its_name() {
    let server = Server::start(&[]);
    let second = serve(server.directory.path(), &[]);
    second.check_failure(1, &["thalweg-data", &server.running.id().to_string(), "--data-dir"]);
    server.run(&["health"]).ok();
}

#[test]
fn health_asks_the_server() {
    let server = Server::ephemeral();
    let ready = server.run(&["health"]).ok();
    assert_eq!(ready.text(), format!("{} is ready\n", server.endpoint));
    let directory = fresh_directory();
    let nobody = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let endpoint = format!("http://{}", nobody.local_addr().expect("it is bound"));
    drop(nobody);
    run(&mut command(directory.path(), &["health", "--endpoint", &endpoint]), b"")
        .check_failure(1, &[&endpoint, "thalweg serve"]);
    run(&mut command(directory.path(), &["health", "--endpoint", "https://127.0.0.1:1"]), b"")
        .check_failure(2, &["http://"]);
}

#[test]
fn the_version_is_printed() {
    let directory = fresh_directory();
    let version = run(&mut command(directory.path(), &["--version"]), b"").ok();
    assert_eq!(version.text(), concat!("thalweg ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn logs_are_json_when_asked_for() {
    let mut server = Server::start(&["--ephemeral", "--log-format", "json"]);
    server.running.signal("TERM");
    let finished = server.running.finish().ok();
    assert!(finished.stderr.lines().count() > 0);
    for line in finished.stderr.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("every line is JSON");
        assert!(line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string());
    }
}

#[test]
fn streams_are_created_at_the_start_once() {
    let server = Server::start(&["--create-stream", "orders:3", "--create-stream", "returns"]);
    let names = |server: &Server| {
        let listed = server.run(&["streams", "list", "--json"]).ok().json();
        listed.iter().map(|stream| stream["streamName"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&server), ["orders", "returns"]);
    let server = server.restart("TERM", &["--create-stream", "orders:5"]);
    assert_eq!(names(&server), ["orders", "returns"]);
    let described = server.run(&["streams", "describe", "orders", "--json"]).ok().json();
    assert_eq!(described[0]["openShardCount"], 3);
}
