"""A small source tree in a temporary folder, and the scripts of ci/ run on it."""
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CI = os.path.join(ROOT, "ci")


class TreeTest(unittest.TestCase):
    """A test with a tree of its own in self.root."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="umbra-ci-")
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def write(self, path, text="", executable=False):
        """Make the file @path of the tree."""
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)
        if executable:
            os.chmod(full, 0o755)

    def run_command(self, *command, env=None):
        """(exit status, stdout and stderr together) of @command, run in the tree."""
        result = subprocess.run(command, cwd=self.root, env={**os.environ, **(env or {})},
                                text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, check=False, timeout=60)
        return result.returncode, result.stdout

    def run_python(self, script, *arguments):
        """The same for a Python script of ci/."""
        return self.run_command(sys.executable, os.path.join(CI, script), *arguments)
