"""The server under test: one process per client, on a port that it picks itself, in a directory of its own.

Not here: building it. `THALWEG_BIN`, or the newest binary of the target directory, is used as it is.
"""

import os
import re
import subprocess
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
READY_SECONDS_MAX = 60
LISTENS = re.compile(r"\b127\.0\.0\.1:([1-9]\d*)\b")


class NoServer(Exception):
    """There is no binary, or it did not come up."""


def find_binary():
    """The binary named by THALWEG_BIN, else the newest one that cargo has built."""
    named = os.environ.get("THALWEG_BIN")
    if named:
        if not os.access(named, os.X_OK):
            raise NoServer(f"THALWEG_BIN is {named}, which is not a program")
        return named
    target = os.environ.get("CARGO_TARGET_DIR") or os.path.join(HERE, "..", "..", "target")
    built = [os.path.join(target, profile, "thalweg") for profile in ("debug", "release")]
    built = [path for path in built if os.access(path, os.X_OK)]
    if not built:
        raise NoServer("no thalweg binary: run `cargo build` first, or name one in THALWEG_BIN")
    return max(built, key=os.path.getmtime)


class Server:
    """A running `thalweg serve`."""

    def __init__(self, binary, directory, ephemeral=False, arguments=(), port=0):
        os.makedirs(directory, exist_ok=True)
        self.data = os.path.join(directory, "data")
        self.log_path = os.path.join(directory, "server.log")
        command = [binary, "serve", "--listen", f"127.0.0.1:{port}"]
        command += ["--ephemeral"] if ephemeral else ["--data-dir", self.data]
        command += arguments
        # Settings from outside must not reach the server under test.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("THALWEG_")}
        log = open(self.log_path, "ab")
        start = log.tell()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
        )
        log.close()
        try:
            self.port = self._await_port(start)
        except NoServer:
            self.kill()
            raise
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def _await_port(self, start):
        pause = threading.Event()
        deadline = time.monotonic() + READY_SECONDS_MAX
        while True:
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                log.seek(start)
                printed = log.read()
            # A line is complete once it ends; "ready" is the last thing that is printed.
            found = LISTENS.search(printed)
            if found and re.search(r"ready in .*\n", printed):
                return int(found.group(1))
            if self.process.poll() is not None:
                raise NoServer(f"the server ended with {self.process.returncode}: {printed[-1000:]}")
            if time.monotonic() > deadline:
                raise NoServer(f"not ready in {READY_SECONDS_MAX} s: {printed[-1000:]}")
            pause.wait(0.005)

    def stop(self):
        """Asks the server to end; its exit code, or None when it had to be killed."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()
