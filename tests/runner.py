"""runner.py: builds and runs every suite, and adds up what they counted. Started by tests/run.

    unit       libcheck tests, one binary per module
    sanitize   the same under AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer
    scenarios  whole runs on real servers (integration/scenarios)
    fuzz       every fuzz target for a few seconds (ORCHESTRATE_FUZZ_SECONDS), built by clang
"""
import argparse
import glob
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
UNIT, ASAN, FUZZ = (os.path.join(ROOT, 'build-' + name) for name in ('tests', 'asan', 'fuzz'))
SETUP = {
    UNIT: ['-Dtest_hooks=true', '-Dwerror=true'],
    ASAN: ['-Dtest_hooks=true', '-Db_sanitize=address,undefined', '-Db_lundef=false'],
    FUZZ: ['-Dtests=false', '-Dfuzz=true', '-Dtest_hooks=true', '-Db_sanitize=address,undefined',
           '-Db_lundef=false', '-Dwerror=true'],
}
SANITIZERS = {'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=0', 'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1'}


class Count:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def add(self, passed, failed, what, detail=''):
        self.passed += passed
        self.failed += failed
        print('%-8s %4d passed %3d failed  %s' % ('ok' if failed == 0 else 'FAILED', passed, failed, what), flush=True)
        if failed and detail:
            print('\n'.join('    ' + line for line in detail.rstrip().splitlines()[-60:]), flush=True)


def build(folder):
    """Configures and compiles; a failure ends everything, since nothing after it would mean anything."""
    env = dict(os.environ)
    if folder == FUZZ:
        env.update(CC='clang', CXX='clang++')
    commands = []
    if not os.path.exists(os.path.join(folder, 'build.ninja')):
        commands.append(['meson', 'setup', folder, ROOT] + SETUP[folder])
    commands.append(['ninja', '-C', folder])
    for command in commands:
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            sys.stdout.write(done.stdout.decode('utf-8', 'replace')[-8000:])
            print('The build in %s failed.\n0 passed, 1 failed' % os.path.relpath(folder, ROOT))
            sys.exit(1)


def meson_tests(folder):
    out = subprocess.run(['meson', 'introspect', '--tests', folder], stdout=subprocess.PIPE, check=True).stdout
    return [test['name'] for test in json.loads(out)]


def checks(result):
    """(passed, failed) of one meson test: libcheck's own count where it printed one."""
    good = result['result'] == 'OK'
    found = re.findall(r'Checks: (\d+), Failures: (\d+), Errors: (\d+)', result.get('stdout') or '')
    total = sum(int(n) for n, _, _ in found)
    failed = sum(int(f) + int(e) for _, f, e in found)
    if not found:
        return (1, 0) if good else (0, 1)
    if total == 0:
        return 0, 1  # a test that tests nothing
    return (total - failed, failed) if good else (total - failed, max(1, failed))


def run_unit(folder, name, count, case, env=None):
    build(folder)
    names = [n for n in meson_tests(folder) if case is None or case in n]
    if not names:
        return
    log = os.path.join(folder, 'meson-logs', 'testlog.json')
    if os.path.exists(log):
        os.unlink(log)
    subprocess.run(['meson', 'test', '-C', folder, '--no-rebuild', '--num-processes', '2'] + names,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, **(env or {})))
    with open(log) as file:
        for line in file:
            result = json.loads(line)
            passed, failed = checks(result)
            count.add(passed, failed, '%s/%s  %.1f s' % (name, result['name'].split(' / ')[-1], result['duration']),
                      (result.get('stdout') or '') + (result.get('stderr') or ''))


def scenario_files():
    return sorted(glob.glob(os.path.join(ROOT, 'integration', 'scenarios', 'test_*.py')))


def run_scenarios(count, case, keep):
    build(UNIT)
    env = dict(os.environ, ORCHESTRATE_BUILD=UNIT, PYTHONDONTWRITEBYTECODE='1')
    if keep:
        env['ORCHESTRATE_KEEP'] = '1'
    for path in scenario_files():
        name = os.path.basename(path)[5:-3]
        arguments = [] if case is None or case in name else ['-k', case]
        start = time.monotonic()
        done = subprocess.run(['/usr/bin/python3', path] + arguments, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        text = done.stdout.decode('utf-8', 'replace')
        ran = re.search(r'^Ran (\d+) tests?', text, re.M)
        total = int(ran.group(1)) if ran else 0
        if total == 0 and case is not None and done.returncode in (0, 5):
            continue
        bad = sum(int(n) for n in re.findall(r'(?:failures|errors|skipped)=(\d+)', text))
        if total == 0 or (done.returncode != 0 and bad == 0):
            bad = max(bad, 1)
        count.add(max(0, total - bad), bad, 'scenarios/%s  %.1f s' % (name, time.monotonic() - start), text)


def run_fuzz(count, case):
    build(FUZZ)
    seconds = os.environ.get('ORCHESTRATE_FUZZ_SECONDS', '10')
    for target in sorted(glob.glob(os.path.join(FUZZ, 'tests', 'fuzz', 'fuzz_*'))):
        name = os.path.basename(target)
        if not os.path.isfile(target) or not os.access(target, os.X_OK) or (case and case not in name):
            continue
        corpus = os.path.join(ROOT, 'tests', 'fuzz', 'corpus', name[5:])
        work = os.path.join(FUZZ, 'corpus-' + name)
        os.makedirs(work, exist_ok=True)
        done = subprocess.run([target, '-max_total_time=' + seconds, '-timeout=10', '-rss_limit_mb=2048',
                               '-print_final_stats=1', work] + ([corpus] if os.path.isdir(corpus) else []),
                              cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, **SANITIZERS))
        text = done.stdout.decode('utf-8', 'replace')
        runs = re.search(r'number_of_executed_units: (\d+)', text)
        good = done.returncode == 0 and runs is not None and int(runs.group(1)) > 100
        count.add(int(good), int(not good), 'fuzz/%s  %s runs in %s s' % (name, runs.group(1) if runs else 'no', seconds), text)


def main():
    parser = argparse.ArgumentParser(prog='tests/run', description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--list', action='store_true', help='name the tests')
    parser.add_argument('--case', metavar='NAME', help='only tests whose name holds NAME')
    parser.add_argument('--suite', choices=('unit', 'sanitize', 'scenarios', 'fuzz'), help='only this suite')
    parser.add_argument('--keep-data', action='store_true', help='scenarios leave their folders')
    options = parser.parse_args()
    if options.list:
        build(UNIT)
        print('\n'.join('unit/' + n for n in meson_tests(UNIT)))
        print('\n'.join('scenarios/' + os.path.basename(p)[5:-3] for p in scenario_files()))
        return 0
    count = Count()
    wanted = (options.suite,) if options.suite else ('unit', 'sanitize', 'scenarios', 'fuzz')
    if 'unit' in wanted:
        run_unit(UNIT, 'unit', count, options.case)
    if 'sanitize' in wanted:
        run_unit(ASAN, 'sanitize', count, options.case, SANITIZERS)
    if 'scenarios' in wanted:
        run_scenarios(count, options.case, options.keep_data)
    if 'fuzz' in wanted:
        run_fuzz(count, options.case)
    print('%d passed, %d failed' % (count.passed, count.failed))
    return 0 if count.failed == 0 and count.passed > 0 else 1


if __name__ == '__main__':
    sys.exit(main())
