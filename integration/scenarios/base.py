"""base.py: what the scenarios share. Each scenario file runs by itself: python3 test_NAME.py."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True

from lab.command import ROOT, built  # noqa: E402,F401
from lab.system import ALL, EMBEDDED, System  # noqa: E402,F401

KEEP = os.environ.get('ORCHESTRATE_KEEP') == '1'


class Scenario(unittest.TestCase):
    """Has helpers that show what the command printed when a check fails."""

    def system(self, components=EMBEDDED, documents=300, key_file=False):
        system = System(components, documents, keep=KEEP, prefix='orchestrate-test-', key_file=key_file)
        self.addCleanup(system.__exit__)
        return system.__enter__()

    def expect(self, code, result, *fragments):
        """The exit code, and each fragment somewhere in what was printed."""
        self.assertEqual(code, result.code, str(result))
        for fragment in fragments:
            self.assertIn(fragment, result.out + result.err, str(result))
        self.assertNotIn('Sanitizer', result.err)
        return result

    def prepared(self, components=EMBEDDED, documents=300, key_file=False):
        """A filled system with a repository and one set, and its digests."""
        system = self.system(components, documents, key_file)
        system.fill()
        self.expect(0, system.command.run('init'))
        self.expect(0, system.command.run('backup'))
        return system, system.digests()

    def no_process_left(self, system):
        self.assertEqual([], [p for p in system.leftovers() if '--worker' in p])


def main():
    unittest.main(verbosity=2)
