"""The scenario: every call that each client makes, in order (README.md draws it).

A step makes a call and prints one transcript line. What the line should be stands in expected.jsonl, written by
hand from AWS's documented behaviour and recordings of it. Steps that have to wait ask the service again until
a bounded deadline; none of them sleeps for a fixed time and hopes.

Not here: how an answer becomes a line (transcript.py), how a client is driven (bridges.py).
"""

import base64
import json
import threading
import time

from bridges import AwsError, Broken
from transcript import line, show, show_message

# How long a status may take to change, and an event to arrive, in seconds. Against a server without transition
# delay either takes milliseconds; an idle subscription is due an event every 5 s.
DEADLINE_SECONDS = 30
# Between two questions about the same thing.
POLL_SECONDS = 0.02

TOP = 2**128 - 1
HALF = 2**127
QUARTER = 2**126

SHARD = "shardId-{:012d}".format


def blob(data):
    return {"$blob": base64.b64encode(data).decode("ascii")}


def text(data):
    return blob(data.encode("utf-8"))


class NotInTime(Exception):
    """What a step waited for did not come before its deadline."""


class Scenario:
    """One client's run: makes calls, prints lines, and keeps the names of sequence numbers."""

    def __init__(self, bridge, names, emit, not_offered):
        self.bridge = bridge
        self.names = names
        self.emit = emit
        self.not_offered = not_offered
        self.called = set()
        self.pause = threading.Event()

    # ---- steps ----

    def print(self, step, shown):
        self.emit(line(step, shown))

    def ask(self, operation, request):
        self.called.add(operation)
        return self.bridge.call(operation, request)

    def call(self, step, operation, request, view=lambda out: out):
        """Makes a call and prints its answer, or the part of it that `view` picks."""
        out = self.ask(operation, request)
        self.print(step, {"out": show(view(out), self.names)})
        return out

    def refused(self, step, operation, request, message=True):
        """Makes a call that must fail, and prints the error; `message=False` where AWS's wording is not known."""
        try:
            out = self.ask(operation, request)
        except AwsError as error:
            shown = {"error": error.code}
            if message:
                shown["message"] = show_message(error.message)
            self.print(step, shown)
            return
        self.print(step, {"out": show(out, self.names)})

    def until(self, operation, request, ready):
        """Repeats a call until `ready` says yes to its answer."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            out = self.ask(operation, request)
            if ready(out):
                return out
            if time.monotonic() > deadline:
                raise NotInTime(f"{operation} still answers {json.dumps(out)[:500]}")
            self.pause.wait(POLL_SECONDS)

    def active(self, stream, step=None, view=lambda out: out):
        """Waits until a stream is ACTIVE, and prints its summary when there is a step for it."""
        out = self.until(
            "DescribeStreamSummary",
            {"StreamName": stream},
            lambda out: out["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE",
        )["StreamDescriptionSummary"]
        if step:
            self.print(step, {"out": show(view(out), self.names)})
        return out

    def shards(self, step, request, view=lambda shards: shards):
        """ListShards, which also teaches the names of the shards' first and last numbers."""
        out = self.ask("ListShards", request)
        self.names.learn_shards(out["Shards"])
        shown = {"Shards": view(out["Shards"])}
        if "NextToken" in out:
            shown["NextToken"] = out["NextToken"]
        self.print(step, {"out": show(shown, self.names)})
        return out

    def put(self, step, request):
        """PutRecord; its sequence number gets the next name, `<r1>`, `<r2>`, …"""
        out = self.ask("PutRecord", request)
        rises = self.names.learn(out["ShardId"], out["SequenceNumber"])
        out.pop("EncryptionType", None)  # whether AWS sends it for a clear stream is not recorded
        self.print(step, {"out": show(out, self.names), "holds": {"number rises": rises}})
        return out

    def put_many(self, step, request):
        """PutRecords; the numbers get the next names in the order of the request."""
        out = self.ask("PutRecords", request)
        rises = [
            self.names.learn(record["ShardId"], record["SequenceNumber"])
            for record in out["Records"]
            if "SequenceNumber" in record
        ]
        out.pop("EncryptionType", None)
        self.print(step, {"out": show(out, self.names), "holds": {"numbers rise": all(rises)}})
        return out

    def iterator(self, request):
        return self.ask("GetShardIterator", request)["ShardIterator"]

    def read(self, step, request, count):
        """GetRecords from a new iterator until `count` records are read and the tip, or the shard's end, is reached.

        An answer may be short or empty before the tip; the line shows all of them as one.
        """
        deadline = time.monotonic() + DEADLINE_SECONDS
        iterator = self.iterator(request)
        records = []
        while True:
            out = self.ask("GetRecords", {"ShardIterator": iterator})
            records += out["Records"]
            ended = "NextShardIterator" not in out
            if ended or (len(records) >= count and out["MillisBehindLatest"] == 0):
                break
            if time.monotonic() > deadline:
                raise NotInTime(f"{step}: {len(records)} of {count} records came")
            iterator = out["NextShardIterator"]
        self.print(step, {"out": show({**out, "Records": records}, self.names)})
        return records

    # ---- subscriptions ----

    def offered(self, feature, *steps):
        """Whether the client offers an operation or a member; when not, prints its steps' lines as not offered."""
        if feature not in self.not_offered:
            return True
        for step in steps:
            self.print(step, {"not offered": True})
        return False

    def subscribe(self, step, name, request, patient=False):
        """SubscribeToShard; `patient` repeats it while the service says that the last one is too recent."""
        self.called.add("SubscribeToShard")
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                self.bridge.subscribe(name, request)
                break
            except AwsError as error:
                if not (patient and error.code == "ResourceInUseException" and time.monotonic() < deadline):
                    raise
                self.pause.wait(POLL_SECONDS)
        self.print(step, {"out": {}})

    def subscribe_refused(self, step, name, request):
        self.called.add("SubscribeToShard")
        try:
            self.bridge.subscribe(name, request)
            self.print(step, {"out": {}})
        except AwsError as error:
            self.print(step, {"error": error.code})

    def events(self, step, name, done):
        """Awaits events until `done(records, event)`, and prints them as one; returns the last."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        records = []
        while True:
            message = self.bridge.event(name, deadline - time.monotonic())
            if message is None:
                raise NotInTime(f"{step}: no event; so far {len(records)} records")
            if "event" not in message:
                raise Broken(f"{step}: the subscription is over: {message}")
            event = message["event"]
            records += event["Records"]
            if done(records, event):
                break
        self.print(step, {"out": show({**event, "Records": records}, self.names)})
        return event

    def ended(self, step, name):
        """Awaits the end of a subscription, be it clean or by an error."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            message = self.bridge.event(name, deadline - time.monotonic())
            if message is None:
                raise NotInTime(f"{step}: the subscription goes on")
            if "event" not in message:
                break
        self.print(step, {"out": {"ended": True}})


def run(s):
    """The whole scenario."""
    creation(s)
    puts(s)
    reads(s)
    merged = split_and_merge(s)
    fan_out(s, merged)
    by_time(s)
    tags(s)
    retention(s)
    switches(s)
    update_count(s)
    on_demand(s)
    limits_and_pages(s)
    errors(s)
    deletion(s)


RIVER = {"StreamName": "river"}
RIVER_ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/river"


def creation(s):
    s.call("no streams yet", "ListStreams", {})
    s.call("create", "CreateStream", {**RIVER, "ShardCount": 2, "Tags": {"source": "spring"}})
    s.active("river", "active")
    s.refused("create again", "CreateStream", {**RIVER, "ShardCount": 2})
    s.print("waiter", {"out": s.bridge.ask({"wait": "StreamExists", "in": RIVER})})
    described = s.ask("DescribeStream", RIVER)["StreamDescription"]
    s.names.learn_shards(described["Shards"])
    s.print("describe", {"out": show(described, s.names)})
    s.call("describe by ARN", "DescribeStreamSummary", {"StreamARN": RIVER_ARN},
           view=lambda out: out["StreamDescriptionSummary"]["StreamName"])
    s.call("list", "ListStreams", {})


def puts(s):
    s.put("put by key", {**RIVER, "PartitionKey": "rhine", "Data": text("from the Alps to the North Sea")})
    every_byte = bytes(range(256))
    last = s.put("put every byte value", {**RIVER, "PartitionKey": "danube", "Data": blob(every_byte)})
    s.put("put in order", {**RIVER, "PartitionKey": "danube", "Data": blob(b"\xff\xfe\x00 not UTF-8"),
                           "SequenceNumberForOrdering": last["SequenceNumber"]})
    s.put("put by lowest hash key", {**RIVER, "PartitionKey": "danube", "ExplicitHashKey": "0", "Data": text("low")})
    s.put("put by highest hash key",
          {"StreamARN": RIVER_ARN, "PartitionKey": "rhine", "ExplicitHashKey": str(TOP), "Data": text("high")})
    s.put("put nothing by a key that is not ASCII", {**RIVER, "PartitionKey": "川", "Data": blob(b"")})
    s.put_many("put many", {**RIVER, "Records": [
        {"PartitionKey": "weser", "Data": text("one")},
        {"PartitionKey": "elbe", "Data": blob(bytes([0x80, 0x81, 0x82]))},
        {"PartitionKey": "weser", "Data": text("two")},
        {"PartitionKey": "moselle", "ExplicitHashKey": str(HALF - 1), "Data": text("last of the lower shard")},
        {"PartitionKey": "weser", "ExplicitHashKey": str(HALF), "Data": text("first of the upper shard")},
        {"PartitionKey": "inn", "Data": blob(b"\n" * 300)},
    ]})
    if s.offered("DryRun", "put without effect"):
        s.refused("put without effect", "PutRecord",
                  {**RIVER, "PartitionKey": "rhine", "Data": text("dry"), "DryRun": True}, message=False)


def reads(s):
    lower = {**RIVER, "ShardId": SHARD(0)}
    upper = {**RIVER, "ShardId": SHARD(1)}
    s.call("iterator", "GetShardIterator", {**lower, "ShardIteratorType": "TRIM_HORIZON"})
    records = s.read("read from the horizon", {**lower, "ShardIteratorType": "TRIM_HORIZON"}, 6)
    s.read("read the other shard", {**upper, "ShardIteratorType": "TRIM_HORIZON"}, 6)
    s.read("read at a number", {**lower, "ShardIteratorType": "AT_SEQUENCE_NUMBER",
                                "StartingSequenceNumber": records[2]["SequenceNumber"]}, 4)
    s.read("read after a number", {**lower, "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                                   "StartingSequenceNumber": records[2]["SequenceNumber"]}, 3)
    s.read("read at a time before the stream", {**lower, "ShardIteratorType": "AT_TIMESTAMP",
                                                "Timestamp": {"$time": 1_000_000_000_000}}, 6)

    # Pages of two; an iterator can be used again, and gives the same.
    def page(out):
        # How far behind the tip the records are depends on the clock.
        return {**out, "MillisBehindLatest": "<ms>" if out["MillisBehindLatest"] >= 0 else out["MillisBehindLatest"]}

    first = s.iterator({**lower, "ShardIteratorType": "TRIM_HORIZON"})
    out = s.call("page 1", "GetRecords", {"ShardIterator": first, "Limit": 2}, view=page)
    s.call("page 1 again", "GetRecords", {"ShardIterator": first, "Limit": 2}, view=page)
    s.call("page 2", "GetRecords", {"ShardIterator": out["NextShardIterator"], "Limit": 2}, view=page)

    latest = s.iterator({**lower, "ShardIteratorType": "LATEST"})
    out = s.call("latest is empty", "GetRecords", {"ShardIterator": latest})
    s.put("put after latest", {**RIVER, "PartitionKey": "weser", "Data": text("after latest")})
    s.call("latest stands where it was made", "GetRecords", {"ShardIterator": latest})
    s.call("so does the next one", "GetRecords", {"ShardIterator": out["NextShardIterator"]})
    if s.offered("DryRun", "read without effect"):
        s.refused("read without effect", "GetRecords", {"ShardIterator": latest, "DryRun": True}, message=False)


def split_and_merge(s):
    before = s.iterator({**RIVER, "ShardId": SHARD(0), "ShardIteratorType": "LATEST"})
    s.call("split", "SplitShard", {**RIVER, "ShardToSplit": SHARD(0), "NewStartingHashKey": str(QUARTER)})
    s.active("river", "split is done", view=lambda out: {"OpenShardCount": out["OpenShardCount"]})
    s.shards("shards after the split", RIVER)
    s.call("the end of a shard from its tip", "GetRecords", {"ShardIterator": before})
    s.read("the closed shard from the horizon",
           {**RIVER, "ShardId": SHARD(0), "ShardIteratorType": "TRIM_HORIZON"}, 7)
    s.put("put to the lower child", {**RIVER, "PartitionKey": "weser", "Data": text("lower child")})
    s.put("put to the upper child", {**RIVER, "PartitionKey": "rhine", "Data": text("upper child")})
    s.refused("split a closed shard", "SplitShard",
              {**RIVER, "ShardToSplit": SHARD(0), "NewStartingHashKey": str(QUARTER)}, message=False)
    s.refused("split outside the shard", "SplitShard",
              {**RIVER, "ShardToSplit": SHARD(2), "NewStartingHashKey": str(QUARTER)})
    s.refused("split a shard that is not there", "SplitShard",
              {**RIVER, "ShardToSplit": SHARD(77), "NewStartingHashKey": str(QUARTER)})
    s.refused("merge shards that do not touch", "MergeShards",
              {**RIVER, "ShardToMerge": SHARD(2), "AdjacentShardToMerge": SHARD(1)})

    def ids(shards):
        return [shard["ShardId"] for shard in shards]

    s.shards("open shards", {**RIVER, "ShardFilter": {"Type": "AT_LATEST"}}, view=ids)
    s.shards("shards at the horizon", {**RIVER, "ShardFilter": {"Type": "AT_TRIM_HORIZON"}}, view=ids)
    s.shards("shards from the horizon", {**RIVER, "ShardFilter": {"Type": "FROM_TRIM_HORIZON"}}, view=ids)
    s.shards("shards after an id", {**RIVER, "ShardFilter": {"Type": "AFTER_SHARD_ID", "ShardId": SHARD(1)}}, view=ids)
    s.shards("shards after an id, the old way", {**RIVER, "ExclusiveStartShardId": SHARD(2)}, view=ids)
    page = s.shards("shards, page 1", {**RIVER, "MaxResults": 3}, view=ids)
    s.shards("shards, page 2", {"NextToken": page["NextToken"]}, view=ids)
    s.call("describe, page 1", "DescribeStream", {**RIVER, "Limit": 3},
           view=lambda out: {"ids": ids(out["StreamDescription"]["Shards"]),
                             "more": out["StreamDescription"]["HasMoreShards"]})
    s.call("describe, page 2", "DescribeStream", {**RIVER, "Limit": 3, "ExclusiveStartShardId": SHARD(2)},
           view=lambda out: {"ids": ids(out["StreamDescription"]["Shards"]),
                             "more": out["StreamDescription"]["HasMoreShards"]})

    s.call("merge", "MergeShards", {**RIVER, "ShardToMerge": SHARD(2), "AdjacentShardToMerge": SHARD(3)})
    s.active("river", "merge is done", view=lambda out: {"OpenShardCount": out["OpenShardCount"]})
    s.shards("shards after the merge", RIVER)
    s.read("the end of the upper parent", {**RIVER, "ShardId": SHARD(3), "ShardIteratorType": "TRIM_HORIZON"}, 1)
    merged = s.put("put to the merged shard", {**RIVER, "PartitionKey": "rhine", "Data": text("merged")})
    s.read("read the merged shard", {**RIVER, "ShardId": SHARD(4), "ShardIteratorType": "TRIM_HORIZON"}, 1)
    return merged["SequenceNumber"]


def fan_out(s, merged):
    arn = {"StreamARN": RIVER_ARN}
    boat = s.call("register", "RegisterStreamConsumer", {**arn, "ConsumerName": "boat", "Tags": {"crew": "two"}})
    boat_arn = boat["Consumer"]["ConsumerARN"]
    described = s.until("DescribeStreamConsumer", {"ConsumerARN": boat_arn},
                        lambda out: out["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE")
    s.print("registered", {"out": show(described, s.names)})
    s.refused("register again", "RegisterStreamConsumer", {**arn, "ConsumerName": "boat"}, message=False)
    s.call("register another", "RegisterStreamConsumer", {**arn, "ConsumerName": "anchor"},
           view=lambda out: out["Consumer"]["ConsumerName"])
    s.until("DescribeStreamConsumer", {**arn, "ConsumerName": "anchor"},
            lambda out: out["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE")
    s.call("consumers", "ListStreamConsumers", arn, view=lambda out: {
        **out, "Consumers": sorted(out["Consumers"], key=lambda consumer: consumer["ConsumerName"])})
    page = s.call("consumers, page 1", "ListStreamConsumers", {**arn, "MaxResults": 1},
                  view=lambda out: {"count": len(out["Consumers"]), "more": "NextToken" in out})
    s.call("consumers, page 2", "ListStreamConsumers", {**arn, "NextToken": page["NextToken"]},
           view=lambda out: {"count": len(out["Consumers"]), "more": "NextToken" in out})
    s.call("deregister", "DeregisterStreamConsumer", {**arn, "ConsumerName": "anchor"})
    deadline = time.monotonic() + DEADLINE_SECONDS
    while "anchor" in json.dumps(s.ask("ListStreamConsumers", arn)) and time.monotonic() < deadline:
        s.pause.wait(POLL_SECONDS)
    s.refused("a deregistered consumer", "DescribeStreamConsumer", {**arn, "ConsumerName": "anchor"}, message=False)

    on = {"ConsumerARN": boat_arn, "ShardId": SHARD(1)}
    horizon = {"Type": "TRIM_HORIZON"}
    pushed = {**RIVER, "PartitionKey": "elbe"}
    if s.offered("SubscribeToShard", "subscribe from the horizon", "records so far"):
        s.subscribe("subscribe from the horizon", "first", {**on, "StartingPosition": horizon})
        s.events("records so far", "first", lambda records, _: len(records) >= 6)
    s.put("put while subscribed", {**pushed, "Data": text("pushed")})
    if s.offered("SubscribeToShard", "pushed", "subscribe too soon", "nothing new", "take over",
                 "the old subscription ends"):
        s.events("pushed", "first", lambda records, _: records)
        s.subscribe_refused("subscribe too soon", "too soon", {**on, "StartingPosition": horizon})
        event = s.events("nothing new", "first", lambda _, event: not event["Records"])
        after = {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": event["ContinuationSequenceNumber"]}
        s.subscribe("take over", "second", {**on, "StartingPosition": after}, patient=True)
        s.ended("the old subscription ends", "first")
    s.put("put after the take-over", {**pushed, "Data": text("pushed again")})
    if s.offered("SubscribeToShard", "pushed after the take-over"):
        s.events("pushed after the take-over", "second", lambda records, _: records)
    s.call("split under a subscription", "SplitShard",
           {**RIVER, "ShardToSplit": SHARD(1), "NewStartingHashKey": str(HALF + QUARTER)})
    s.active("river", "that split is done", view=lambda out: {"OpenShardCount": out["OpenShardCount"]})
    child = {"ConsumerARN": boat_arn, "ShardId": SHARD(5)}
    if s.offered("SubscribeToShard", "the shard ends", "and so does its subscription", "subscribe to a child"):
        s.events("the shard ends", "second", lambda _, event: "ChildShards" in event)
        s.ended("and so does its subscription", "second")
        s.subscribe("subscribe to a child", "child", {**child, "StartingPosition": {"Type": "LATEST"}})
    s.put("put to the child", {**pushed, "Data": text("for the child")})
    if s.offered("SubscribeToShard", "pushed to the child", "subscribe at a number", "at that number",
                 "subscribe to no shard", "subscribe for no consumer"):
        s.events("pushed to the child", "child", lambda records, _: records)
        s.bridge.ask({"unsubscribe": "child"})
        at = {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": merged}
        s.subscribe("subscribe at a number", "at",
                    {"ConsumerARN": boat_arn, "ShardId": SHARD(4), "StartingPosition": at})
        s.events("at that number", "at", lambda records, _: records)
        s.bridge.ask({"unsubscribe": "at"})
        s.subscribe_refused("subscribe to no shard", "no shard",
                            {"ConsumerARN": boat_arn, "ShardId": SHARD(77), "StartingPosition": horizon})
        s.subscribe_refused("subscribe for no consumer", "no consumer",
                            {**on, "ConsumerARN": RIVER_ARN + "/consumer/raft:1700000000",
                             "StartingPosition": horizon})
    if s.offered("DryRun", "subscribe without effect"):
        s.subscribe_refused("subscribe without effect", "dry run",
                            {"ConsumerARN": boat_arn, "ShardId": SHARD(6), "StartingPosition": horizon,
                             "DryRun": True})
    s.call("tag a consumer", "TagResource", {"ResourceARN": boat_arn, "Tags": {"flag": "blue"}})
    s.call("tags of a consumer", "ListTagsForResource", {"ResourceARN": boat_arn})


def by_time(s):
    # Several clients cut times to whole seconds. So the clock has to reach another second, that all earlier
    # steps are older than, before the record is put that is then asked for by its time.
    shard = {**RIVER, "ShardId": SHARD(4)}
    records = s.read("before the pause", {**shard, "ShardIteratorType": "TRIM_HORIZON"}, 1)
    older = records[-1]["ApproximateArrivalTimestamp"]["$time"]
    another_second = time.time() // 1 + 2
    while time.time() < another_second:
        s.pause.wait(POLL_SECONDS)
    s.put("put later", {**RIVER, "PartitionKey": "inn", "Data": text("later")})
    newer = s.read("after the pause", {**shard, "ShardIteratorType": "TRIM_HORIZON"}, 2)[-1]
    moment = newer["ApproximateArrivalTimestamp"]
    s.print("arrival times are in order", {"holds": {"later": moment["$time"] > older}})
    s.read("read at a time", {**shard, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": moment}, 1)

    def ids(shards):
        return [shard["ShardId"] for shard in shards]

    s.shards("shards at a time", {**RIVER, "ShardFilter": {"Type": "AT_TIMESTAMP", "Timestamp": moment}}, view=ids)
    s.shards("shards from a time", {**RIVER, "ShardFilter": {"Type": "FROM_TIMESTAMP", "Timestamp": moment}}, view=ids)


def tags(s):
    s.call("tags from creation", "ListTagsForStream", RIVER)
    s.call("add tags", "AddTagsToStream", {**RIVER, "Tags": {"mouth": "delta", "bank": "left"}})
    s.call("all tags", "ListTagsForStream", RIVER)
    s.call("tags, page 1", "ListTagsForStream", {**RIVER, "Limit": 1})
    s.call("tags, page 2", "ListTagsForStream", {**RIVER, "Limit": 2, "ExclusiveStartTagKey": "bank"})
    s.call("remove a tag", "RemoveTagsFromStream", {**RIVER, "TagKeys": ["bank", "no such key"]})
    s.call("tag the resource", "TagResource", {"ResourceARN": RIVER_ARN, "Tags": {"Größe": "α/β", "mouth": "estuary"}})
    s.call("tags of the resource", "ListTagsForResource", {"ResourceARN": RIVER_ARN})
    s.call("untag the resource", "UntagResource", {"ResourceARN": RIVER_ARN, "TagKeys": ["source"]})
    s.call("tags left", "ListTagsForStream", RIVER)
    s.refused("a tag with a forbidden character", "AddTagsToStream", {**RIVER, "Tags": {"a;b": "c"}})


def retention(s):
    def hours(out):
        return {"RetentionPeriodHours": out["RetentionPeriodHours"]}

    s.call("keep longer", "IncreaseStreamRetentionPeriod", {**RIVER, "RetentionPeriodHours": 72})
    s.active("river", "kept longer", view=hours)
    s.refused("increase to less", "IncreaseStreamRetentionPeriod", {**RIVER, "RetentionPeriodHours": 48})
    s.refused("decrease to more", "DecreaseStreamRetentionPeriod", {**RIVER, "RetentionPeriodHours": 96})
    s.call("keep shorter", "DecreaseStreamRetentionPeriod", {**RIVER, "RetentionPeriodHours": 25})
    s.active("river", "kept shorter", view=hours)
    s.refused("too short", "DecreaseStreamRetentionPeriod", {**RIVER, "RetentionPeriodHours": 23})
    s.refused("too long", "IncreaseStreamRetentionPeriod", {**RIVER, "RetentionPeriodHours": 8761}, message=False)


def switches(s):
    metrics = ["IncomingBytes", "OutgoingRecords"]
    s.call("watch more closely", "EnableEnhancedMonitoring", {**RIVER, "ShardLevelMetrics": metrics})
    s.active("river", "watched", view=lambda out: {"EnhancedMonitoring": out["EnhancedMonitoring"]})
    s.call("watch less closely", "DisableEnhancedMonitoring", {**RIVER, "ShardLevelMetrics": ["IncomingBytes"]})
    s.active("river")
    s.call("stop watching", "DisableEnhancedMonitoring", {**RIVER, "ShardLevelMetrics": ["ALL"]})
    s.active("river")

    policy = json.dumps({"Version": "2012-10-17", "Statement": [{
        "Sid": "ferry", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
        "Action": ["kinesis:DescribeStreamSummary", "kinesis:ListShards"], "Resource": RIVER_ARN}]})
    on = {"ResourceARN": RIVER_ARN}
    s.call("no policy", "GetResourcePolicy", on)
    s.call("put policy", "PutResourcePolicy", {**on, "Policy": policy})
    s.call("policy", "GetResourcePolicy", on, view=lambda out: {"Policy": json.loads(out["Policy"])})
    s.call("delete policy", "DeleteResourcePolicy", on)
    s.call("no policy again", "GetResourcePolicy", on)

    large = {**RIVER, "PartitionKey": "weser", "Data": blob(b"\xa5" * (1024 * 1024 + 512 * 1024))}
    try:
        s.ask("PutRecord", large)
        s.print("too large a record", {"out": {}})
    except AwsError:
        # Neither the code nor the text that AWS gives since records may be larger is recorded.
        s.print("too large a record", {"out": {"refused": True}})
    s.call("allow larger records", "UpdateMaxRecordSize", {"StreamARN": RIVER_ARN, "MaxRecordSizeInKiB": 2048})
    s.active("river", "larger records allowed", view=lambda out: {"MaxRecordSizeInKiB": out["MaxRecordSizeInKiB"]})
    put = s.put("a large record", large)
    s.read("read the large record", {**RIVER, "ShardId": put["ShardId"], "ShardIteratorType": "AT_SEQUENCE_NUMBER",
                                     "StartingSequenceNumber": put["SequenceNumber"]}, 1)


def update_count(s):
    delta = {"StreamName": "delta"}

    def ranges(shards):
        return sorted((shard["HashKeyRange"] for shard in shards), key=lambda keys: int(keys["StartingHashKey"]))

    s.call("create delta", "CreateStream", {**delta, "ShardCount": 2})
    s.active("delta")
    s.call("to 4 shards", "UpdateShardCount", {**delta, "TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"})
    s.active("delta", "has 4 shards", view=lambda out: {"OpenShardCount": out["OpenShardCount"]})
    s.shards("the 4 ranges", {**delta, "ShardFilter": {"Type": "AT_LATEST"}}, view=ranges)
    s.call("shards made so far", "ListShards", delta, view=lambda out: {"count": len(out["Shards"])})
    s.refused("more than double", "UpdateShardCount",
              {**delta, "TargetShardCount": 9, "ScalingType": "UNIFORM_SCALING"}, message=False)
    s.refused("less than half", "UpdateShardCount",
              {**delta, "TargetShardCount": 1, "ScalingType": "UNIFORM_SCALING"}, message=False)
    s.call("back to 2 shards", "UpdateShardCount",
           {**delta, "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"})
    s.active("delta", "has 2 shards", view=lambda out: {"OpenShardCount": out["OpenShardCount"]})
    s.shards("the 2 ranges", {**delta, "ShardFilter": {"Type": "AT_LATEST"}}, view=ranges)
    s.call("shards made in all", "ListShards", delta, view=lambda out: {"count": len(out["Shards"])})


def on_demand(s):
    lake = {"StreamName": "lake"}
    arn = {"StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/lake"}

    def mode(out):
        return {"StreamModeDetails": out["StreamModeDetails"], "OpenShardCount": out["OpenShardCount"]}

    def strategy(out):
        # A set member that `show` would leave out: the steps are about it.
        return {"strategy": out["RecordDistributionStrategy"]}

    s.call("create on demand", "CreateStream", {**lake, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}})
    s.active("lake", "is on demand", view=mode)
    s.refused("split on demand", "SplitShard",
              {**lake, "ShardToSplit": SHARD(0), "NewStartingHashKey": "1000"}, message=False)
    if s.offered("UpdateStreamRecordDistributionStrategy", "spread by service", "spread",
                 "read a record without a key", "spread by key", "spread by key again"):
        s.call("spread by service", "UpdateStreamRecordDistributionStrategy",
               {**arn, "RecordDistributionStrategy": "AUTO"})
        s.active("lake", "spread", view=strategy)
        # Which shard gets it is the service's choice.
        put = s.ask("PutRecord", {**lake, "Data": text("no key")})
        s.names.learn(put["ShardId"], put["SequenceNumber"], "<keyless>")
        s.read("read a record without a key",
               {**lake, "ShardId": put["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}, 1)
        s.call("spread by key", "UpdateStreamRecordDistributionStrategy",
               {**arn, "RecordDistributionStrategy": "USER_PARTITION_KEY"})
        s.active("lake", "spread by key again", view=strategy)

    s.call("account settings", "DescribeAccountSettings", {}, view=lambda out: {
        "Status": out["MinimumThroughputBillingCommitment"]["Status"]})
    s.call("commit", "UpdateAccountSettings", {"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}},
           view=lambda out: {"Status": out["MinimumThroughputBillingCommitment"]["Status"]})
    s.call("warm up", "UpdateStreamWarmThroughput", {**lake, "WarmThroughputMiBps": 8},
           view=lambda out: {"StreamName": out["StreamName"], "StreamARN": out["StreamARN"],
                             "target": out["WarmThroughput"]["TargetMiBps"]})
    s.active("lake")
    s.call("to provisioned", "UpdateStreamMode", {**arn, "StreamModeDetails": {"StreamMode": "PROVISIONED"}})
    s.active("lake", "is provisioned", view=lambda out: {"StreamModeDetails": out["StreamModeDetails"]})
    s.call("to on demand", "UpdateStreamMode", {**arn, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}})
    s.active("lake", "is on demand again", view=lambda out: {"StreamModeDetails": out["StreamModeDetails"]})


def limits_and_pages(s):
    # Streams by now: river with 3 open shards, delta with 2, lake on demand.
    s.call("limits", "DescribeLimits", {}, view=lambda out: {
        "ShardLimit": out["ShardLimit"], "OnDemandStreamCount": out["OnDemandStreamCount"],
        "OnDemandStreamCountLimit": out["OnDemandStreamCountLimit"]})
    pages = s.bridge.ask({"pages": "ListStreams", "in": {"Limit": 1}})
    s.print("paginator", {"out": {"StreamNames": [name for page in pages for name in page["StreamNames"]]}})
    s.call("list after a name", "ListStreams", {"ExclusiveStartStreamName": "delta", "Limit": 1},
           view=lambda out: {"StreamNames": out["StreamNames"], "HasMoreStreams": out["HasMoreStreams"]})


def errors(s):
    ghost = {"StreamName": "ghost"}
    s.refused("describe no stream", "DescribeStream", ghost)
    s.refused("put to no stream", "PutRecord", {**ghost, "PartitionKey": "k", "Data": text("x")})
    s.refused("put many to no stream", "PutRecords", {**ghost, "Records": [{"PartitionKey": "k", "Data": text("x")}]})
    s.refused("shards of no stream", "ListShards", ghost, message=False)
    s.refused("a stream of another region", "DescribeStreamSummary",
              {"StreamARN": RIVER_ARN.replace("us-east-1", "eu-central-1")}, message=False)
    s.refused("neither name nor ARN", "DescribeStreamSummary", {}, message=False)
    s.refused("one violation", "GetRecords", {"ShardIterator": "i", "Limit": 10001})
    s.refused("two violations", "PutRecord", {"StreamName": "no/name", "PartitionKey": "k" * 257, "Data": text("x")})
    s.refused("a violation inside a list", "PutRecords",
              {**RIVER, "Records": [{"PartitionKey": "k", "Data": text("x")},
                                    {"PartitionKey": "k", "ExplicitHashKey": "007", "Data": text("x")}]},
              message=False)
    s.refused("an unknown iterator type", "GetShardIterator",
              {**RIVER, "ShardId": SHARD(0), "ShardIteratorType": "SOMEWHERE"}, message=False)
    s.refused("hash key out of range", "PutRecord",
              {**RIVER, "PartitionKey": "k", "ExplicitHashKey": str(2**128), "Data": text("x")})
    s.refused("hash key out of range among many", "PutRecords",
              {**RIVER, "Records": [{"PartitionKey": "k", "ExplicitHashKey": str(2**128), "Data": text("x")}]})
    s.refused("ordering after the future", "PutRecord",
              {**RIVER, "PartitionKey": "rhine", "Data": text("x"), "SequenceNumberForOrdering": "9" * 56})
    s.refused("a bad iterator", "GetRecords", {"ShardIterator": "this is no iterator"})
    on = {**RIVER, "ShardId": SHARD(4)}
    s.refused("an iterator on no shard", "GetShardIterator",
              {**RIVER, "ShardId": SHARD(77), "ShardIteratorType": "LATEST"})
    s.refused("an iterator on a bad shard id", "GetShardIterator",
              {**RIVER, "ShardId": "not-a-shard", "ShardIteratorType": "LATEST"})
    s.refused("a number is missing", "GetShardIterator", {**on, "ShardIteratorType": "AT_SEQUENCE_NUMBER"})
    s.refused("a number too many", "GetShardIterator",
              {**on, "ShardIteratorType": "LATEST", "StartingSequenceNumber": "0"})
    s.refused("a time is missing", "GetShardIterator", {**on, "ShardIteratorType": "AT_TIMESTAMP"})
    s.refused("a time to come", "GetShardIterator",
              {**on, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": {"$time": 4_000_000_000_000}})
    of_another = next(number for number, name in s.names.by_number.items() if name == "<r1>")
    s.refused("a number of another shard", "GetShardIterator",
              {**on, "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": of_another})
    s.refused("tags of no stream", "ListTagsForStream", ghost)
    s.refused("policy of no stream", "GetResourcePolicy",
              {"ResourceARN": RIVER_ARN.replace("river", "ghost")}, message=False)


def deletion(s):
    old_iterator = s.iterator({**RIVER, "ShardId": SHARD(4), "ShardIteratorType": "TRIM_HORIZON"})
    s.refused("delete with a consumer", "DeleteStream", RIVER, message=False)
    s.call("delete all the same", "DeleteStream", {**RIVER, "EnforceConsumerDeletion": True})
    s.call("delete delta", "DeleteStream", {"StreamName": "delta"})
    s.call("delete lake", "DeleteStream", {"StreamARN": RIVER_ARN.replace("river", "lake")})
    deadline = time.monotonic() + DEADLINE_SECONDS
    while s.ask("ListStreams", {})["StreamNames"] and time.monotonic() < deadline:
        s.pause.wait(POLL_SECONDS)
    # Only now, because the SDKs' waiters pause for 10 s when it is too early.
    s.print("waiter for the end", {"out": s.bridge.ask({"wait": "StreamNotExists", "in": RIVER})})
    s.refused("describe the deleted", "DescribeStreamSummary", RIVER)
    s.refused("delete the deleted", "DeleteStream", RIVER)
    s.refused("read the deleted", "GetRecords", {"ShardIterator": old_iterator}, message=False)
    s.call("none left", "ListStreams", {})

    # A stream of the same name is another stream, with higher numbers.
    highest = max(int(number) for number, name in s.names.by_number.items() if name.startswith("<r"))
    s.call("create once more", "CreateStream", {**RIVER, "ShardCount": 1})
    s.active("river")
    s.refused("the old iterator on the new stream", "GetRecords", {"ShardIterator": old_iterator}, message=False)
    put = s.ask("PutRecord", {**RIVER, "PartitionKey": "rhine", "Data": text("new water")})
    s.print("numbers go on", {"out": {"ShardId": put["ShardId"]},
                              "holds": {"above those of the old stream": int(put["SequenceNumber"]) > highest}})
    s.call("delete it too", "DeleteStream", RIVER)


# What the scenario has to touch: the operations of Data Streams without queues, channels and encryption.
OPERATIONS = """
AddTagsToStream CreateStream DecreaseStreamRetentionPeriod DeleteResourcePolicy DeleteStream DeregisterStreamConsumer
DescribeAccountSettings DescribeLimits DescribeStream DescribeStreamConsumer DescribeStreamSummary
DisableEnhancedMonitoring EnableEnhancedMonitoring GetRecords GetResourcePolicy GetShardIterator
IncreaseStreamRetentionPeriod ListShards ListStreamConsumers ListStreams ListTagsForResource ListTagsForStream
MergeShards PutRecord PutRecords PutResourcePolicy RegisterStreamConsumer RemoveTagsFromStream SplitShard
SubscribeToShard TagResource UntagResource UpdateAccountSettings UpdateMaxRecordSize UpdateShardCount
UpdateStreamMode UpdateStreamRecordDistributionStrategy UpdateStreamWarmThroughput
""".split()
