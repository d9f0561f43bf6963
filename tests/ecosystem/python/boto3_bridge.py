"""boto3 behind the pipe of bridges.py: clients are made as users make them, retries off."""

import base64
import datetime
import threading

import boto3
import botocore
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

import pipe

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)

kinesis = boto3.client("kinesis", config=Config(retries={"total_max_attempts": 1}))
wire = set()
unsubscribed = set()


def note_wire(http_response, **_):
    kind = http_response.headers.get("content-type", "no content type")
    wire.add(f"HTTP/{http_response.raw.version / 10} {kind}")


kinesis.meta.events.register("after-call.kinesis", note_wire)


def decode(value):
    """The driver's JSON as boto3 takes it."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        if "$blob" in value:
            return base64.b64decode(value["$blob"])
        if "$time" in value:
            return EPOCH + datetime.timedelta(milliseconds=value["$time"])
        return {key: decode(item) for key, item in value.items()}
    return value


def encode(value):
    """What boto3 returned as the driver reads it."""
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items() if key != "ResponseMetadata"}
    if isinstance(value, bytes):
        return {"$blob": base64.b64encode(value).decode("ascii")}
    if isinstance(value, datetime.datetime):
        return {"$time": round((value - EPOCH) / datetime.timedelta(milliseconds=1))}
    return value


def follow(name, stream):
    try:
        for event in stream:
            if name in unsubscribed:
                break
            pipe.send({"subscription": name, "event": encode(event["SubscribeToShardEvent"])})
    except ClientError as error:
        pipe.send({"subscription": name, "error": error.response["Error"]["Code"],
                   "message": error.response["Error"]["Message"]})
        return
    except Exception as error:
        pipe.send({"subscription": name, "broken": repr(error)})
        return
    finally:
        stream.close()
    pipe.send({"subscription": name, "end": True})


def handle(request):
    if "about" in request:
        return {"client": "boto3", "version": f"{boto3.__version__}, botocore {botocore.__version__}",
                "wire": sorted(wire)}
    if "unsubscribe" in request:
        unsubscribed.add(request["unsubscribe"])
        return {}
    arguments = decode(request["in"])
    try:
        if "call" in request:
            return encode(getattr(kinesis, xform_name(request["call"]))(**arguments))
        if "pages" in request:
            pages = kinesis.get_paginator(xform_name(request["pages"]))
            return [encode(page) for page in pages.paginate(**arguments)]
        if "wait" in request:
            kinesis.get_waiter(xform_name(request["wait"])).wait(**arguments)
            return {}
        answer = kinesis.subscribe_to_shard(**arguments)
    except ClientError as error:
        raise pipe.Refused(error.response["Error"]["Code"], error.response["Error"]["Message"]) from None
    threading.Thread(target=follow, args=(request["subscribe"], answer["EventStream"]), daemon=True).start()
    return {}


pipe.serve(handle)
