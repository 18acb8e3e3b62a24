"""tree.py: a file tree with orchestrate, restic, borg and plain tools: full backup, unchanged, 5 % changed, restore,
verify, run alternately; and what the machine itself could do. Started by integration/bench."""
import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import machine  # noqa: E402
import report  # noqa: E402
from make_tree import mutate  # noqa: E402
from measure import Figures, Row  # noqa: E402
from tools import Borg, Ours, Plain, Restic  # noqa: E402

ROUND_BYTES = 15e9   # what one round leaves behind at scale 1
BEGIN, END = '<!-- measured: written by integration/bench -->', '<!-- /measured -->'


class Trash:
    """Nothing is removed between measurements: that costs, later and for others, on disks that discard. Where the disk
    is too small for that, what has piled up goes between two rounds."""

    def __init__(self, work, scale):
        self.folder, self.scale, self.count = work + '/trash', scale, 0

    def place(self):
        os.makedirs(self.folder, exist_ok=True)
        self.count += 1
        return '%s/%d' % (self.folder, self.count)

    def put(self, path):
        if os.path.exists(path):
            os.rename(path, self.place())

    def empty(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.sync()

    def make_room(self):
        if shutil.disk_usage(os.path.dirname(self.folder)).free < 2 * ROUND_BYTES * self.scale:
            self.empty()


class Bench:
    """The rounds over all tools."""

    def __init__(self, options):
        self.options = options
        self.work = '%s-%g' % (options.work, options.scale)
        self.figures, self.trash = Figures(), Trash(self.work, options.scale)
        self.rates, self.created, self.changed = [], [], []

    def prepare(self):
        if not os.path.isdir(self.work + '/tree/large'):
            shutil.rmtree(self.work, ignore_errors=True)
            os.makedirs(self.work)
            subprocess.run([sys.executable, HERE + '/make_tree.py', self.work + '/tree', str(self.options.scale)],
                           check=True)
        self.trash.empty()
        self.tools = [Ours(self.work), Plain(self.work)] + [
            t(self.work) for t in (Restic, Borg) if shutil.which(t.name)]
        self.creator = machine.Creator(self.work)

    def warm(self):
        subprocess.run(['bash', '-c', 'find %s/tree -type f -print0 | xargs -0 cat >/dev/null' % self.work], check=True)

    def check_restored(self, tool):
        same = subprocess.run(['diff', '-r', '--no-dereference', self.work + '/tree', tool.restored()],
                              stdout=subprocess.DEVNULL).returncode == 0
        print('  %s: restored tree %s' % (tool.name, 'identical' if same else 'DIFFERS'), file=sys.stderr)
        if not same:
            sys.exit(1)

    def measure(self, tool, seed, first):
        commands = tool.commands()
        tool.reset()
        for phase in report.PHASES:
            if phase not in commands:
                continue
            if phase == 'changed':
                mutate(self.work + '/tree', seed)
            self.figures.run(tool.name, phase, commands[phase], env=tool.env())
            if phase == 'full':
                self.figures.size(tool.name, tool.repository)
            if phase == 'changed' and isinstance(tool, Ours):
                self.changed.append(tool.stats())
            if phase == 'restore' and first:
                self.check_restored(tool)
        self.trash.put(self.work + '/out')
        self.trash.put(tool.repository)

    def round(self, number):
        """The order changes from round to round, so that no tool is always the one that follows another."""
        order = self.tools[number % len(self.tools):] + self.tools[:number % len(self.tools)]
        self.trash.make_room()
        self.rates.append(machine.measure_rates(self.work))
        self.warm()
        if number == 0:
            for way, seconds in self.creator.choose(self.trash.place).items():
                print('  bare creation, %d threads, %s: %.2f s' % (way[0], way[1], seconds), file=sys.stderr)
        for tool in order:
            self.warm()
            print('round %d of %d: %s' % (number + 1, self.options.runs, tool.name), file=sys.stderr)
            self.measure(tool, 100 + number * 10 + self.tools.index(tool), number == 0)
            if isinstance(tool, Ours):
                os.sync()
                created = self.creator.run(self.trash.place(), self.creator.best)
                self.created.append(created)
                self.figures.add('plain', 'restore', Row(created['synced_s'], 0, 0))

    def document(self):
        figures, peers = self.figures, [t.name for t in self.tools if t.name not in (report.OURS, 'plain')]
        created_s = statistics.median(c['synced_s'] for c in self.created)
        changed = {k: statistics.median(c[k] for c in self.changed) for k in self.changed[0]}
        rates = machine.merge_rates(self.rates)
        least = machine.least_seconds(rates, figures.median_size(report.OURS),
                                      min(c['written_s'] for c in self.created), changed)
        verdicts = report.judge(figures, created_s)
        parts = [self.heading(), report.phase_table(figures, peers), '\n'.join(verdicts.lines),
                 '\n'.join(report.aims(figures, least)),
                 'Memory of all processes together, the most in any round:',
                 report.memory_table(figures, [report.OURS] + peers + ['plain']),
                 'The machine itself, and how near each phase comes to it:',
                 report.roofline_table(figures, least), report.rates_table(rates)]
        return '\n\n'.join(parts), verdicts.failed

    def heading(self):
        with open('/proc/meminfo') as file:
            memory = int(re.search(r'MemTotal:\s+(\d+)', file.read()).group(1)) / (1 << 20)
        versions = [subprocess.run([t.name, '--version' if t.name == 'borg' else 'version'], stdout=subprocess.PIPE,
                                   text=True).stdout.split('\n')[0].split(' compiled')[0]
                    for t in self.tools if t.name in ('restic', 'borg')]
        options = self.options
        return ('`integration/bench tree --runs %d%s` on %d virtual cores, %.0f GiB of memory, Linux %s%s; medians of %d '
                'rounds, ratios round by round. The tree: %d files, %.2f GB.%s' % (
                    options.runs, '' if options.scale == 1 else ' --scale %g' % options.scale, os.cpu_count(), memory,
                    platform.release(), ''.join(', ' + v for v in versions), options.runs,
                    self.rates[0]['files'], self.rates[0]['bytes'] / 1e9,
                    '' if options.scale == 1 else ' **A small tree: the verdicts mean little.**'))


def write_document(path, text):
    """Replaces what stands between the two marks."""
    with open(path) as file:
        old = file.read()
    head, rest = old.split(BEGIN, 1)
    with open(path, 'w') as file:
        file.write(head + BEGIN + '\n' + text + '\n' + END + rest.split(END, 1)[1])


def main():
    parser = argparse.ArgumentParser(prog='integration/bench tree', description=__doc__)
    parser.add_argument('--runs', type=int, default=3, help='rounds over all tools (3)')
    parser.add_argument('--peers', action='store_true', help='install restic, borg and zstd when missing')
    parser.add_argument('--scale', type=float, default=1.0, help='1: 85,000 files and 2.1 GB')
    parser.add_argument('--small', action='store_true', help='a quick look: scale 0.05, one round, no exit by verdict')
    parser.add_argument('--work', default='/tmp/orchestrate-bench', help='folder for data and repositories')
    parser.add_argument('--output', help='write the result to this file too')
    parser.add_argument('--document', help='put the result into this file, between its marks (docs/performance.md)')
    options = parser.parse_args()
    if options.small:
        options.scale, options.runs = 0.05, 1
    bench = Bench(options)
    bench.prepare()
    for number in range(options.runs):
        bench.round(number)
    text, failed = bench.document()
    print(text)
    if options.output:
        with open(options.output, 'w') as file:
            file.write(text + '\n')
    if options.document:
        write_document(options.document, text)
    bench.trash.empty()
    return 1 if failed and options.scale >= 1 else 0


if __name__ == '__main__':
    sys.exit(main())
