"""fuzzing.py: how fuzz targets are built and run. For tests/runner.py and tests/fuzz/long."""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, 'build-fuzz')
CORPUS = os.path.join(HERE, 'corpus')
FINDINGS = os.path.join(BUILD, 'findings')
AT_ONCE = 4
MEMORY = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None  # syncing real files would be all that is tested
RUNS_MIN = 100  # fewer than these say that nothing was tested
SETUP = ['-Dtests=false', '-Dfuzz=true', '-Dtest_hooks=true', '-Db_sanitize=address,undefined', '-Db_lundef=false',
         '-Dwerror=true']
# A compiler cache is used where there is one, as meson does by itself when nobody names a compiler.
CACHE = 'ccache ' if shutil.which('ccache') else ''
COMPILER = {'CC': CACHE + 'clang', 'CXX': CACHE + 'clang++'}
SANITIZERS = {'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=0', 'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1'}
# What they read is not on the disk of a repository or of its clients; all others' is.
ELSEWHERE = {'config', 'info', 'items', 'meta', 'plan', 'rdb', 'vector_header', 'vector_meta', 'wire', 'worker'}


def targets():
    """The names of the targets that are built: those of on-disk structures, and the others."""
    names = sorted(os.path.basename(path)[5:] for path in glob.glob(os.path.join(BUILD, 'tests', 'fuzz', 'fuzz_*'))
                   if os.path.isfile(path) and os.access(path, os.X_OK))
    return [n for n in names if n not in ELSEWHERE], [n for n in names if n in ELSEWHERE]


class Outcome:
    """What a run of one target came to."""

    def __init__(self, name, code, text, seconds, findings):
        self.name, self.text, self.seconds, self.findings = name, text, seconds, findings
        self.runs = self.number(r'number_of_executed_units: (\d+)')
        # Edges: of the seeds alone, and in the end.
        covered = [int(n) for n in re.findall(r'^#\d+\s+\w+\s+cov: (\d+)', text, re.M)]
        inited = re.search(r'^#\d+\s+INITED cov: (\d+)', text, re.M)
        self.edges = covered[-1] if covered else 0
        self.new_edges = self.edges - int(inited.group(1)) if inited else 0
        self.new_inputs = self.number(r'new_units_added: *(\d+)')
        self.good = code == 0 and not findings and self.runs > RUNS_MIN

    def number(self, pattern):
        found = re.search(pattern, self.text)
        return int(found.group(1)) if found else 0

    def line(self):
        return '%-14s %9d runs in %4.0f s  %5d edges, %d of them new  %4d new inputs  %s' % (
            self.name, self.runs, self.seconds, self.edges, self.new_edges, self.new_inputs,
            'findings: ' + ' '.join(self.findings) if self.findings else 'no finding' if self.good else 'FAILED')


def run(name, seconds, work):
    """Fuzzes one target. `work`: the folder where new inputs go; it is made, and its inputs are used."""
    seeds = os.path.join(CORPUS, name)
    os.makedirs(work, exist_ok=True)
    os.makedirs(FINDINGS, exist_ok=True)
    before = set(glob.glob(os.path.join(FINDINGS, name + '-*')))
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='orchestrate-fuzz-', dir=MEMORY) as temporary:
        command = [os.path.join(BUILD, 'tests', 'fuzz', 'fuzz_' + name), '-max_total_time=%d' % seconds, '-timeout=10',
                   '-rss_limit_mb=2048', '-print_final_stats=1',
                   '-artifact_prefix=%s' % os.path.join(FINDINGS, name + '-'), work]
        done = subprocess.run(command + ([seeds] if os.path.isdir(seeds) else []), cwd=temporary,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=dict(os.environ, TMPDIR=temporary, **SANITIZERS))
    findings = sorted(set(glob.glob(os.path.join(FINDINGS, name + '-*'))) - before)
    return Outcome(name, done.returncode, done.stdout.decode('utf-8', 'replace'), time.monotonic() - start, findings)


def run_all(jobs):
    """Runs (name, seconds, work) of `jobs`, some at once; gives each outcome as it comes."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        started = [pool.submit(run, *job) for job in jobs]
        for future in concurrent.futures.as_completed(started):
            yield future.result()
