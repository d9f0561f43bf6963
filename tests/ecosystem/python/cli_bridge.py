"""AWS CLI version 1 behind the pipe of bridges.py: each call becomes a command line.

The command line is run by the CLI's own entry point inside this process (a process per call would cost a
hundred interpreter starts); waiters and pages run the installed `aws` program itself. Both read the options and
print JSON as they do in a terminal.
"""

import base64
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile

import awscli
import botocore.session
from awscli.clidriver import create_clidriver
from botocore import xform_name

import pipe

MODEL = botocore.session.get_session().get_service_model("kinesis")
ERROR = re.compile(r"An error occurred \((\w+)\) when calling the \w+ operation(?: \([^)]*\))?: ?(.*)", re.S)
CLI = create_clidriver()
PROGRAM = os.path.join(os.path.dirname(sys.executable), "aws")
# Blobs are given to the CLI as files (`fileb://`): its plain arguments are text.
blobs = tempfile.TemporaryDirectory(prefix="thalweg-cli-")


def blob_file(value):
    path = os.path.join(blobs.name, "blob")
    path += str(len(os.listdir(blobs.name)))
    with open(path, "wb") as file:
        file.write(base64.b64decode(value["$blob"]))
    return path


def plain(value):
    """A nested argument in the CLI's JSON form."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        if "$time" in value:
            return value["$time"] / 1000
        return {key: plain(item) for key, item in value.items()}
    return value


def shorthand(record):
    """A PutRecords record in the CLI's shorthand form, the only one that takes nested binary values."""
    parts = []
    for key, value in record.items():
        if isinstance(value, dict):
            parts.append(f"{key}@=fileb://{blob_file(value)}")
        else:
            parts.append(f"{key}={value}")
    return ",".join(parts)


def options(operation, arguments):
    words = ["kinesis", xform_name(operation, "-")]
    for member, value in arguments.items():
        name = "--" + xform_name(member, "-")
        if value is True:
            words.append(name)
        elif value is False:
            words.append(name.replace("--", "--no-", 1))
        elif isinstance(value, dict) and "$blob" in value:
            words += [name, "fileb://" + blob_file(value)]
        elif isinstance(value, dict) and "$time" in value:
            words += [name, str(value["$time"] / 1000)]
        elif member == "Records":
            words += [name, *[shorthand(record) for record in value]]
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            words += [name, *value]
        elif isinstance(value, (dict, list)):
            words += [name, json.dumps(plain(value))]
        else:
            words += [name, str(value)]
    return words


def run_inside(words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = CLI.main(words)
    return code, out.getvalue(), err.getvalue()


def run_program(words):
    done = subprocess.run([PROGRAM, *words], capture_output=True, encoding="utf-8", check=False,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def answer(run, words):
    code, out, err = run(words)
    if code == 0:
        return json.loads(out) if out.strip() else {}
    found = ERROR.search(err)
    if found:
        raise pipe.Refused(found.group(1), found.group(2).strip("\n"))
    raise RuntimeError(f"aws {' '.join(words)[:300]} ended with {code}: {err}")


def encode(value, shape):
    """The CLI's printed JSON as the driver reads it; the service's model says what is binary and what is a time."""
    if shape is None or value is None:
        return value
    if shape.type_name == "structure":
        return {key: encode(item, shape.members.get(key)) for key, item in value.items()}
    if shape.type_name == "list":
        return [encode(item, shape.member) for item in value]
    if shape.type_name == "blob":
        return {"$blob": value}
    if shape.type_name == "timestamp":
        return {"$time": round(value * 1000)}
    return value


def handle(request):
    if "about" in request:
        return {"client": "AWS CLI", "version": awscli.__version__, "wire": []}
    if "call" in request:
        words = options(request["call"], request["in"])
        out = answer(run_inside, ["--no-paginate", *words])
        return encode(out, MODEL.operation_model(request["call"]).output_shape)
    if "pages" in request:
        arguments = {**request["in"]}
        page_size = arguments.pop("Limit", None) or arguments.pop("MaxResults")
        words = [*options(request["pages"], arguments), "--page-size", str(page_size)]
        out = answer(run_program, words)
        return [encode(out, MODEL.operation_model(request["pages"]).output_shape)]
    if "wait" in request:
        words = options(request["wait"], request["in"])
        answer(run_program, [words[0], "wait", *words[1:]])
        return {}
    raise RuntimeError("the CLI offers no SubscribeToShard")


pipe.serve(handle)
