"""check-size.sh: limits, waivers, and waivers that are no longer needed."""
import os

from tree import CI, TreeTest


def function(lines, name="f"):
    """A function whose body has @lines lines."""
    return f"int {name}(int a,\n      int b)\n{{\n" + "\ta++;\n" * lines + "}\n"


class Sizes(TreeTest):
    """One file with or without a waiver."""

    def check(self, text, waivers="", path="src/mem/a.c"):
        self.write(path, text)
        self.write("ci/waivers.txt", "# comment\n\n" + waivers)
        return self.run_command(os.path.join(CI, "check-size.sh"), ".")

    def assert_found(self, result, words):
        self.assertEqual(result[0], 1, result[1])
        self.assertEqual(result[1].count("\n"), 1, result[1])
        self.assertIn(words, result[1])

    def test_file_of_600_lines_is_clean(self):
        self.assertEqual(self.check("int x;\n" * 600), (0, ""))

    def test_file_of_601_lines_is_found(self):
        self.assert_found(self.check("int x;\n" * 601), "file src/mem/a.c: 601 lines, the limit is 600")

    def test_long_test_and_script_are_found_too(self):
        self.assert_found(self.check("# x\n" * 601, path="tests/gdb/a.py"), "file tests/gdb/a.py: 601")

    def test_function_of_60_lines_is_clean(self):
        self.assertEqual(self.check(function(60)), (0, ""))

    def test_function_of_61_lines_is_found_by_name(self):
        self.assert_found(self.check(function(61)), "function src/mem/a.c:f: 61 lines, the limit is 60")

    def test_each_function_is_measured_by_itself(self):
        self.assertEqual(self.check(function(40, "f") + function(40, "g")), (0, ""))

    def test_criterion_test_is_found_by_its_name(self):
        text = function(61).replace("int f(int a,\n      int b)", "Test(suite, name_when)")
        self.assert_found(self.check(text), "function src/mem/a.c:name_when: 61")

    def test_tables_and_structs_are_not_functions(self):
        self.assertEqual(self.check("struct a {\n" + "\tint x;\n" * 70 + "};\n"), (0, ""))

    def test_waiver_raises_the_limit(self):
        self.assertEqual(self.check(function(70), "function src/mem/a.c:f 70 one case, one call\n"), (0, ""))

    def test_waiver_has_a_limit_of_its_own(self):
        self.assert_found(self.check(function(71), "function src/mem/a.c:f 70 one case, one call\n"),
                          "71 lines, the limit is 70")

    def test_waiver_without_a_reason_is_refused(self):
        self.assertIn("KIND WHAT LIMIT WHY", self.check("", "file src/mem/a.c 700\n")[1])

    def test_waiver_that_is_not_needed_is_stale(self):
        self.assert_found(self.check(function(60), "function src/mem/a.c:f 70 one case, one call\n"), "stale")

    def test_waiver_of_a_file_that_is_gone_is_stale(self):
        self.assert_found(self.check("", "file src/mem/b.c 700 it was long\n"), "stale")

    def test_suppression_needs_a_waiver(self):
        text = "int x; /* NOLINT(bugprone-x) */\n"
        self.assert_found(self.check(text), "nolint src/mem/a.c: 1 suppressions, the limit is 0")
        self.assertEqual(self.check(text, "nolint src/mem/a.c 1 clang-tidy is wrong here\n"), (0, ""))
