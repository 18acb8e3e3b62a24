"""test_scale.py: a repository of many chunks is opened, searched, backed up to and pruned in little memory."""
import json
import os
import subprocess
import sys
import unittest

import base


class Scale(unittest.TestCase):
    def test_many_chunks(self):
        """The measurement of integration/scale/run, smaller; the memory of a step may not grow with the index."""
        peaks = {}
        for chunks in (30000, 300000):
            done = subprocess.run([sys.executable, os.path.join(base.ROOT, 'integration/scale/run'), str(chunks),
                                   '--json'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
            self.assertEqual(0, done.returncode, done.stdout + done.stderr)
            rows = json.loads(done.stdout)
            self.assertEqual(10, len(rows))
            for row in rows:
                self.assertLess(row['memory_mb'], 150, row)
                peaks.setdefault(row['step'], []).append(row['memory_mb'])
        for step in ('open', 'backup of 1,000 new chunks'):
            self.assertLess(max(peaks[step]), 40, peaks)


if __name__ == '__main__':
    base.main()
