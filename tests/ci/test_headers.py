"""check-headers.py finds headers that lean on others."""
import shutil
import unittest

from tree import TreeTest


@unittest.skipUnless(shutil.which("gcc"), "gcc is not installed")
class Headers(TreeTest):
    """One header each."""

    def check(self, path, text):
        self.write(path, text)
        return self.run_python("check-headers.py", ".", "gcc")

    def test_header_that_stands_alone_is_clean(self):
        self.assertEqual(self.check("include/umbra/a.h", "#ifndef A\n#define A\n#include <stdint.h>\n"
                                    "struct a {\n\tuint8_t x;\n};\n#endif\n"), (0, ""))

    def test_header_that_misses_an_include_is_found(self):
        status, output = self.check("src/mem/a.h", "extern uint8_t x;\n")
        self.assertEqual(status, 1)
        self.assertIn("src/mem/a.h does not compile alone with gcc", output)

    def test_header_without_a_guard_is_found(self):
        self.assertEqual(self.check("src/mem/a.h", "struct a {\n\tint x;\n};\n")[0], 1)

    def test_librspstub_sees_no_header_of_umbra(self):
        self.write("include/umbra/b.h")
        self.assertEqual(self.check("gdbstub/a.h", '#include "umbra/b.h"\n')[0], 1)
