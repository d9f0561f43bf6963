"""What was sent and what arrived, on disk, and the verdict over both.

A producer writes one entry per attempt, in the order of its attempts; a consumer writes one entry per record, in
the order of delivery. Every record's data starts with its attempt's id, `PRODUCER.ATTEMPT` and a tab, so that a record
whose answer was lost can be told from the one that was sent again in its place.

Not here: sending and receiving (workers.py).
"""

import hashlib
import mmap
import os
import struct

# status, shard index, sequence number (192 bits suffice), SHA-256 over key and data
ATTEMPT = struct.Struct("<BI24s32s")
# producer, attempt, key index, shard index, sequence number, SHA-256 over key and data
DELIVERY = struct.Struct("<HIII24s32s")

ACKNOWLEDGED = 1
# The connection broke, or the service said that it does not know: the record may be there, once.
UNANSWERED = 2
# The service said that it did not take the record.
REFUSED = 3

# Of each kind of fault this many are described; all are counted.
FAULTS_SHOWN_MAX = 5


def digest(key, data):
    """SHA-256 over the key's length, the key and the data."""
    key = key.encode("utf-8")
    return hashlib.sha256(len(key).to_bytes(4, "little") + key + data).digest()


def number_bytes(text):
    return int(text).to_bytes(24, "big")


def shard_index(shard_id):
    return int(shard_id.rsplit("-", 1)[1])


class Attempts:
    """The attempts of one producer, as written; indexed by attempt number."""

    def __init__(self, path):
        self.count = os.path.getsize(path) // ATTEMPT.size
        with open(path, "rb") as file:
            self.entries = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) if self.count else b""

    def __getitem__(self, attempt):
        return ATTEMPT.unpack_from(self.entries, attempt * ATTEMPT.size)


class Faults:
    """Counts faults by kind and keeps the first few of each."""

    def __init__(self):
        self.count = {}
        self.shown = {}

    def add(self, kind, text):
        self.count[kind] = self.count.get(kind, 0) + 1
        if self.count[kind] <= FAULTS_SHOWN_MAX:
            self.shown.setdefault(kind, []).append(text)

    def report(self):
        lines = []
        for kind, count in sorted(self.count.items()):
            lines.append(f"{count} x {kind}, for instance:")
            lines += [f"    {text}" for text in self.shown[kind]]
        return "\n".join(lines)


def acknowledged(attempts):
    """(count, checksum) of the acknowledged records: SHA-256 over their digests, by producer and attempt."""
    total = hashlib.sha256()
    count = 0
    for producer in attempts:
        for attempt in range(producer.count):
            status, _, _, digest_sent = producer[attempt]
            if status == ACKNOWLEDGED:
                count += 1
                total.update(digest_sent)
    return count, total.hexdigest()


def verify(attempts, delivery_path, faults, name):
    """Holds one consumer's deliveries against the attempts; adds what is wrong to `faults`.

    Returns (acknowledged records delivered, unanswered attempts that turned out to be there, checksum over the
    acknowledged records as this consumer received them).
    """
    received = [bytearray(32 * producer.count) for producer in attempts]
    seen = [bytearray(producer.count) for producer in attempts]
    last_of_key = {}
    last_of_shard = {}
    unanswered = 0
    with open(delivery_path, "rb") as file:
        while chunk := file.read(DELIVERY.size * 65536):
            for producer, attempt, key, shard, number, digest_got in DELIVERY.iter_unpack(chunk):
                what = f"{name}: attempt {producer}.{attempt}, shard {shard}, {int.from_bytes(number, 'big')}"
                if producer >= len(attempts) or attempt >= attempts[producer].count:
                    faults.add("never sent", what)
                    continue
                status, shard_sent, number_sent, digest_sent = attempts[producer][attempt]
                if seen[producer][attempt]:
                    faults.add("doubled", what)
                seen[producer][attempt] = 1
                received[producer][32 * attempt:32 * attempt + 32] = digest_got
                if digest_got != digest_sent:
                    faults.add("changed", what)
                if status == REFUSED:
                    faults.add("delivered although refused", what)
                elif status == UNANSWERED:
                    unanswered += 1
                elif (shard_sent, number_sent) != (shard, number):
                    faults.add("another place than acknowledged",
                               f"{what}; acknowledged: shard {shard_sent}, {int.from_bytes(number_sent, 'big')}")
                # A producer sends a key's records one after the other, and each key belongs to one producer.
                if last_of_key.get(key, -1) >= attempt:
                    faults.add("reordered within a key", f"{what}, key {key}, after attempt {last_of_key[key]}")
                last_of_key[key] = attempt
                if last_of_shard.get(shard, b"") >= number:
                    faults.add("reordered within a shard", what)
                last_of_shard[shard] = number
    total = hashlib.sha256()
    count = 0
    for index, producer in enumerate(attempts):
        for attempt in range(producer.count):
            if producer[attempt][0] != ACKNOWLEDGED:
                continue
            if not seen[index][attempt]:
                _, shard, number, _ = producer[attempt]
                faults.add("lost", f"{name}: attempt {index}.{attempt}, shard {shard}, {int.from_bytes(number, 'big')}")
                continue
            count += 1
            total.update(received[index][32 * attempt:32 * attempt + 32])
    return count, unanswered, total.hexdigest()
