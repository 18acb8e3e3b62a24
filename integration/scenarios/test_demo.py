"""The demo as a newcomer runs it: exit code 0, everything identical, nothing left."""
import os
import subprocess

from base import ROOT, Scenario, main


class Demo(Scenario):
    def demo(self, *words):
        done = subprocess.run([os.path.join(ROOT, 'integration/demo')] + list(words), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
        text = done.stdout.decode('utf-8', 'replace')
        self.assertEqual(0, done.returncode, text)
        self.assertIn('are back, item for item', text)
        self.assertNotIn('DIFFERENT', text)
        return text

    def test_all_six_components(self):
        text = self.demo('--documents', '500')
        self.assertEqual(6, text.count(' identical'))

    def test_embedded(self):
        text = self.demo('--embedded', '--documents', '200')
        self.assertEqual(4, text.count(' identical'))


if __name__ == '__main__':
    main()
