#!/usr/bin/env python3
"""Long runs under trouble: nothing acknowledged may be lost, doubled, reordered or changed.

    soak.py follow [--bytes N] [--text GIT_DIRECTORY ...]    a real text, two consumers, a split, a merge, a kill -9
    soak.py crashes [--cycles N]                             kill -9 at random moments under load, N times

Both take --bin, --seed, --producers, --directory. Either prints its seed and, at the end, the verdict and checksums.
The moments of the kills come from the seed, but the machine's timing does not: a run cannot be repeated exactly.

Not here: sending and receiving (workers.py), the verdict (ledger.py).
"""

import argparse
import multiprocessing
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..")]

from clients import install_python
from server import NoServer, Server, find_binary

try:
    import boto3  # noqa: F401
except ImportError:
    # Again, with the Python that has it.
    python = install_python()
    os.execv(python, [python, "-B", os.path.abspath(__file__), *sys.argv[1:]])

import ledger
import workers

STREAM = "soak"
SHARDS = 8
TOP = 2**128 - 1
CHANGE_SECONDS_MAX = 60
# A consumer that gets nothing for so long while there is something to get has failed, in seconds.
STALL_SECONDS_MAX = 120
REPORT_SECONDS = 10

pause = threading.Event()


class Trouble(Exception):
    """The run cannot go on, or went wrong."""


def say(text):
    print(f"[{time.monotonic() - BEGUN:7.1f} s] {text}", flush=True)


BEGUN = time.monotonic()


# ---- the text ----


def write_text(directories, size, path):
    """`git log -p` of the directories, cut at the first line end after `size` bytes; repeated when it is too short."""
    written = 0
    with open(path, "wb") as out:
        while written < size:
            before = written
            for directory in directories:
                git = subprocess.Popen(["git", "-C", directory, "log", "-p", "--no-color", "--no-ext-diff"],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
                for line in git.stdout:
                    out.write(line)
                    written += len(line)
                    if written >= size:
                        break
                git.stdout.close()
                git.kill()
                git.wait()
                if written >= size:
                    break
            if written == before:
                raise Trouble(f"`git log -p` prints nothing in {directories}")
            if written < size:
                say(f"the text is only {written - before:,} bytes long: it is repeated")
    return written


# ---- the service ----


class Service:
    """The server, its stream, and what is done to them on the way."""

    def __init__(self, binary, directory):
        self.binary = binary
        self.directory = directory
        self.server = Server(binary, directory)
        self.endpoint = self.server.endpoint
        self.kinesis = workers.client(self.endpoint)
        self.kills = 0
        self.slowest_start = 0.0
        self.reshards = []

    def create(self):
        self.kinesis.create_stream(StreamName=STREAM, ShardCount=SHARDS)
        self.await_active()
        arn = self.summary()["StreamARN"]
        consumer = self.kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="soak")["Consumer"]
        deadline = time.monotonic() + CHANGE_SECONDS_MAX
        while self.kinesis.describe_stream_consumer(ConsumerARN=consumer["ConsumerARN"])[
                "ConsumerDescription"]["ConsumerStatus"] != "ACTIVE":
            if time.monotonic() > deadline:
                raise Trouble("the consumer does not become ACTIVE")
            pause.wait(0.02)
        return consumer["ConsumerARN"]

    def summary(self):
        return self.kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]

    def await_active(self):
        deadline = time.monotonic() + CHANGE_SECONDS_MAX
        while self.summary()["StreamStatus"] != "ACTIVE":
            if time.monotonic() > deadline:
                raise Trouble(f"the stream stays {self.summary()['StreamStatus']}")
            pause.wait(0.02)

    def open_shards(self):
        """The open shards in the order of their hash keys; they must cover all keys exactly once."""
        shards = self.kinesis.list_shards(StreamName=STREAM, ShardFilter={"Type": "AT_LATEST"})["Shards"]
        shards.sort(key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
        at = 0
        for shard in shards:
            if int(shard["HashKeyRange"]["StartingHashKey"]) != at:
                raise Trouble(f"the open shards do not meet at {at}: {shards}")
            at = int(shard["HashKeyRange"]["EndingHashKey"]) + 1
        if at != TOP + 1:
            raise Trouble(f"the open shards end at {at}: {shards}")
        return shards

    def split(self, shard):
        keys = shard["HashKeyRange"]
        middle = (int(keys["StartingHashKey"]) + int(keys["EndingHashKey"])) // 2
        self.kinesis.split_shard(StreamName=STREAM, ShardToSplit=shard["ShardId"], NewStartingHashKey=str(middle))
        self.reshards.append(f"split {ledger.shard_index(shard['ShardId'])}")

    def merge(self, shard, neighbour):
        self.kinesis.merge_shards(StreamName=STREAM, ShardToMerge=shard["ShardId"],
                                  AdjacentShardToMerge=neighbour["ShardId"])
        self.reshards.append(
            f"merge {ledger.shard_index(shard['ShardId'])}+{ledger.shard_index(neighbour['ShardId'])}")

    def reshard_somehow(self, dice):
        """A split or a merge of random shards, keeping their number near what it was at first."""
        shards = self.open_shards()
        if len(shards) <= SHARDS // 2 or (len(shards) < SHARDS * 2 and dice.random() < 0.5):
            self.split(dice.choice(shards))
        else:
            first = dice.randrange(len(shards) - 1)
            self.merge(shards[first], shards[first + 1])

    def kill(self):
        self.kills += 1
        self.server.kill()

    def start(self, arguments=()):
        """Starts again on the same port and directory, which has to work without help."""
        begun = time.monotonic()
        self.server = Server(self.binary, self.directory, port=self.server.port, arguments=arguments)
        self.slowest_start = max(self.slowest_start, time.monotonic() - begun)

    def kill_while_starting(self, dice):
        """A start that is killed before, or just after, it is ready."""
        process = subprocess.Popen(
            [self.binary, "serve", "--listen", f"127.0.0.1:{self.server.port}", "--data-dir", self.server.data],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pause.wait(dice.uniform(0, 0.2))
        process.kill()
        process.wait()
        self.kills += 1


# ---- the run ----


class Run:
    """Producers, consumers and their logs around one service."""

    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.service = Service(options.bin, directory)
        self.consumer_arn = self.service.create()
        self.stop = multiprocessing.Event()
        self.done = multiprocessing.Event()
        self.sent = [multiprocessing.Value("q", 0), multiprocessing.Value("q", 0)]
        self.received = {"poller": multiprocessing.Value("q", 0), "subscriber": multiprocessing.Value("q", 0)}
        self.results = multiprocessing.Queue()
        self.producers = []
        self.consumers = []
        self.reported = time.monotonic()

    def path(self, name):
        return os.path.join(self.directory, name)

    def begin(self, lines):
        """`lines(producer)` makes the lines of one producer, in its process."""
        endpoint = self.service.endpoint
        common = (endpoint, STREAM)
        for kind, name, more in ((workers.Poller, "poller", {}),
                                 (workers.Subscriber, "subscriber", {"consumer_arn": self.consumer_arn})):
            self.consumers.append(multiprocessing.Process(
                target=workers.consume,
                args=(kind, self.results, name, *common, self.path(name), self.done, self.received[name]), kwargs=more))
        for producer in range(self.options.producers):
            self.producers.append(multiprocessing.Process(
                target=lambda producer=producer: workers.produce(
                    producer, *common, lines(producer), self.path(f"producer-{producer}"), self.stop, self.sent)))
        for process in self.consumers + self.producers:
            process.start()

    def check(self):
        """Raises when a process has died; reports progress now and then."""
        for process in self.producers + self.consumers:
            if process.exitcode not in (None, 0):
                try:
                    _, _, failure = self.results.get(timeout=2)
                except queue.Empty:
                    failure = "its traceback stands above"
                raise Trouble(f"a producer or consumer died: {failure}")
        if time.monotonic() - self.reported > REPORT_SECONDS:
            self.reported = time.monotonic()
            counts = ", ".join(f"{name} {value.value:,}" for name, value in self.received.items())
            say(f"acknowledged {self.sent[0].value:,} records, {self.sent[1].value / 1e6:,.1f} MB; {counts}")

    def until(self, ready):
        while not ready():
            self.check()
            pause.wait(0.02)

    def finish(self):
        """Lets everything come to rest: producers first, then the consumers at the tips."""
        self.stop.set()
        self.until(lambda: all(process.exitcode is not None for process in self.producers))
        self.check()
        self.done.set()
        say(f"all is sent: {self.sent[0].value:,} records acknowledged; the consumers catch up")
        last, since = None, time.monotonic()
        while any(process.exitcode is None for process in self.consumers):
            self.check()
            now = [value.value for value in self.received.values()]
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS_MAX:
                raise Trouble(f"the consumers receive nothing, at {now} of {self.sent[0].value}")
            pause.wait(0.05)
        self.check()
        counts = dict(self.results.get(timeout=10)[:2] for _ in self.consumers)
        for name, (broken, refused) in counts.items():
            say(f"{name}: {broken} broken connections, {refused} iterators refused")

    def read_again(self):
        """After a clean stop and a start: everything once more from the horizon."""
        code = self.service.server.stop()
        if code != 0:
            raise Trouble(f"the server ended with {code} when it was asked to stop")
        self.service.start()
        say("stopped and started; reading everything again")
        done = threading.Event()
        done.set()
        counter = multiprocessing.Value("q", 0)
        workers.Poller(self.service.endpoint, STREAM, self.path("reader"), done, counter).run()

    def verdict(self):
        attempts = [ledger.Attempts(self.path(f"producer-{producer}")) for producer in range(self.options.producers)]
        statuses = {}
        for producer in attempts:
            for attempt in range(producer.count):
                status = producer[attempt][0]
                statuses[status] = statuses.get(status, 0) + 1
        count, checksum = ledger.acknowledged(attempts)
        print(f"seed {self.options.seed}; {self.service.kills} kills, slowest start "
              f"{self.service.slowest_start:.2f} s; {len(self.service.reshards)} reshards "
              f"({', '.join(self.service.reshards[:8])}{', …' if len(self.service.reshards) > 8 else ''})")
        print(f"{sum(statuses.values())} attempts: {count} acknowledged, {statuses.get(ledger.UNANSWERED, 0)} unanswered, "
              f"{statuses.get(ledger.REFUSED, 0)} refused; {self.sent[1].value} bytes of text acknowledged")
        print(f"sha256 of the acknowledged records        {checksum}")
        faults = ledger.Faults()
        for name in ("poller", "subscriber", "reader"):
            got, unanswered, received = ledger.verify(attempts, self.path(name), faults, name)
            print(f"sha256 of them as the {name:<10} got them {received}  ({got} + {unanswered} unanswered)")
            if received != checksum:
                faults.add("checksums differ", name)
        if not count:
            faults.add("nothing was acknowledged", "the run proves nothing")
        if faults.count:
            raise Trouble("the records are not what was acknowledged:\n" + faults.report())

    def end(self):
        for process in self.producers + self.consumers:
            if process.is_alive():
                process.kill()
        self.service.server.kill()


def follow(run, options):
    """Show: a text goes through while the stream is split, merged and killed."""
    text = run.path("text")
    size = write_text(options.text or [os.path.join(HERE, "..")], options.bytes, text)
    say(f"{size:,} bytes of text")
    run.begin(lambda producer: workers.text_lines(text, producer, options.producers))
    service = run.service

    def after(part):
        run.until(lambda: run.sent[1].value > size * part or
                  all(process.exitcode is not None for process in run.producers))

    after(0.15)
    service.split(service.open_shards()[0])
    say("a shard is split")
    after(0.4)
    service.await_active()
    shards = service.open_shards()
    service.merge(shards[3], shards[4])
    say("two shards are merged")
    after(0.65)
    service.kill()
    say("kill -9")
    service.start()
    say(f"started again, ready after {service.slowest_start:.2f} s")
    service.await_active()
    service.open_shards()
    run.until(lambda: all(process.exitcode is not None for process in run.producers))


def crashes(run, options):
    """Show: kill -9 at random moments under load."""
    dice = random.Random(options.seed)
    run.begin(lambda producer: workers.noise_lines(options.seed, producer, options.producers))
    service = run.service
    while service.kills < options.cycles:
        # Something must have been acknowledged since the last start, or the load is none.
        before = run.sent[0].value
        run.until(lambda: run.sent[0].value > before)
        resharding = dice.random() < options.reshard
        moment = time.monotonic() + dice.uniform(0, options.cycle_seconds)
        if resharding:
            service.await_active()
            service.reshard_somehow(dice)
            # Half of the reshards are killed at once.
            if dice.random() < 0.5:
                moment = time.monotonic() + dice.uniform(0, 0.02)
        run.until(lambda: time.monotonic() >= moment)
        service.kill()
        if service.kills < options.cycles and dice.random() < 0.15:
            service.kill_while_starting(dice)
        service.start()
        service.await_active()
        service.open_shards()
    say(f"{service.kills} kills are done")


def main():
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--bin", help="the server's binary (else THALWEG_BIN, else cargo's newest)")
    common.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    common.add_argument("--producers", type=int, default=2)
    common.add_argument("--directory", help="where data and logs go (else a temporary directory, removed on success)")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("follow", parents=[common])
    command.add_argument("--bytes", type=int, default=200_000_000)
    command.add_argument("--text", action="append", help="a git directory whose `git log -p` is sent")
    command = commands.add_parser("crashes", parents=[common])
    command.add_argument("--cycles", type=int, default=100)
    command.add_argument("--cycle-seconds", type=float, default=2.0, help="the longest time between two kills")
    command.add_argument("--reshard", type=float, default=0.3, help="the part of cycles with a split or a merge")
    options = parser.parse_args()
    multiprocessing.set_start_method("fork")
    directory = options.directory or tempfile.mkdtemp(prefix="thalweg-soak-")
    os.makedirs(directory, exist_ok=True)
    run = None
    try:
        options.bin = options.bin or find_binary()
        print(f"soak {options.command}, seed {options.seed}, in {directory}", flush=True)
        run = Run(options, directory)
        {"follow": follow, "crashes": crashes}[options.command](run, options)
        run.finish()
        run.read_again()
        run.verdict()
    except (Trouble, NoServer) as trouble:
        print(f"FAILED: {trouble}\ndata and logs: {directory}")
        sys.exit(1)
    finally:
        if run:
            run.end()
    if not options.directory:
        shutil.rmtree(directory)
    print("passed: every acknowledged record exactly once, in order, unchanged; every unanswered one at most once")


if __name__ == "__main__":
    main()
