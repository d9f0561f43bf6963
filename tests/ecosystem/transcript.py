"""What a transcript line shows of an answer, and how a transcript is compared with the expected one.

Values that no two runs share (sequence numbers, iterators, times) are replaced by names, so that one
committed transcript fits every client and every run. A name is given when the value is first learnt, and is
only ever used for that very value: a record read with another number than its put was answered shows
`<number>` where `<r3>` is expected.

Not here: which calls are made (scenario.py) and what a client can do (clients.py).
"""

import base64
import hashlib
import json
import re
import time

# Members that this scenario does not compare, because no recording of AWS says whether they are present.
# A step that is about one of them shows it through its own view.
UNDECIDED = {
    "StreamId",  # "reserved": no answer carries it
    "WarmThroughput",  # newer than any recording; shown by the warm throughput steps
    "ChannelCount",
    "ChannelCountLimit",
    "QueueCount",
    "RecordDistributionStrategy",  # shown by the distribution steps
}

# The order of these lists means nothing.
UNORDERED = {"ShardLevelMetrics", "CurrentShardLevelMetrics", "DesiredShardLevelMetrics", "Tags"}

NUMBERS = {
    "SequenceNumber",
    "StartingSequenceNumber",
    "EndingSequenceNumber",
}

# The longest data that a line shows in full, in bytes.
DATA_SHOWN_MAX = 64


class Names:
    """Names of sequence numbers, and whether each shard's numbers rose in the order they were learnt."""

    def __init__(self):
        self.by_number = {}
        self.last = {}
        self.records = 0

    def learn(self, shard, number, name=None):
        """Names a number of a shard, and says whether it exceeds the number learnt before it there."""
        if name is None:
            self.records += 1
            name = f"<r{self.records}>"
        rises = bool(re.fullmatch(r"[1-9]\d{0,128}", number)) and int(number) > self.last.get(shard, -1)
        self.last[shard] = int(number) if number.isdigit() else self.last.get(shard, -1)
        # A number that was given twice must not pass for both.
        self.by_number[number] = name if number not in self.by_number else f"{name} again"
        return rises

    def learn_shards(self, shards):
        """Names the first and last numbers of shards: `<start of 0>`, `<end of 0>`."""
        for shard in shards:
            index = int(shard["ShardId"].rsplit("-", 1)[1])
            numbers = shard["SequenceNumberRange"]
            self.by_number.setdefault(numbers["StartingSequenceNumber"], f"<start of {index}>")
            self.last.setdefault(shard["ShardId"], int(numbers["StartingSequenceNumber"]))
            if "EndingSequenceNumber" in numbers:
                self.by_number.setdefault(numbers["EndingSequenceNumber"], f"<end of {index}>")

    def of(self, number):
        """The name of a number; `<number>` for one of the right form that has no name."""
        if number in self.by_number:
            return self.by_number[number]
        return "<number>" if re.fullmatch(r"49\d{54}", number) else number


def near_now(epoch_ms):
    """Whether a time lies within a day before and a minute after now: a wrong unit does not."""
    now = time.time() * 1000
    return now - 86_400_000 < epoch_ms < now + 60_000


def show(value, names, key=None):
    """An answer as a transcript line shows it."""
    if isinstance(value, dict):
        if "$blob" in value:
            return show_data(base64.b64decode(value["$blob"]))
        if "$time" in value:
            return "<time>" if near_now(value["$time"]) else f"not near now: {value['$time']} ms"
        return {
            k: show(v, names, k)
            for k, v in value.items()
            if v is not None and k not in UNDECIDED
        }
    if isinstance(value, list):
        shown = [show(item, names, key) for item in value]
        if key in UNORDERED:
            shown.sort(key=lambda item: json.dumps(item, sort_keys=True))
        return shown
    if isinstance(value, str):
        if key == "ContinuationSequenceNumber":
            # Any number from the last record on will do.
            return "<number>" if names.of(value) != value else value
        if key in NUMBERS:
            return names.of(value)
        if key in ("ShardIterator", "NextShardIterator"):
            return "<iterator>" if 1 <= len(value) <= 512 else "iterator out of bounds"
        if key == "NextToken":
            return "<token>"
        if key == "ConsumerARN":
            return show_consumer_arn(value)
    return value


def show_data(data):
    if len(data) > DATA_SHOWN_MAX:
        return f"sha256:{hashlib.sha256(data).hexdigest()} of {len(data)} bytes"
    try:
        return "utf8:" + data.decode("utf-8")
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(data).decode("ascii")


def show_consumer_arn(arn):
    name, _, second = arn.rpartition(":")
    return f"{name}:<time>" if second.isdigit() and near_now(int(second) * 1000) else arn


def show_message(text):
    """An error's text without the values that differ from run to run."""
    text = re.sub(r"\b49\d{54}\b", "<number>", text)
    text = re.sub(r"(imestampInMillis: )\d+", r"\1<ms>", text)
    if " validation error" in text and ": " in text:
        # AWS's order of several violations is not recorded: they are compared sorted.
        head, _, violations = text.partition(": ")
        text = head + ": " + "; ".join(sorted(violations.split("; ")))
    return text


def line(step, shown):
    return json.dumps({"step": step, **shown}, ensure_ascii=False, sort_keys=True)


def compare(expected, actual, excused):
    """Differences between two transcripts, as text; empty when they agree.

    `expected` and `actual` are lists of parsed lines; `excused` names the steps whose line may be
    `{"step": …, "not offered": true}` for this client, and must then be exactly that.
    """
    differences = []
    actual_by_step = {}
    for got in actual:
        if got["step"] in actual_by_step:
            differences.append(f"{got['step']}: appears twice in the transcript")
        actual_by_step[got["step"]] = got
    for want in expected:
        step = want["step"]
        if step in excused:
            want = {"step": step, "not offered": True}
        got = actual_by_step.pop(step, None)
        if got is None:
            differences.append(f"{step}: missing from the transcript")
        elif got != want:
            differences.append(
                f"{step}:\n    expected {json.dumps(want, ensure_ascii=False, sort_keys=True)}"
                f"\n    got      {json.dumps(got, ensure_ascii=False, sort_keys=True)}"
            )
    for step in actual_by_step:
        differences.append(f"{step}: not in the expected transcript")
    want_order = [want["step"] for want in expected]
    got_order = [got["step"] for got in actual]
    if not differences and want_order != got_order:
        differences.append("the steps are in another order than expected")
    return differences
