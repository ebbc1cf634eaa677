"""deps.sh names, checks and installs packages; every tool that it calls is a stand-in here."""
import os

from tree import CI, TreeTest


class Deps(TreeTest):
    """A PATH in which `dpkg-query` knows what the test says and `apt-get` writes down its calls."""

    def setUp(self):
        super().setUp()
        self.installed("")
        self.tool("id", "echo 0")
        self.tool("apt-get", 'echo "apt-get $*" >>calls')
        self.tool("sudo", 'echo "sudo $1" >>calls; [ "$1" != -n ] || shift; exec "$@"')

    def tool(self, name, script):
        self.write("bin/" + name, "#!/bin/sh\n" + script + "\n", executable=True)

    def installed(self, names):
        self.tool("dpkg-query", f"for p in {names}; do echo installed $p; done; echo config-files gdb; exit 1")

    def deps(self, *arguments, **env):
        path = f"{self.root}/bin:{os.environ['PATH']}"
        return self.run_command(os.path.join(CI, "deps.sh"), *arguments,
                                env={"PATH": path, "UMBRA_NO_DEPS": "0", **env})

    def calls(self):
        try:
            with open(os.path.join(self.root, "calls"), encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def test_list_names_every_group_with_reasons(self):
        status, output = self.deps("--list")
        self.assertEqual(status, 0)
        self.assertEqual({line.split()[0] for line in output.splitlines()},
                         {"build", "test", "lint", "debug", "bench", "qemu", "lldb", "gdbsuite", "linux"})
        for line in output.splitlines():
            self.assertGreater(len(line.split()), 2, line)

    def test_nothing_missing_does_and_says_nothing(self):
        self.installed("gdb python3")
        self.assertEqual(self.deps("debug"), (0, ""))
        self.assertEqual(self.calls(), [])

    def test_missing_package_is_announced_then_installed(self):
        status, output = self.deps("debug")
        self.assertEqual(status, 0, output)
        self.assertIn("apt-get install -y --no-install-recommends gdb python3", output)
        self.assertEqual(len(self.calls()), 2)
        self.assertTrue(self.calls()[0].endswith(" update"))
        self.assertTrue(self.calls()[1].endswith(" gdb python3"))

    def test_only_the_groups_asked_for_are_installed(self):
        self.deps("debug")
        self.assertNotIn("qemu", "".join(self.calls()))

    def test_removed_package_with_its_configuration_left_counts_as_missing(self):
        self.deps("debug")
        self.assertEqual(len(self.calls()), 2)

    def test_no_deps_is_an_error_that_names_the_command(self):
        status, output = self.deps("debug", UMBRA_NO_DEPS="1")
        self.assertEqual(status, 1)
        self.assertIn("run: apt-get install -y --no-install-recommends gdb python3\n", output)
        self.assertEqual(self.calls(), [])

    def test_user_goes_through_sudo(self):
        self.tool("id", "echo 1000")
        self.assertEqual(self.deps("debug")[0], 0)
        self.assertEqual(self.calls()[0], "sudo -n")

    def test_offline_lists_are_no_error_if_the_installation_works(self):
        self.tool("apt-get", 'case "$*" in *update*) exit 100 ;; esac')
        status, output = self.deps("debug")
        self.assertEqual(status, 0)
        self.assertIn("could not be brought up to date", output)

    def test_failed_installation_names_the_command(self):
        self.tool("apt-get", "exit 100")
        status, output = self.deps("debug")
        self.assertEqual(status, 1)
        self.assertIn("run by hand: apt-get install", output)

    def test_unknown_group_is_refused(self):
        self.assertEqual(self.deps("debgu")[0], 1)
