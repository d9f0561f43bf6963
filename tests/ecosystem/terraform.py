"""Terraform's AWS provider against the server: apply, an empty plan, a change, destroy.

The provider comes from a local mirror only. Without one the test is skipped, loudly: nothing is downloaded.

Not here: what is declared (terraform/main.tf).
"""

import glob
import json
import os
import platform
import shutil
import subprocess

from server import NoServer, Server

HERE = os.path.dirname(os.path.abspath(__file__))
STEP_SECONDS_MAX = 300
# The directories inside a mirror are <host of the registry>/<namespace>/<type>/<version>/<platform>.
PROVIDER = os.path.join("hashicorp", "aws")
WELL_KNOWN = ["/usr/share/terraform/plugins", "/usr/local/share/terraform/plugins", "~/.terraform.d/plugins",
              "~/.local/share/terraform/plugins", *sorted(glob.glob("/opt/*"))]


def find_mirror():
    """A directory that holds the provider for this platform, or None. `THALWEG_TF_MIRROR` is looked at first."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    target = f"{platform.system().lower()}_{machine}"
    for mirror in filter(None, [os.environ.get("THALWEG_TF_MIRROR"), *WELL_KNOWN]):
        mirror = os.path.expanduser(mirror)
        if not os.path.isdir(mirror):
            continue
        for host in os.listdir(mirror):
            versions = os.path.join(mirror, host, PROVIDER)
            if os.path.isdir(versions) and any(
                os.path.isdir(os.path.join(versions, version, target)) for version in os.listdir(versions)
            ):
                return mirror
    return None


class Failed(Exception):
    """A step of Terraform ended otherwise than it should."""


def run(options, directory, client_environment):
    """(outcome, detail), as for the other clients."""
    if shutil.which("terraform") is None:
        return "SKIPPED", "`terraform` is not installed"
    mirror = find_mirror()
    if mirror is None:
        return "SKIPPED", "no mirror with the AWS provider (THALWEG_TF_MIRROR, or one of " + ", ".join(WELL_KNOWN) + ")"

    configuration = os.path.join(directory, "cli.tfrc")
    with open(configuration, "w", encoding="utf-8") as file:
        file.write(f'provider_installation {{ filesystem_mirror {{ path = {json.dumps(mirror)} include = ["*/*/*"] }} }}\n')
        file.write("disable_checkpoint = true\n")
    project = os.path.join(directory, "project")
    os.makedirs(project)
    shutil.copy(os.path.join(HERE, "terraform", "main.tf"), project)
    server = None
    try:
        endpoint = options.endpoint
        if endpoint is None:
            server = Server(options.binary, directory, options.ephemeral)
            endpoint = server.endpoint
        environment = client_environment(endpoint)
        environment.update(TF_CLI_CONFIG_FILE=configuration, TF_IN_AUTOMATION="1", CHECKPOINT_DISABLE="1",
                           TF_VAR_endpoint=endpoint)

        def terraform(*arguments, good=(0,)):
            try:
                done = subprocess.run(["terraform", *arguments, "-no-color"], cwd=project, env=environment,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      encoding="utf-8", timeout=STEP_SECONDS_MAX, check=False)
            except subprocess.TimeoutExpired:
                raise Failed(f"terraform {arguments[0]} took longer than {STEP_SECONDS_MAX} s") from None
            if done.returncode not in good:
                raise Failed(f"terraform {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
            return done.stdout

        terraform("init", "-input=false")
        terraform("apply", "-input=false", "-auto-approve")
        # 0: nothing to do; 2: something differs from what was just applied.
        terraform("plan", "-input=false", "-detailed-exitcode")
        changed = ("-var=shards=4", "-var=retention=25")
        terraform("apply", "-input=false", "-auto-approve", *changed)
        terraform("plan", "-input=false", "-detailed-exitcode", *changed)
        arn = terraform("output", "-raw", "stream_arn")
        if arn != "arn:aws:kinesis:us-east-1:000000000000:stream/canal":
            raise Failed(f"the stream's ARN is {arn}")
        terraform("destroy", "-input=false", "-auto-approve")
        left = terraform("state", "list")
        if left.strip():
            raise Failed(f"left after destroy: {left}")
        version = terraform("version").splitlines()
        return "passed", "; ".join(line.strip("+ ") for line in version[:3] if line.strip() and "on " != line[:3])
    except (Failed, NoServer) as failure:
        return "FAILED", str(failure)
    finally:
        if server:
            server.stop()
