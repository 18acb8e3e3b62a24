"""measure.py: times commands from outside, and prints medians side by side."""
import os
import statistics
import subprocess
import sys
import time


def tree_size(path):
    total = 0
    for folder, _, files in os.walk(path):
        total += sum(os.lstat(os.path.join(folder, n)).st_size for n in files)
    return total


class Table:
    """Seconds, processor seconds and peak memory of each (tool, phase), over several runs."""

    def __init__(self):
        self.rows = {}
        self.sizes = {}

    def run(self, tool, phase, command, env=None, cwd=None, codes=(0,)):
        os.sync()
        start = time.monotonic()
        process = subprocess.Popen(['bash', '-o', 'pipefail', '-c', command], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=cwd,
                                   env=dict(os.environ, **(env or {})))
        err = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        code = os.waitstatus_to_exitcode(status)
        process.returncode = code
        process.stderr.close()
        if code not in codes:
            sys.exit('%s %s ended with %d: %s' % (tool, phase, code, err.decode('utf-8', 'replace')[-2000:]))
        row = (wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
        self.rows.setdefault((tool, phase), []).append(row)
        print('  %-12s %-10s %7.2f s %7.2f cpu-s %6.0f MiB' % ((tool, phase) + row), file=sys.stderr, flush=True)

    def size(self, tool, path):
        self.sizes.setdefault(tool, []).append(tree_size(path))

    def median(self, tool, phase, column=0):
        rows = self.rows.get((tool, phase))
        return None if rows is None else statistics.median(row[column] for row in rows)

    def markdown(self, ours, phases, peers):
        """A table: our medians, each peer's, and the ratio peer / ours."""
        lines = ['| phase | %s | %s |' % (ours, ' | '.join('%s | %s / %s' % (p, p, ours) for p in peers)),
                 '|---|---|' + '---|---|' * len(peers)]
        for phase in phases:
            mine = self.median(ours, phase)
            if mine is None:
                continue
            cells = ['%.2f s, %.1f cpu-s' % (mine, self.median(ours, phase, 1))]
            for peer in peers:
                theirs = self.median(peer, phase)
                cells += ['-', '-'] if theirs is None else [
                    '%.2f s, %.1f cpu-s' % (theirs, self.median(peer, phase, 1)), '%.2f' % (theirs / mine)]
            lines.append('| %s | %s |' % (phase, ' | '.join(cells)))
        sizes = {t: statistics.median(s) for t, s in self.sizes.items()}
        cells = ['%.0f MB' % (sizes[ours] / 1e6)]
        for peer in peers:
            cells += ['-', '-'] if peer not in sizes else ['%.0f MB' % (sizes[peer] / 1e6),
                                                           '%.2f' % (sizes[peer] / sizes[ours])]
        lines.append('| size of the repository | %s |' % ' | '.join(cells))
        memory = {}
        for (tool, _), rows in self.rows.items():
            memory[tool] = max([memory.get(tool, 0)] + [row[2] for row in rows])
        cells = ['%.0f MiB' % memory[ours]]
        for peer in peers:
            cells += ['%.0f MiB' % memory[peer], '%.2f' % (memory[peer] / memory[ours])] if peer in memory else ['-', '-']
        lines.append('| peak memory of the largest process | %s |' % ' | '.join(cells))
        return '\n'.join(lines)
