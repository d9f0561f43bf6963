"""Do the checks notice? Each test hands a transcript or a ledger with one fault to the check that must find it.

Run by `run` before anything else; no server, no client.
"""

import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "soak")]

import clients
import ledger
from transcript import Names, compare, show, show_message

NUMBER = "49" + "6" * 53
FIRST, SECOND = NUMBER + "1", NUMBER + "2"


class Transcript(unittest.TestCase):
    """compare() and show()."""

    def differs(self, expected, actual, excused=()):
        return bool(compare(expected, actual, set(excused)))

    def test_compare_finds_each_kind_of_difference(self):
        one, two = {"step": "one", "out": {}}, {"step": "two", "out": {"a": 1}}
        self.assertFalse(self.differs([one, two], [one, two]))
        self.assertTrue(self.differs([one, two], [one]), "a missing line")
        self.assertTrue(self.differs([one], [one, two]), "a line too many")
        self.assertTrue(self.differs([one, two], [two, one]), "another order")
        self.assertTrue(self.differs([one], [one, one]), "a line twice")
        self.assertTrue(self.differs([two], [{"step": "two", "out": {"a": 1, "b": None}}]), "a member too many")

    def test_an_excused_step_must_say_so_and_no_other_may(self):
        one, excuse = {"step": "one", "out": {}}, {"step": "one", "not offered": True}
        self.assertFalse(self.differs([one], [excuse], {"one"}))
        self.assertTrue(self.differs([one], [excuse]))
        self.assertTrue(self.differs([one], [one], {"one"}))

    def test_a_name_stands_for_one_number_only(self):
        names = Names()
        self.assertTrue(names.learn("s", FIRST))
        self.assertTrue(names.learn("s", SECOND))
        self.assertEqual(show({"SequenceNumber": FIRST}, names), {"SequenceNumber": "<r1>"})
        self.assertEqual(show({"SequenceNumber": NUMBER + "3"}, names), {"SequenceNumber": "<number>"})
        self.assertFalse(names.learn("s", FIRST), "it does not rise")
        self.assertEqual(show({"SequenceNumber": FIRST}, names), {"SequenceNumber": "<r3> again"})

    def test_a_time_in_the_wrong_unit_shows(self):
        self.assertNotEqual(show({"$time": 1_700_000_000}, Names()), "<time>")

    def test_messages_keep_everything_but_what_varies(self):
        self.assertEqual(show_message(f"number {FIRST} used"), "number <number> used")
        self.assertEqual(show_message("2 validation errors detected: b; a"), "2 validation errors detected: a; b")
        self.assertEqual(show_message("Stream s not found."), "Stream s not found.")

    def test_the_lists_agree(self):
        import json
        with open(os.path.join(HERE, "expected.jsonl"), encoding="utf-8") as file:
            steps = [json.loads(text)["step"] for text in file]
        self.assertEqual(len(steps), len(set(steps)))
        for named in clients.STEPS_OF.values():
            self.assertLessEqual(named, set(steps))
        for client in clients.CLIENTS:
            self.assertLessEqual(client.not_offered, set(clients.STEPS_OF))


class Ledger(unittest.TestCase):
    """verify()."""

    def verdict(self, deliveries, statuses=(ledger.ACKNOWLEDGED,) * 3):
        """The kinds of fault in deliveries of (attempt, data) or (attempt, data, number) of one producer and one key."""
        with tempfile.TemporaryDirectory() as directory:
            sent, got = os.path.join(directory, "sent"), os.path.join(directory, "got")
            with open(sent, "wb") as file:
                for attempt, status in enumerate(statuses):
                    place = (4, ledger.number_bytes(str(100 + attempt))) if status == 1 else (0, bytes(24))
                    file.write(ledger.ATTEMPT.pack(status, *place, ledger.digest("key-7", b"%d" % attempt)))
            with open(got, "wb") as file:
                for attempt, data, *number in deliveries:
                    number = number[0] if number else 100 + attempt
                    file.write(ledger.DELIVERY.pack(0, attempt, 7, 4, ledger.number_bytes(str(number)),
                                                    ledger.digest("key-7", data)))
            faults = ledger.Faults()
            attempts = [ledger.Attempts(sent)]
            _, _, received = ledger.verify(attempts, got, faults, "test")
            _, checksum = ledger.acknowledged(attempts)
            self.assertEqual(received == checksum, not {"lost", "changed"} & set(faults.count))
            return set(faults.count)

    def test_all_is_well(self):
        self.assertEqual(self.verdict([(0, b"0"), (1, b"1"), (2, b"2")]), set())

    def test_an_unanswered_attempt_may_be_there_or_not(self):
        statuses = (ledger.ACKNOWLEDGED, ledger.UNANSWERED, ledger.ACKNOWLEDGED)
        self.assertEqual(self.verdict([(0, b"0"), (1, b"1"), (2, b"2")], statuses), set())
        self.assertEqual(self.verdict([(0, b"0"), (2, b"2")], statuses), set())

    def test_each_fault_is_found(self):
        statuses = (ledger.ACKNOWLEDGED, ledger.UNANSWERED, ledger.REFUSED)
        self.assertEqual(self.verdict([(0, b"0"), (2, b"2")]), {"lost"})
        self.assertEqual(self.verdict([(0, b"0"), (1, b"x"), (2, b"2")]), {"changed"})
        self.assertIn("doubled", self.verdict([(0, b"0"), (0, b"0"), (1, b"1"), (2, b"2")]))
        self.assertIn("doubled", self.verdict([(0, b"0"), (1, b"1"), (1, b"1", 150)], statuses))
        self.assertIn("reordered within a key", self.verdict([(1, b"1"), (0, b"0"), (2, b"2")]))
        self.assertIn("reordered within a shard", self.verdict([(0, b"0"), (1, b"1", 99), (2, b"2")]))
        self.assertIn("another place than acknowledged", self.verdict([(0, b"0"), (1, b"1"), (2, b"2", 103)]))
        self.assertEqual(self.verdict([(0, b"0"), (2, b"2")], statuses), {"delivered although refused"})
        self.assertEqual(self.verdict([(0, b"0"), (1, b"1"), (2, b"2"), (3, b"3")]), {"never sent"})


if __name__ == "__main__":
    unittest.main()
