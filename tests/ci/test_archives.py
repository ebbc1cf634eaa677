"""check-archives.py finds calls against the arrows and mutable globals in compiled code."""
import shutil
import unittest

from tree import TreeTest

TABLE = """
folder src/base may
folder src/mem may src/base
folder src/cpu may src/mem src/base
"""


@unittest.skipUnless(shutil.which("gcc"), "gcc is not installed")
class Archives(TreeTest):
    """Two or three one-file archives each."""

    def check(self, sources, table=TABLE):
        self.write("layers.txt", table)
        arguments = []
        for folder, text in sources.items():
            name = folder.replace("/", "-")
            self.write(f"{name}.c", text)
            for command in (["gcc", "-fPIE", "-c", f"{name}.c"], ["ar", "rcs", f"{name}.a", f"{name}.o"]):
                status, output = self.run_command(*command)
                self.assertEqual(status, 0, output)
            arguments.append(f"{folder}={name}.a")
        return self.run_python("check-archives.py", "layers.txt", *arguments)

    def test_call_along_an_arrow_is_clean(self):
        self.assertEqual(self.check({"src/mem": "void m(void) { }",
                                     "src/cpu": "void m(void); void c(void) { m(); }"}), (0, ""))

    def test_call_against_an_arrow_is_found_whatever_the_order(self):
        sources = {"src/cpu": "void c(void) { }", "src/mem": "void c(void); void m(void) { c(); }"}
        for order in (sources, dict(reversed(sources.items()))):
            status, output = self.check(order)
            self.assertEqual(status, 1)
            self.assertEqual(output, "src/mem/src-mem.o: must not use c of src/cpu\n")

    def test_static_of_the_same_name_is_no_call(self):
        self.assertEqual(self.check({"src/mem": "void c(void); void m(void) { c(); }",
                                     "src/cpu": "static void c(void) { } void d(void) { c(); }"}), (0, ""))

    def test_mutable_globals_are_found_in_each_section(self):
        for text in ("int x = 1;", "int x;", "static int x; int *f(void) { return &x; }",
                     "int *f(void) { static int x = 3; return &x; }", "_Thread_local int x;"):
            self.assertEqual((text, *self.check({"src/mem": text})),
                             (text, 1, "src/mem/src-mem.o: x is mutable and global\n"))

    def test_constants_are_clean_even_with_addresses_inside(self):
        self.assertEqual(self.check({"src/mem": "static const char *const names[] = { \"a\", \"b\" };"
                                                "const char *f(int i) { return names[i]; }"}), (0, ""))

    def test_state_row_allows_a_variable(self):
        table = TABLE + "state x in src/mem : the test says so\n"
        self.assertEqual(self.check({"src/mem": "int x = 1;"}, table), (0, ""))

    def test_state_row_of_another_folder_does_not_help_and_is_stale(self):
        table = TABLE + "state x in src/cpu : the test says so\n"
        status, output = self.check({"src/mem": "int x = 1;", "src/cpu": "int f(void) { return 0; }"}, table)
        self.assertEqual(status, 1)
        self.assertIn("x is mutable and global", output)
        self.assertIn("is stale", output)
