#!/usr/bin/env python3
"""Writes models/ from the newest botocore package: facts only, no prose, with provenance.

Usage: tools/models.py [VERSION]        the chore behind `cargo xtask models`

Each service keeps its operations, shapes, members, constraints, errors and protocols; documentation, examples and
addresses are dropped. What AWS is known to do beyond its model stands in models/SERVICE/overrides.json, written by
hand and not touched here.
"""

import gzip
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

SERVICES = {"kinesis": "2013-12-02"}
DROPPED = {"documentation", "documentationUrl", "endpointPrefix", "uid"}
MODELS = pathlib.Path(__file__).resolve().parent.parent / "models"


def facts(value):
    if isinstance(value, dict):
        return {key: facts(child) for key, child in value.items() if key not in DROPPED}
    if isinstance(value, list):
        return [facts(child) for child in value]
    return value


def main():
    requirement = f"botocore=={sys.argv[1]}" if len(sys.argv) > 1 else "botocore"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, requirement], check=True
        )
        wheel = next(pathlib.Path(folder).glob("botocore-*.whl"))
        version = wheel.name.split("-")[1]
        with zipfile.ZipFile(wheel) as archive:
            for service, date in SERVICES.items():
                name = f"botocore/data/{service}/{date}/service-2.json.gz"
                model = facts(json.loads(gzip.decompress(archive.read(name))))
                model["provenance"] = {"package": "botocore", "version": version, "file": name, "kept": "facts only"}
                target = MODELS / service / "service.json"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(json.dumps(model, indent=1, sort_keys=True) + "\n")
                print(f"{target.relative_to(MODELS.parent)}: {len(model['operations'])} operations of botocore {version}")


main()
