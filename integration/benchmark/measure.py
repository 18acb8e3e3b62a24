"""measure.py: runs commands, measures them from outside, and keeps the figures."""
import os
import statistics
import subprocess
import sys
import time

from memory import Sampler


def tree_size(path):
    total = 0
    for folder, _, files in os.walk(path):
        total += sum(os.lstat(os.path.join(folder, n)).st_size for n in files)
    return total


class Row:
    """What one run of one command took."""

    def __init__(self, wall_s, cpu_s, memory_bytes):
        self.wall_s, self.cpu_s, self.memory_bytes = wall_s, cpu_s, memory_bytes


class Figures:
    """Rows of each (tool, phase), over several rounds, and the size of each tool's repository."""

    def __init__(self):
        self.rows = {}
        self.sizes = {}

    def run(self, tool, phase, command, env=None, cwd=None):
        """Returns what the command printed."""
        os.sync()
        start = time.monotonic()
        process = subprocess.Popen(['bash', '-o', 'pipefail', '-c', command], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd,
                                   env=dict(os.environ, **(env or {})))
        sampler = Sampler(process.pid)
        out = process.stdout.read().decode('utf-8', 'replace')
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - start
        peak = sampler.stop()
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        if process.returncode != 0:
            sys.exit('%s, %s: ended with %d: %s' % (tool, phase, process.returncode, out[-2000:]))
        self.add(tool, phase, Row(wall_s, usage.ru_utime + usage.ru_stime, peak))
        return out

    def add(self, tool, phase, row):
        self.rows.setdefault((tool, phase), []).append(row)
        print('  %-12s %-10s %7.2f s %7.2f cpu-s %6.0f MB' % (
            tool, phase, row.wall_s, row.cpu_s, row.memory_bytes / 1e6), file=sys.stderr, flush=True)

    def size(self, tool, path):
        self.sizes.setdefault(tool, []).append(tree_size(path))

    def median(self, tool, phase, field='wall_s'):
        rows = self.rows.get((tool, phase))
        return None if not rows else statistics.median(getattr(row, field) for row in rows)

    def median_size(self, tool):
        return statistics.median(self.sizes[tool]) if tool in self.sizes else None

    def peak(self, tool):
        """The most memory that the tool had in any phase of any round."""
        rows = [row for (name, _), rows in self.rows.items() if name == tool for row in rows]
        return max(row.memory_bytes for row in rows) if rows else None
