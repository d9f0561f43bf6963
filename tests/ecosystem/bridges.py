"""The driver's end of a pipe to a client program ("bridge"), which makes each call through its SDK.

One JSON object per line in each direction. The driver sends, and waits for the one answer:

    {"call": "PutRecord", "in": {...}}          -> {"out": {...}} | {"error": code, "message": text}
    {"pages": "ListStreams", "in": {...}}       -> {"out": [page, ...]}     the SDK's paginator
    {"wait": "StreamExists", "in": {...}}       -> {"out": {}}              the SDK's waiter
    {"subscribe": name, "in": {...}}            -> {"out": {}} | {"error": ...}
    {"unsubscribe": name}                       -> {"out": {}}
    {"about": true}                             -> {"out": {"client", "version", "wire": [...]}}

Anything else that goes wrong is {"broken": text}. Between answers a bridge may send, for a subscription,
{"subscription": name, "event": {...}}, and once {"subscription": name, "end": true} or
{"subscription": name, "error": code, "message": text}. Bytes travel as {"$blob": base64}, times as
{"$time": milliseconds since 1970}.

Not here: what the calls are, and what their answers should be.
"""

import json
import queue
import subprocess
import threading


class Broken(Exception):
    """The client program failed, as opposed to: the service answered an error."""


class AwsError(Exception):
    """The service's error as the SDK reports it."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def without_nulls(value):
    """A member that an SDK reports as null is absent, as for the SDKs that leave it out."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


class Bridge:
    """A running client program. Answers are awaited for `answer_seconds_max` each."""

    def __init__(self, command, environment, log_path, answer_seconds_max=90):
        self.answer_seconds_max = answer_seconds_max
        self.log_path = log_path
        self.answers = queue.Queue()
        self.subscriptions = {}
        with open(log_path, "wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                encoding="utf-8",
            )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for text in self.process.stdout:
            try:
                message = json.loads(text)
            except ValueError:
                self.answers.put({"broken": f"not JSON: {text[:500]!r}"})
                continue
            if "subscription" in message:
                self.subscriptions[message["subscription"]].put(message)
            else:
                self.answers.put(message)
        gone = {"broken": f"the client program ended; its last words are in {self.log_path}"}
        self.answers.put(gone)
        for events in self.subscriptions.values():
            events.put(gone)

    def ask(self, request):
        """Sends one request and returns its `out`; raises AwsError or Broken."""
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self.answers.get(timeout=self.answer_seconds_max)
        except queue.Empty:
            raise Broken(f"no answer in {self.answer_seconds_max} s to {str(request)[:300]}") from None
        except OSError as error:
            raise Broken(f"the client program is gone ({error}); see {self.log_path}") from None
        if "error" in answer:
            raise AwsError(answer["error"], answer.get("message", ""))
        if "broken" in answer:
            raise Broken(answer["broken"])
        return without_nulls(answer["out"])

    def call(self, operation, request):
        return self.ask({"call": operation, "in": request})

    def subscribe(self, name, request):
        self.subscriptions[name] = queue.Queue()
        return self.ask({"subscribe": name, "in": request})

    def event(self, name, seconds_max):
        """The next event, end or error of a subscription; None when none came in time."""
        try:
            message = self.subscriptions[name].get(timeout=max(0.0, seconds_max))
        except queue.Empty:
            return None
        if "broken" in message:
            raise Broken(message["broken"])
        return without_nulls(message)

    def close(self):
        """Ends the program: end of input first, then by force."""
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
