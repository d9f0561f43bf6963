"""The client's end of the pipe (bridges.py has the protocol), for the two Python clients.

Not here: any call. Each client brings a `handle(request)` that returns the answer's `out`.
"""

import json
import sys
import threading
import traceback

_out = sys.stdout
_lock = threading.Lock()


class Refused(Exception):
    """The service answered an error."""

    def __init__(self, code, message):
        super().__init__(code)
        self.code = code
        self.message = message


def send(message):
    with _lock:
        _out.write(json.dumps(message) + "\n")
        _out.flush()


def serve(handle):
    """Answers requests from standard input until it ends."""
    for text in sys.stdin:
        try:
            send({"out": handle(json.loads(text))})
        except Refused as refused:
            send({"error": refused.code, "message": refused.message})
        except Exception:  # the driver reports it with the step
            send({"broken": traceback.format_exc()})
