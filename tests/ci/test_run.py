"""run.sh counts every kind of result, and takes silence for a failure."""
import os
import shutil

from tree import CI, TreeTest

# What run.sh asks of make: the builds do nothing, and the programs are those of the test.
MAKEFILE = """
.PHONY: all unit-programs kvm-programs diff-programs qemu-programs walk-programs bench-programs race-programs fuzz-programs
all unit-programs kvm-programs diff-programs qemu-programs walk-programs bench-programs race-programs fuzz-programs:
	@$(BUILD_COMMAND)
print-KVM_PROGRAMS:
	@echo $(wildcard programs/*)
print-UNIT_PROGRAMS:
	@echo $(wildcard unit/*)
lint-%:
	@test $* != tidy || { echo finding; exit 1; }
"""


class Run(TreeTest):
    """Programs of one kind each, in the group "kvm"."""

    def setUp(self):
        super().setUp()
        self.write("GNUmakefile", MAKEFILE)
        self.write("ci/run.sh")
        shutil.copy(os.path.join(CI, "run.sh"), os.path.join(self.root, "ci/run.sh"))

    def run_groups(self, *groups, env=None):
        """(exit status, last line, everything) of a run."""
        status, output = self.run_command("bash", "ci/run.sh", *groups, env=env)
        return status, output.splitlines()[-1], output

    def run_program(self, script, env=None):
        """The same for one program of the group "kvm" (the build counts as a pass)."""
        self.write("programs/kvm_a", "#!/bin/sh\n" + script, executable=True)
        return self.run_groups("kvm", env=env)

    def assert_counts(self, result, passed, failed, skipped):
        self.assertEqual(result[1], f"{passed} passed, {failed} failed, {skipped} skipped", result[2])
        self.assertEqual(result[0], 1 if failed else 0)

    def test_each_result_line_counts(self):
        result = self.run_program("echo 1..3; echo ok 1 - a; echo 'ok 2 - b # SKIP no x'; echo ok 3 - c")
        self.assert_counts(result, 3, 0, 1)
        self.assertIn("Skipped:\n  kvm_a: b: no x\n", result[2])

    def test_failure_is_shown_with_what_the_program_said(self):
        result = self.run_program("echo not ok 1 - a; echo because >&2; exit 1")
        self.assert_counts(result, 1, 1, 0)
        self.assertIn("not ok - kvm_a: a\n", result[2])
        self.assertIn("because\n", result[2])

    def test_exit_77_without_results_is_a_skip_with_its_reason(self):
        result = self.run_program("echo no /dev/kvm; exit 77")
        self.assert_counts(result, 1, 0, 1)
        self.assertIn("kvm_a: no /dev/kvm\n", result[2])

    def test_empty_plan_with_a_reason_is_a_skip(self):
        self.assert_counts(self.run_program("echo '1..0 # SKIP no gdb'"), 1, 0, 1)
        self.assert_counts(self.run_program("echo '1..0 # SKIP no gdb'; exit 77"), 1, 0, 1)

    def test_silence_is_a_failure(self):
        self.assert_counts(self.run_program("exit 0"), 1, 1, 0)

    def test_exit_status_without_a_failed_result_is_a_failure(self):
        self.assert_counts(self.run_program("echo ok 1 - a; exit 3"), 2, 1, 0)

    def test_crash_after_results_is_a_failure(self):
        self.assert_counts(self.run_program("echo ok 1 - a; kill -SEGV $$"), 2, 1, 0)

    def test_fewer_results_than_announced_is_a_failure(self):
        self.assert_counts(self.run_program("echo 1..2; echo ok 1 - a"), 2, 1, 0)

    def test_bail_out_is_a_failure(self):
        self.assert_counts(self.run_program("echo ok 1 - a; echo Bail out! no room"), 2, 1, 0)

    def test_program_without_end_is_stopped_and_a_failure(self):
        result = self.run_program("echo ok 1 - a; sleep 60", env={"UMBRA_TEST_TIMEOUT": "1"})
        self.assert_counts(result, 2, 1, 0)
        self.assertIn("no end within 1 s", result[2])

    def test_group_without_programs_is_a_failure(self):
        self.assert_counts(self.run_groups("kvm"), 1, 1, 0)

    def test_failed_build_is_a_failure_and_its_groups_do_not_pass(self):
        self.write("programs/kvm_a", "#!/bin/sh\necho ok 1 - a\n", executable=True)
        self.assert_counts(self.run_groups("kvm", env={"BUILD_COMMAND": "false"}), 0, 2, 0)

    def test_lint_steps_count_one_each(self):
        result = self.run_groups("lint")
        self.assertEqual(result[0], 1)
        self.assertRegex(result[1], r"^[5-9] passed, 1 failed, 0 skipped$")
        self.assertIn("finding\n", result[2])

    def test_criterion_report_counts(self):
        self.write("unit/unit_a", '#!/bin/sh\nfor a; do case $a in --tap=*) exec >"${a#--tap=}" ;; esac; done\n'
                   "echo 1..3; echo 'ok - s::a  (0.00s)'; echo 'ok - s::b  # SKIP no'; echo 'not ok - s::c'; exit 1\n",
                   executable=True)
        self.assert_counts(self.run_groups("unit"), 2, 1, 1)

    def test_unknown_group_is_refused(self):
        self.assertEqual(self.run_groups("unti")[0], 2)
