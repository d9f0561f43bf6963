"""The clients: what each needs, how it is installed into the cache, how it is started, what it must use on the wire.

Not here: the scenario, which is the same for all of them.
"""

import hashlib
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
INSTALL_SECONDS_MAX = 900


class Missing(Exception):
    """A tool that this client needs is not on this machine."""


class InstallFailed(Exception):
    """The tools are there, but what they had to install did not arrive."""


def cache_directory():
    named = os.environ.get("THALWEG_ECOSYSTEM_CACHE")
    if named:
        return os.path.abspath(named)
    # The folder that .ci/run keeps its builds in.
    base = os.environ.get("THALWEG_CACHE") or os.path.expanduser("~/.cache/thalweg")
    return os.path.join(base, "ecosystem")


def need(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            raise Missing(f"`{tool}` is not installed")


def sh(command, cwd=None, **environment):
    try:
        done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=INSTALL_SECONDS_MAX, encoding="utf-8", errors="replace")
    except subprocess.TimeoutExpired:
        raise InstallFailed(f"{' '.join(command)} took longer than {INSTALL_SECONDS_MAX} s") from None
    if done.returncode != 0:
        raise InstallFailed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}")


def installed(name, inputs, install):
    """The cache directory of `name`, filled by `install(directory)` unless it was made from the same inputs.

    A directory joins the cache under its final name only when the installation is complete.
    """
    digest = hashlib.sha256(sys.version.encode() if name == "python" else b"")
    for path in inputs:
        with open(os.path.join(HERE, path), "rb") as file:
            digest.update(file.read())
    directory = os.path.join(cache_directory(), f"{name}-{digest.hexdigest()[:16]}")
    done = os.path.join(directory, "installed")
    if not os.path.exists(done):
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        install(directory)
        with open(done, "w", encoding="utf-8"):
            pass
    return directory


# ---- installations; each returns the command that starts the bridge ----

def install_python():
    def install(directory):
        sh([sys.executable, "-m", "venv", directory])
        sh([os.path.join(directory, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check",
            "--requirement", os.path.join(HERE, "python", "requirements.txt")])

    return os.path.join(installed("python", ["python/requirements.txt"], install), "bin", "python")


def boto3():
    return [install_python(), "-B", os.path.join(HERE, "python", "boto3_bridge.py")]


def cli():
    return [install_python(), "-B", os.path.join(HERE, "python", "cli_bridge.py")]


def javascript():
    need("node", "npm")
    inputs = ["javascript/package.json", "javascript/package-lock.json", "javascript/bridge.mjs"]

    def install(directory):
        for path in inputs:
            shutil.copy(os.path.join(HERE, path), directory)
        sh(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=directory)

    return ["node", "--no-warnings", os.path.join(installed("javascript", inputs, install), "bridge.mjs")]


def go():
    need("go")

    def install(directory):
        sh(["go", "build", "-o", os.path.join(directory, "bridge"), "."], cwd=os.path.join(HERE, "go"),
           GOFLAGS="-mod=readonly -buildvcs=false")

    return [os.path.join(installed("go", ["go/go.mod", "go/go.sum", "go/bridge.go"], install), "bridge")]


def java_command(*arguments):
    need("java", "javac", "mvn")

    def install_jars(directory):
        # A copy of the project, because Maven likes to write beside it.
        shutil.copy(os.path.join(HERE, "java", "pom.xml"), directory)
        command = ["mvn", "--quiet", "--batch-mode", "dependency:copy-dependencies",
                   f"-DoutputDirectory={directory}/jars"]
        try:
            sh([*command, "--offline"], cwd=directory)
        except InstallFailed:
            sh(command, cwd=directory)

    jars = os.path.join(installed("java-jars", ["java/pom.xml"], install_jars), "jars", "*")

    def install_classes(directory):
        sh(["javac", "-cp", jars, "-d", directory, os.path.join(HERE, "java", "src", "Bridge.java")])

    classes = installed("java", ["java/pom.xml", "java/src/Bridge.java"], install_classes)
    # The first compiler only: a scenario is over before the second pays.
    return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{classes}:{jars}", "Bridge", *arguments]


def java():
    return java_command()


def java_async():
    return java_command("async")


class Client:
    """A client. `wire` are the pairs of transport and content type that it must have met, as its bridge reports them."""

    def __init__(self, name, install, wire, not_offered=()):
        self.name = name
        self.install = install
        self.wire = set(wire)
        self.not_offered = frozenset(not_offered)


JSON = "application/x-amz-json-1.1"
CBOR = "application/x-amz-cbor-1.1"
EVENTS = "application/vnd.amazon.eventstream"

# Newer than the service's model inside the newest release of some clients: to be removed with their next pins.
NEW_IN_AUTUMN_2026 = ["DryRun", "UpdateStreamRecordDistributionStrategy"]

CLIENTS = [
    Client("boto3", boto3, [f"HTTP/1.1 {JSON}", f"HTTP/1.1 {EVENTS}"]),
    # The CLI reports no wire, and hides SubscribeToShard.
    Client("cli", cli, [], not_offered=["SubscribeToShard", *NEW_IN_AUTUMN_2026]),
    Client("javascript", javascript, [f"h2 {JSON}", f"h2 {EVENTS}"]),
    Client("go", go, [f"HTTP/1.1 {JSON}", f"HTTP/1.1 {EVENTS}"]),
    # For SubscribeToShard alone the SDK asks in JSON.
    Client("java", java, [f"sync {CBOR}", f"async, HTTP/2 {EVENTS}", f"async, HTTP/2 {JSON}"],
           not_offered=NEW_IN_AUTUMN_2026),
    Client("java-async", java_async, [f"async, HTTP/2 {CBOR}", f"async, HTTP/2 {EVENTS}", f"sync {CBOR}"],
           not_offered=NEW_IN_AUTUMN_2026),
]

# The steps whose line a client prints as `not offered`, by operation or member. Any other missing line is a failure.
STEPS_OF = {
    "SubscribeToShard": {
        "subscribe from the horizon",
        "records so far",
        "pushed",
        "subscribe too soon",
        "nothing new",
        "take over",
        "the old subscription ends",
        "pushed after the take-over",
        "the shard ends",
        "and so does its subscription",
        "subscribe to a child",
        "pushed to the child",
        "subscribe at a number",
        "at that number",
        "subscribe to no shard",
        "subscribe for no consumer",
    },
    "DryRun": {
        "put without effect",
        "read without effect",
        "subscribe without effect",
    },
    "UpdateStreamRecordDistributionStrategy": {
        "spread by service",
        "spread",
        "read a record without a key",
        "spread by key",
        "spread by key again",
    },
}
