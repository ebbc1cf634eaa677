"""What one test file of gdb's said, held against what it should say.

Lists (subset.txt, all.txt): "FILE PASSES" a line; fewer PASSes than that are a failure.
known.txt: "WORD = text" explains a reason, "WORD FILE: TEST" is a FAIL that has this reason, and
"WORD? FILE: TEST" one that comes and goes.  "#" begins a comment in both.
"""

import collections
import re

BAD = ("FAIL", "UNRESOLVED")  # an ERROR makes the test unresolved in which it comes
INTERNAL = re.compile(rb"A problem internal to GDB has been detected|internal-error:")
ASKED = re.compile(rb"^(\(gdb\) )?maint(enance)? internal-error", re.M)  # a test of what is said then


def rows(text):
    """The lines of a list that say something."""
    return [line for line in (row.strip() for row in text.splitlines())
            if line and not line.startswith("#")]


def parse_list(text):
    """{file: the least number of PASSes}, in the order of the lines."""
    wanted = {}
    for row in rows(text):
        file, passes = row.split()
        if file in wanted:
            raise ValueError("twice in the list: " + file)
        wanted[file] = int(passes)
    return wanted


class Known:
    """The FAILs that have an explanation."""

    def __init__(self, text=""):
        self.reasons = {}
        self.always = collections.Counter()  # "FILE: TEST" and how often it fails in one run
        self.sometimes = set()
        for row in rows(text):
            word, rest = row.split(None, 1)
            if rest.startswith("= "):
                self.reasons[word] = rest[2:]
                continue
            if word.rstrip("?") not in self.reasons:
                raise ValueError("no reason has this name: " + row)
            if word.endswith("?"):
                self.sometimes.add(rest)
            else:
                self.always[rest] += 1
        for row in self.sometimes & set(self.always):
            raise ValueError("both always and sometimes: " + row)

    def of_file(self, file):
        return collections.Counter({row: count for row, count in self.always.items()
                                    if row.startswith(file + ": ")})


def parse_sum(text):
    """The results in a gdb.sum: [(kind, "FILE: TEST")]."""
    return [(match[1], match[2].strip()) for match in
            re.finditer(r"^([A-Z]{4,}): (.*)$", text, re.M)]


class Verdict:
    """What is wrong with one file's results, and what is only worth saying."""

    def __init__(self, file, results, log, known, wanted):
        self.counts = collections.Counter(kind for kind, _ in results)
        failed = collections.Counter(text for kind, text in results if kind in BAD)
        expected = known.of_file(file)
        self.wrong = ["unexpected: " + text for text in (failed - expected).elements()
                      if text not in known.sometimes]
        self.notes = ["passes now, and known.txt says it fails: " + text
                      for text in (expected - failed).elements()]
        if INTERNAL.search(log) and not ASKED.search(log):
            self.wrong.append("an internal error of gdb's")
        if self.passes < wanted:
            self.wrong.append("%d passed, of %d" % (self.passes, wanted))
        elif self.passes > wanted:
            self.notes.append("%d passed, %d more than the list says" %
                              (self.passes, self.passes - wanted))

    @property
    def passes(self):
        return self.counts["PASS"]

    @property
    def fails(self):
        return self.counts["FAIL"]
