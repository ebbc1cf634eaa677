"""tests/gdbsuite/judge.py: what of a run of gdb's test suite counts as a failure."""
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SUITE = os.path.join(os.path.dirname(HERE), "gdbsuite")
sys.path.insert(0, SUITE)

import judge  # noqa: E402

KNOWN = """
# A comment.
kernel = there is none
kernel gdb.base/a.exp: catch fork
kernel? gdb.base/a.exp: now and then
"""


def text_of(name):
    with open(os.path.join(SUITE, name), encoding="utf-8") as file:
        return file.read()


class Judge(unittest.TestCase):
    """Results of one file, "gdb.base/a.exp"."""

    def verdict(self, *lines, wanted=0, log=b"", known=KNOWN):
        results = judge.parse_sum("\n".join(lines))
        return judge.Verdict("gdb.base/a.exp", results, log, judge.Known(known), wanted)

    def test_unexplained_fail_is_wrong(self):
        verdict = self.verdict("PASS: gdb.base/a.exp: b", "FAIL: gdb.base/a.exp: c", known="")
        self.assertEqual(verdict.wrong, ["unexpected: gdb.base/a.exp: c"])

    def test_unresolved_is_wrong_too(self):
        verdict = self.verdict("ERROR: no more memory", "UNRESOLVED: gdb.base/a.exp: c", known="")
        self.assertEqual(verdict.wrong, ["unexpected: gdb.base/a.exp: c"])

    def test_what_gdb_itself_knows_to_fail_is_not_wrong(self):
        verdict = self.verdict("KFAIL: gdb.base/a.exp: c (PRMS: gdb/1)", "XFAIL: gdb.base/a.exp: d",
                               "UNTESTED: gdb.base/a.exp: e", known="")
        self.assertEqual(verdict.wrong, [])

    def test_explained_fail_is_neither_wrong_nor_a_note(self):
        verdict = self.verdict("FAIL: gdb.base/a.exp: catch fork")
        self.assertEqual((verdict.wrong, verdict.notes), ([], []))

    def test_explained_fail_that_comes_more_often_is_wrong(self):
        self.assertEqual(len(self.verdict(*["FAIL: gdb.base/a.exp: catch fork"] * 2).wrong), 1)

    def test_explained_fail_that_passes_is_said(self):
        verdict = self.verdict("PASS: gdb.base/a.exp: catch fork", wanted=1)
        self.assertEqual(verdict.wrong, [])
        self.assertRegex(verdict.notes[0], "passes now")

    def test_fail_that_comes_and_goes_may_do_either(self):
        self.assertEqual(self.verdict("FAIL: gdb.base/a.exp: catch fork",
                                      "FAIL: gdb.base/a.exp: now and then").wrong, [])
        self.assertEqual(self.verdict("FAIL: gdb.base/a.exp: catch fork").notes, [])

    def test_fewer_passes_are_wrong_and_more_are_said(self):
        passes = ["PASS: gdb.base/a.exp: b"] * 2
        self.assertEqual(self.verdict(*passes, wanted=3, known="").wrong, ["2 passed, of 3"])
        self.assertEqual(self.verdict(*passes, wanted=2, known="").notes, [])
        self.assertEqual(len(self.verdict(*passes, wanted=1, known="").notes), 1)

    def test_no_result_at_all_is_wrong(self):
        self.assertEqual(self.verdict(wanted=1, known="").wrong, ["0 passed, of 1"])

    def test_internal_error_is_wrong_although_everything_passed(self):
        for log in (b"x\nA problem internal to GDB has been detected,\n",
                    b"../gdb/thread.c:72: internal-error: inferior_thread\n"):
            self.assertEqual(self.verdict(log=log, known="").wrong, ["an internal error of gdb's"])

    def test_internal_error_that_a_test_asked_for_is_not_wrong(self):
        log = b"(gdb) bt\nmaint internal-error foobar\nx.c:1: internal-error: foobar\n"
        self.assertEqual(self.verdict(log=log, known="").wrong, [])

    def test_reason_without_a_definition_is_refused(self):
        with self.assertRaises(ValueError):
            judge.Known("kernel gdb.base/a.exp: b")

    def test_list_that_names_a_file_twice_is_refused(self):
        with self.assertRaises(ValueError):
            judge.parse_list("gdb.base/a.exp 1\ngdb.base/a.exp 2\n")


class Lists(unittest.TestCase):
    """The lists as they are."""

    def test_subset_has_forty_files_which_all_pass_something_and_fail_nothing(self):
        subset = judge.parse_list(text_of("subset.txt"))
        known = judge.Known(text_of("known.txt"))
        self.assertEqual(len(subset), 40)
        for file, passes in subset.items():
            self.assertGreater(passes, 0, file)
            self.assertFalse(known.of_file(file), file)
            self.assertFalse([row for row in known.sometimes if row.startswith(file)], file)

    def test_full_list_has_the_files_of_the_comparison(self):
        self.assertEqual(len(judge.parse_list(text_of("all.txt"))), 394)

    def test_each_explained_fail_is_in_a_file_of_the_full_list(self):
        files = judge.parse_list(text_of("all.txt"))
        known = judge.Known(text_of("known.txt"))
        for row in list(known.always) + list(known.sometimes):
            self.assertIn(row.split(": ")[0], files)
