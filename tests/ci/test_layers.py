"""check-layers.py finds each kind of violation, and nothing else."""
from tree import TreeTest

TABLE = """
folder src/base may
folder src/mem may src/base
folder src/cpu may src/mem src/base
folder src/accel/kvm may src/cpu src/mem src/base
folder src/cli may *
folder gdbstub may
folder guests may
search guests in guests/lib
free guests : another machine
public src/base has types log
public src/mem has mem bus
system gdbstub only string.h
header linux/kvm.h only src/accel/kvm : KVM stays in its room
call _?exit|abort only src/cli : only src/cli ends the process
call sleep only - : nothing sleeps
word KVM_[A-Z_]+ only src/accel/kvm : KVM stays in its room
"""


class Layers(TreeTest):
    """One tree, one offence."""

    def setUp(self):
        super().setUp()
        self.write("ci/layers.txt", TABLE)
        for name in ("types", "log", "mem", "bus", "cpu"):
            self.write(f"include/umbra/{name}.h")
        self.write("gdbstub/rspstub.h")

    def check(self, path, text):
        """What the checker says about a tree with one more file."""
        self.write(path, text)
        return self.run_python("check-layers.py", ".")

    def assert_clean(self, path, text):
        self.assertEqual(self.check(path, text), (0, ""))

    def assert_found(self, path, text, line, words):
        status, output = self.check(path, text)
        self.assertEqual(status, 1, output)
        self.assertEqual(output.count("\n"), 1, output)
        self.assertTrue(output.startswith(f"{path}:{line}: "), output)
        self.assertIn(words, output)

    def test_include_along_an_arrow_is_clean(self):
        self.assert_clean("src/cpu/a.c", '#include "umbra/bus.h"\n#include "umbra/cpu.h"\n')

    def test_include_against_an_arrow_is_found(self):
        self.assert_found("src/mem/a.c", '\n#include "umbra/cpu.h"\n', 2, "src/mem must not include")

    def test_include_that_skips_a_missing_arrow_is_found(self):
        self.assert_found("src/cpu/a.c", '#include "rspstub.h"\n', 1, "of gdbstub")

    def test_star_allows_every_folder(self):
        self.assert_clean("src/cli/a.c", '#include "rspstub.h"\n#include "umbra/cpu.h"\n')

    def test_public_header_obeys_the_arrows_of_its_folder(self):
        self.assert_found("include/umbra/bus.h", '#include "umbra/cpu.h"\n', 1, "src/mem must not")

    def test_longest_folder_name_wins(self):
        self.assert_clean("src/accel/kvm/a.c", "#include <linux/kvm.h>\nint x = KVM_RUN;\n")

    def test_private_header_of_own_folder_is_clean(self):
        self.write("src/mem/mem_internal.h")
        self.assert_clean("src/mem/a.c", '#include "mem_internal.h"\n')

    def test_private_header_of_other_folder_is_found(self):
        self.write("src/mem/mem_internal.h")
        self.assert_found("src/cpu/a.c", '#include "../mem/mem_internal.h"\n', 1, "private headers of src/mem")

    def test_header_that_is_nowhere_is_found(self):
        self.assert_found("src/mem/a.c", '#include "gone.h"\n', 1, "neither")

    def test_public_header_of_no_folder_is_found(self):
        self.assert_found("src/mem/a.c", '#include "umbra/what.h"\n', 1, "belongs to no folder")

    def test_own_header_in_angle_brackets_is_found(self):
        self.assert_found("src/mem/a.c", "#include <umbra/log.h>\n", 1, "one of ours")

    def test_umbra_header_in_librspstub_is_found(self):
        self.assert_found("gdbstub/a.c", '#include "umbra/log.h"\n', 1, "gdbstub must not include")

    def test_system_header_in_librspstub_is_found(self):
        self.assert_found("gdbstub/a.c", "#include <pthread.h>\n", 1, "must not include <pthread.h>")

    def test_listed_system_header_in_librspstub_is_clean(self):
        self.assert_clean("gdbstub/a.c", "#include <string.h>\n")

    def test_reserved_system_header_is_found(self):
        self.assert_found("src/cpu/a.c", "#include <linux/kvm.h>\n", 1, "KVM stays in its room")

    def test_file_in_no_folder_is_found(self):
        self.assert_found("src/new/a.c", "int x;\n", 1, "belongs to no folder")

    def test_include_behind_a_comment_is_found(self):
        self.assert_found("src/mem/a.c", '/* a\n */ #include "umbra/cpu.h"\n', 2, "must not include")

    def test_include_in_a_comment_is_clean(self):
        self.assert_clean("src/mem/a.c", '/*\n#include "umbra/cpu.h"\n*/\n')

    def test_forbidden_call_is_found(self):
        self.assert_found("src/mem/a.c", "int f(void)\n{\n\treturn exit (1);\n}\n", 3, "ends the process")

    def test_call_that_nobody_may_make_is_found_everywhere(self):
        self.assert_found("src/cli/a.c", "\tsleep(1);\n", 1, "nothing sleeps")

    def test_call_where_it_is_allowed_is_clean(self):
        self.assert_clean("src/cli/a.c", "\texit(1);\n")

    def test_longer_names_and_members_are_clean(self):
        self.assert_clean("src/mem/a.c", "on_exit_do(1); my_abort(); ops->exit(1); ops.abort(1); exiting(1);\n")

    def test_call_in_comment_string_or_character_is_clean(self):
        self.assert_clean("src/mem/a.c", '// exit(1)\n/* exit(1) */\n"exit(1) \\" exit(1)"; \'"\'; x("abort()");\n')

    def test_call_after_a_string_with_a_comment_sign_is_found(self):
        self.assert_found("src/mem/a.c", 'x("/*"); exit(1); x("*/");\n', 1, "ends the process")

    def test_forbidden_word_is_found(self):
        self.assert_found("src/cpu/a.c", "int x = KVM_RUN;\n", 1, "KVM_RUN: KVM stays")

    def test_word_inside_a_longer_one_is_clean(self):
        self.assert_clean("src/cpu/a.c", "int x = ACCEL_KVM_MAX;\n")

    def test_guests_are_free_in_calls_but_not_in_includes(self):
        self.write("guests/lib/guest.h")
        self.assert_clean("guests/a.c", '#include "guest.h"\nvoid f(void)\n{\n\texit(0);\n}\n')
        self.assert_found("guests/a.c", '#include "umbra/log.h"\n', 1, "guests must not include")

    def assert_bad_table(self, table, words):
        self.write("ci/layers.txt", table)
        status, output = self.run_python("check-layers.py", ".")
        self.assertEqual(status, 2, output)
        self.assertIn(words, output)

    def test_circle_of_arrows_is_refused(self):
        self.assert_bad_table("folder a may b\nfolder b may c\nfolder c may a\n", "circle: a -> b -> c -> a")

    def test_arrow_to_an_unknown_folder_is_refused(self):
        self.assert_bad_table("folder a may b\n", "no 'folder' row for b")

    def test_row_of_an_unknown_kind_is_refused(self):
        self.assert_bad_table("folder a may\nfoldr b may\n", "layers.txt:2: not a row")

    def test_rule_without_a_reason_is_refused(self):
        self.assert_bad_table("folder a may\ncall exit only a\n", "layers.txt:2: expected")
