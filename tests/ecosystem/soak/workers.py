"""Producers and consumers, each a process of its own: boto3, retries off.

A producer has one request in flight. Keys belong to producers, so that "in order per key" means something. The two
kinds of consumer follow the whole stream, a thread per shard, children after all their parents, and start again from
the last record that they have seen when a connection breaks.

Not here: what goes wrong on purpose, and when (soak.py); the verdict (ledger.py).
"""

import random
import socket
import sys
import threading
import time
import traceback

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from ledger import ACKNOWLEDGED, ATTEMPT, DELIVERY, REFUSED, UNANSWERED, digest, number_bytes, shard_index

# Of one request, below the service's 500 records and 10 MiB.
BATCH_RECORDS_MAX = 500
BATCH_BYTES_MAX = 4 * 1024 * 1024
# A longer line becomes several records.
LINE_BYTES_MAX = 500_000
# A prime, so that keys do not fall into step with anything.
KEYS = 997
# Consecutive lines that share a key.
KEY_RUN = 20
# How long the service may be away, in seconds.
AWAY_SECONDS_MAX = 120
IDLE_POLL_SECONDS = 0.05

BROKEN = (BotoCoreError, HTTPError, OSError)
TRY_AGAIN = {"ProvisionedThroughputExceededException", "LimitExceededException", "ThrottlingException"}
OUTCOME_UNKNOWN = {"InternalFailure", "InternalFailureException", "ServiceUnavailable", "500", "503"}

pause = threading.Event()


def client(endpoint, read_seconds_max=60):
    return boto3.client(
        "kinesis", endpoint_url=endpoint, region_name="us-east-1",
        aws_access_key_id="any", aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=read_seconds_max,
                      max_pool_connections=64, parameter_validation=False),
    )


def await_service(endpoint, stop):
    """Returns once the service accepts connections again, or `stop` is set."""
    host, port = endpoint.removeprefix("http://").split(":")
    deadline = time.monotonic() + AWAY_SECONDS_MAX
    while not stop.is_set():
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            pause.wait(0.01)


# ---- what is sent ----


def text_lines(path, producer, producers):
    """(key index, line) of a text file, in its order, for the keys of one producer."""
    number = 0
    with open(path, "rb") as file:
        for line in file:
            line = line.rstrip(b"\n")
            for start in range(0, max(1, len(line)), LINE_BYTES_MAX):
                key = number // KEY_RUN % KEYS
                if key % producers == producer:
                    yield key, line[start:start + LINE_BYTES_MAX]
                number += 1


def noise_lines(seed, producer, producers):
    """(key index, data) without end: mostly short, some empty, a few large."""
    dice = random.Random(f"{seed}/{producer}")
    keys = [key for key in range(KEYS) if key % producers == producer]
    while True:
        kind = dice.random()
        size = 0 if kind < 0.05 else dice.randrange(200_000) if kind > 0.9995 else int(dice.expovariate(1 / 300))
        yield dice.choice(keys), dice.randbytes(size)


# ---- producers ----


def produce(name, endpoint, stream, lines, log_path, stop, progress):
    """Sends lines until they, or the time, run out; every attempt ends up in the log with its outcome.

    `progress` is a shared pair of counters: acknowledged records, acknowledged bytes.
    """
    kinesis = client(endpoint)
    lines = iter(lines)
    attempts = 0
    again = []
    with open(log_path, "wb") as log:
        while not stop.is_set():
            # A batch: first what has to be sent again, then new lines.
            batch, size = again[:BATCH_RECORDS_MAX], 0
            again = again[BATCH_RECORDS_MAX:]
            size = sum(len(line) for _, line in batch)
            while len(batch) < BATCH_RECORDS_MAX and size < BATCH_BYTES_MAX:
                item = next(lines, None)
                if item is None:
                    break
                batch.append(item)
                size += len(item[1])
            if not batch:
                return
            records = []
            digests = []
            for offset, (key, line) in enumerate(batch):
                data = b"%d.%d\t" % (name, attempts + offset) + line
                records.append({"Data": data, "PartitionKey": f"key-{key}"})
                digests.append(digest(f"key-{key}", data))
            attempts += len(batch)
            outcomes = send(kinesis, stream, records)
            failed = []
            for item, entry, outcome in zip(batch, digests, outcomes):
                status, shard, number = outcome
                log.write(ATTEMPT.pack(status, shard, number, entry))
                if status != ACKNOWLEDGED:
                    failed.append(item)
            again = failed + again
            with progress[0].get_lock():
                progress[0].value += len(batch) - len(failed)
                progress[1].value += size - sum(len(line) for _, line in failed)
            if failed:
                log.flush()
                await_service(endpoint, stop)
                pause.wait(0.01)


def send(kinesis, stream, records):
    """(status, shard index, sequence number) of each record of one PutRecords."""
    nowhere = (0, bytes(24))
    try:
        answer = kinesis.put_records(StreamName=stream, Records=records)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in TRY_AGAIN:
            return [(REFUSED, *nowhere)] * len(records)
        if code in OUTCOME_UNKNOWN or error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            return [(UNANSWERED, *nowhere)] * len(records)
        raise
    except BROKEN:
        return [(UNANSWERED, *nowhere)] * len(records)
    outcomes = []
    for result in answer["Records"]:
        if "SequenceNumber" in result:
            outcomes.append((ACKNOWLEDGED, shard_index(result["ShardId"]), number_bytes(result["SequenceNumber"])))
        elif result["ErrorCode"] in TRY_AGAIN:
            outcomes.append((REFUSED, *nowhere))
        else:
            outcomes.append((UNANSWERED, *nowhere))
    if len(outcomes) != len(records):
        raise RuntimeError(f"{len(records)} records sent, {len(outcomes)} answers")
    return outcomes


# ---- consumers ----


class Consumer:
    """Follows all shards of a stream from the horizon and logs every record in the order of delivery.

    `done` says that nothing is sent any more: each shard is then read to its tip and left. `progress` counts records.
    """

    def __init__(self, endpoint, stream, log_path, done, progress):
        self.endpoint = endpoint
        self.stream = stream
        self.done = done
        self.progress = progress
        self.kinesis = client(endpoint)
        self.log = open(log_path, "wb", buffering=1 << 20)
        self.lock = threading.Lock()
        self.started = set()
        self.ended = set()
        self.running = 0
        self.over = threading.Condition(self.lock)
        self.failure = None
        self.broken = 0
        self.iterators_refused = 0

    def run(self):
        """Returns (broken connections, refused iterators) after the last shard."""
        shards = self.kinesis.list_shards(StreamName=self.stream)["Shards"]
        known = {shard["ShardId"] for shard in shards}
        with self.lock:
            for shard in shards:
                if not {shard.get("ParentShardId"), shard.get("AdjacentParentShardId")} & known:
                    self.start(shard["ShardId"])
            while self.running and not self.failure:
                self.over.wait()
        if self.failure:
            raise RuntimeError(self.failure)
        self.log.close()
        return self.broken, self.iterators_refused

    def start(self, shard):
        """Under the lock."""
        self.started.add(shard)
        self.running += 1
        threading.Thread(target=self.guarded, args=(shard,), daemon=True).start()

    def guarded(self, shard):
        try:
            self.follow(shard)
        except Exception:
            with self.lock:
                self.failure = f"{shard}: {traceback.format_exc()}"
        with self.lock:
            self.running -= 1
            self.over.notify_all()

    def end(self, shard, children):
        """A shard has ended: its children start when all their parents have."""
        with self.lock:
            self.ended.add(shard)
            for child in children:
                if child["ShardId"] not in self.started and set(child["ParentShards"]) <= self.ended:
                    self.start(child["ShardId"])

    def deliver(self, shard, records):
        index = shard_index(shard)
        entries = []
        for record in records:
            data = record["Data"]
            producer, attempt = data[:data.index(b"\t")].split(b".")
            key = record["PartitionKey"]
            entries.append(DELIVERY.pack(int(producer), int(attempt), int(key[4:]), index,
                                         number_bytes(record["SequenceNumber"]), digest(key, data)))
        with self.lock:
            self.log.write(b"".join(entries))
        with self.progress.get_lock():
            self.progress.value += len(records)


class Poller(Consumer):
    """GetRecords in a loop."""

    def follow(self, shard):
        iterator = None
        position = {"ShardIteratorType": "TRIM_HORIZON"}
        while True:
            # Whether an empty answer is the last has to be known before it is asked for.
            last_round = self.done.is_set()
            try:
                if iterator is None:
                    iterator = self.kinesis.get_shard_iterator(
                        StreamName=self.stream, ShardId=shard, **position)["ShardIterator"]
                answer = self.kinesis.get_records(ShardIterator=iterator)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if iterator and code in ("ExpiredIteratorException", "InvalidArgumentException"):
                    self.iterators_refused += 1
                    iterator = None
                elif code not in TRY_AGAIN | OUTCOME_UNKNOWN:
                    raise
                pause.wait(IDLE_POLL_SECONDS)
                continue
            except BROKEN:
                # The iterator stays: the same one must give the same records again.
                self.broken += 1
                await_service(self.endpoint, threading.Event())
                continue
            records = answer["Records"]
            if records:
                self.deliver(shard, records)
                position = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                            "StartingSequenceNumber": records[-1]["SequenceNumber"]}
            iterator = answer.get("NextShardIterator")
            if iterator is None:
                self.end(shard, answer["ChildShards"])
                return
            if not records:
                if last_round and answer["MillisBehindLatest"] == 0:
                    return
                pause.wait(IDLE_POLL_SECONDS)


class Subscriber(Consumer):
    """SubscribeToShard, again and again."""

    def __init__(self, *arguments, consumer_arn):
        super().__init__(*arguments)
        self.consumer_arn = consumer_arn

    def follow(self, shard):
        position = {"Type": "TRIM_HORIZON"}
        quiet = 0
        while True:
            try:
                events = self.kinesis.subscribe_to_shard(
                    ConsumerARN=self.consumer_arn, ShardId=shard, StartingPosition=position)["EventStream"]
            except ClientError as error:
                # A subscription that broke less than 5 s ago may still be held against us.
                if error.response["Error"]["Code"] not in {"ResourceInUseException"} | TRY_AGAIN | OUTCOME_UNKNOWN:
                    raise
                pause.wait(IDLE_POLL_SECONDS)
                continue
            except BROKEN:
                self.broken += 1
                await_service(self.endpoint, threading.Event())
                continue
            try:
                for event in events:
                    event = event["SubscribeToShardEvent"]
                    records = event["Records"]
                    if records:
                        self.deliver(shard, records)
                        quiet = 0
                    if event.get("ChildShards"):
                        self.end(shard, event["ChildShards"])
                        return
                    position = {"Type": "AFTER_SEQUENCE_NUMBER",
                                "SequenceNumber": event["ContinuationSequenceNumber"]}
                    # The first empty event may have been on its way when the last record was sent.
                    if self.done.is_set() and not records and event["MillisBehindLatest"] == 0:
                        quiet += 1
                        if quiet == 2:
                            return
            except ClientError:
                self.broken += 1
            except BROKEN:
                self.broken += 1
            finally:
                events.close()


def consume(kind, results, name, *arguments, **options):
    """The body of a consumer process: its counts, or its failure, go to `results`."""
    try:
        results.put((name, kind(*arguments, **options).run(), None))
    except Exception:
        results.put((name, None, traceback.format_exc()))
        sys.exit(1)
