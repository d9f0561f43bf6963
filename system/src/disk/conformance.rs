//! What both disks must do alike: the real one on the file system of the tests, and the simulated one.
//!
//! Not here: what a crash leaves, which only the simulated disk can show.

use std::sync::Arc;

use super::{Access, Disk, DiskError, DiskErrorKind, DiskFile};
use crate::AlignedBuffer;
use crate::os::OsDisk;
use crate::simulated::SimulatedDisk;

async fn check(disk: &dyn Disk) {
    check_names(disk).await;
    check_appended(disk).await;
    check_recycled(disk).await;
    check_bulk(disk).await;
    let space = disk.space().await.expect("a volume has a size");
    assert!(space.total >= space.available && space.available > 0, "{space:?}");
}

fn kind<T>(outcome: Result<T, DiskError>) -> DiskErrorKind {
    outcome.err().expect("this call is refused").kind
}

async fn write_file(disk: &dyn Disk, path: &str, bytes: &[u8]) {
    let file = disk.create(path, Access::Appended).await.expect("the name is free");
    file.write(0, bytes).await.expect("there is room");
    file.sync().await.expect("the disk works");
}

async fn read_file(disk: &dyn Disk, path: &str) -> Vec<u8> {
    let file = disk.open(path, Access::ReadOnly).await.expect("it is there");
    read_all(&file).await
}

async fn read_all(file: &Arc<dyn DiskFile>) -> Vec<u8> {
    let length = file.length().await.expect("the disk works");
    let mut bytes = vec![0; usize::try_from(length).expect("test files are small")];
    file.read(0, &mut bytes).await.expect("the file has these bytes");
    bytes
}

async fn check_names(disk: &dyn Disk) {
    assert_eq!(disk.list("").await.expect("the root is there"), Vec::<String>::new());
    assert_eq!(disk.list("none").await.expect("absent is empty"), Vec::<String>::new());
    assert_eq!(kind(disk.open("none", Access::ReadOnly).await), DiskErrorKind::NotFound);
    assert_eq!(kind(disk.create("none/file", Access::Appended).await), DiskErrorKind::NotFound);
    assert_eq!(kind(disk.rename("none", "other").await), DiskErrorKind::NotFound);
    assert_eq!(kind(disk.unlink("none").await), DiskErrorKind::NotFound);
    assert_eq!(kind(disk.remove_directory("none").await), DiskErrorKind::NotFound);
    assert_eq!(kind(disk.sync_directory("none").await), DiskErrorKind::NotFound);

    disk.create_directory("names/below").await.expect("parents are made");
    disk.create_directory("names/below").await.expect("it may exist");
    write_file(disk, "names/b", b"one").await;
    write_file(disk, "names/a", b"two").await;
    assert_eq!(disk.list("names").await.expect("it is there"), ["a", "b", "below"]);
    assert_eq!(kind(disk.create("names/a", Access::Appended).await), DiskErrorKind::AlreadyExists);
    assert_eq!(kind(disk.remove_directory("names").await), DiskErrorKind::Io);

    disk.rename("names/a", "names/b").await.expect("a rename replaces");
    disk.sync_directory("names").await.expect("it is there");
    assert_eq!(read_file(disk, "names/b").await, b"two");
    disk.rename("names/b", "names/below/c").await.expect("directories may differ");
    assert_eq!(disk.list("names").await.expect("it is there"), ["below"]);

    let open = disk.open("names/below/c", Access::Appended).await.expect("it is there");
    disk.unlink("names/below/c").await.expect("it is there");
    assert_eq!(read_all(&open).await, b"two", "an open file outlives its name");
    disk.remove_directory("names/below").await.expect("it is empty");
    disk.remove_directory("names").await.expect("it is empty");
    disk.sync_directory("").await.expect("the root is there");
    assert_eq!(disk.list("").await.expect("the root is there"), Vec::<String>::new());
}

async fn check_appended(disk: &dyn Disk) {
    write_file(disk, "appended", b"hello").await;
    let file = disk.open("appended", Access::Appended).await.expect("it is there");
    assert_eq!(file.alignment(), 1);
    file.write(5, b" world").await.expect("there is room");
    file.write_durable(11, b"!").await.expect("there is room");
    assert_eq!(read_all(&file).await, b"hello world!");
    let mut part = [0; 5];
    file.read(6, &mut part).await.expect("the file has these bytes");
    assert_eq!(&part, b"world");
    assert_eq!(kind(file.read(8, &mut part).await), DiskErrorKind::EndOfFile);
    assert_eq!(kind(file.read(100, &mut part).await), DiskErrorKind::EndOfFile);

    file.truncate(5).await.expect("the disk works");
    file.write(7, b"x").await.expect("there is room");
    file.truncate(10).await.expect("the disk works");
    file.begin_sync(0, 10);
    file.sync().await.expect("the disk works");
    file.drop_cache(0, 10);
    assert_eq!(read_file(disk, "appended").await, b"hello\0\0x\0\0", "holes are zeros");
    disk.unlink("appended").await.expect("it is there");
}

async fn check_recycled(disk: &dyn Disk) {
    let file = disk.create("recycled", Access::Recycled).await.expect("the name is free");
    let block = file.alignment();
    assert!(block.is_power_of_two() && block >= 512, "{block}");
    file.write(0, &AlignedBuffer::zeroed(4 * block)).await.expect("there is room");
    file.sync().await.expect("the disk works");

    let two = pattern(2 * block);
    file.write_durable(block as u64, &two).await.expect("there is room");
    let mut back = AlignedBuffer::zeroed(2 * block);
    file.read(block as u64, &mut back).await.expect("the file has these bytes");
    assert!(*back == *two, "what was written is read");
    assert_eq!(kind(file.read(3 * block as u64, &mut back).await), DiskErrorKind::EndOfFile);
    assert_eq!(kind(file.read(8 * block as u64, &mut back).await), DiskErrorKind::EndOfFile);
    // Beyond the end: the file grows.
    file.write_durable(6 * block as u64, &two).await.expect("there is room");
    assert_eq!(file.length().await.expect("the disk works"), 8 * block as u64);
    drop(file);

    let mut expected = vec![0; 8 * block];
    expected[block..3 * block].copy_from_slice(&two);
    expected[6 * block..].copy_from_slice(&two);
    assert!(read_file(disk, "recycled").await == expected, "another open file sees the same");
    let file = disk.open("recycled", Access::Recycled).await.expect("it is there");
    file.drop_cache(0, 8 * block as u64);
    file.read(block as u64, &mut back).await.expect("the file has these bytes");
    assert!(*back == *two, "what was durable needs no cache");
    disk.unlink("recycled").await.expect("it is there");
}

/// Bytes that tell where they are.
fn pattern(length: usize) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::with_capacity(length);
    for index in 0..length {
        buffer.extend_from_slice(&[u8::try_from(index % 251).expect("below 251")]);
    }
    buffer
}

async fn check_bulk(disk: &dyn Disk) {
    let file = disk.create("bulk", Access::Bulk).await.expect("the name is free");
    let block = file.alignment();
    assert!(block.is_power_of_two() && block >= 512, "{block}");
    let three = pattern(3 * block);
    file.write(0, &three).await.expect("there is room");
    // Small pieces go on behind it, in a block of their own, and large ones behind them.
    let plain = disk.open("bulk", Access::Appended).await.expect("it is there");
    plain.write(3 * block as u64, b"small").await.expect("there is room");
    file.write(4 * block as u64, &three[..block]).await.expect("there is room");
    file.sync().await.expect("the disk works");
    let mut expected = three.to_vec();
    expected.extend_from_slice(b"small");
    expected.resize(4 * block, 0);
    expected.extend_from_slice(&three[..block]);
    plain.write(5 * block as u64, b"the end").await.expect("there is room");
    expected.extend_from_slice(b"the end");
    assert!(read_file(disk, "bulk").await == expected, "both ways of writing give one file");

    // Whatever is read, and however: what lies around it comes along where it must.
    for access in [Access::BulkReadOnly, Access::Bulk, Access::ReadOnly, Access::Appended] {
        let file = disk.open("bulk", access).await.expect("it is there");
        let mut buffer = AlignedBuffer::with_capacity(8 * block);
        let end = expected.len();
        for (from, to) in [(0, 1), (1, block), (100, 3 * block + 2), (3 * block, end), (end - 1, end), (7, 7)]
        {
            let start =
                file.read_around(from as u64, to - from, &mut buffer).await.expect("it has these bytes");
            assert!(start < file.alignment(), "no more than it must");
            assert!(buffer[start..start + to - from] == expected[from..to], "{access:?}: {from} to {to}");
        }
        let beyond = file.read_around(end as u64 - 3, 4, &mut buffer).await;
        assert_eq!(kind(beyond), DiskErrorKind::EndOfFile, "{access:?}");
        let far_beyond = file.read_around(9 * block as u64, 4, &mut buffer).await;
        assert_eq!(kind(far_beyond), DiskErrorKind::EndOfFile, "{access:?}");
    }
    // Cut between blocks, it is written on.
    file.truncate(3 * block as u64).await.expect("the disk works");
    file.write(3 * block as u64, &three[block..]).await.expect("there is room");
    file.sync().await.expect("the disk works");
    expected.truncate(3 * block);
    expected.extend_from_slice(&three[block..]);
    assert!(read_file(disk, "bulk").await == expected, "what was cut off is gone");
    disk.unlink("bulk").await.expect("it is there");
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("it needs nothing").block_on(future)
}

#[test]
fn a_real_disk_keeps_the_contract() {
    let directory = tempfile::tempdir().expect("tests may write");
    let disk = OsDisk::open(directory.path()).expect("tests may write");
    eprintln!("{}", disk.durability());
    block_on(check(&disk));
}

#[test]
fn a_real_disk_without_direct_io_keeps_the_contract() {
    let directory = tempfile::tempdir().expect("tests may write");
    let disk = OsDisk::open_without_direct_io(directory.path()).expect("tests may write");
    block_on(check(&disk));
}

#[test]
fn a_memory_file_system_keeps_the_contract() {
    let Ok(directory) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("skipped: no memory file system at /dev/shm");
        return;
    };
    let disk = OsDisk::open(directory.path()).expect("tests may write");
    eprintln!("{}", disk.durability());
    block_on(check(&disk));
}

#[test]
fn a_simulated_disk_keeps_the_contract() {
    block_on(check(&SimulatedDisk::new()));
    block_on(check(&SimulatedDisk::with_alignment(4096)));
}

/// Runs `act` on each disk, where it must panic: the promise is checked even where nothing would break.
fn check_refused(act: fn(Arc<dyn Disk>)) {
    let directory = tempfile::tempdir().expect("tests may write");
    let real = OsDisk::open_without_direct_io(directory.path()).expect("tests may write");
    for disk in [Arc::new(real) as Arc<dyn Disk>, Arc::new(SimulatedDisk::new())] {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(disk)));
        assert!(outcome.is_err(), "a broken promise goes unseen");
    }
}

#[test]
fn broken_promises_are_seen_by_every_disk() {
    check_refused(|disk| drop(block_on(disk.open("../escape", Access::ReadOnly))));
    check_refused(|disk| drop(block_on(disk.open("/absolute", Access::ReadOnly))));
    check_refused(|disk| {
        let file = block_on(disk.create("file", Access::Bulk)).expect("the name is free");
        drop(block_on(file.write(0, &AlignedBuffer::zeroed(100))));
    });
    check_refused(|disk| {
        let file = block_on(disk.create("file", Access::Bulk)).expect("the name is free");
        drop(block_on(file.read_around(1, 4096, &mut AlignedBuffer::with_capacity(4096))));
    });
    check_refused(|disk| {
        let file = block_on(disk.create("file", Access::Recycled)).expect("the name is free");
        drop(block_on(file.write_durable(100, &AlignedBuffer::zeroed(4096))));
    });
    check_refused(|disk| {
        let file = block_on(disk.create("file", Access::Recycled)).expect("the name is free");
        drop(block_on(file.write_durable(0, &AlignedBuffer::zeroed(100))));
    });
    check_refused(|disk| {
        let file = block_on(disk.create("file", Access::Recycled)).expect("the name is free");
        drop(block_on(file.write_durable(0, &AlignedBuffer::zeroed(4608)[1..513])));
    });
}
