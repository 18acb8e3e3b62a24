"""runner.py: builds and runs every suite, and adds up what they counted. Started by tests/run.

    sanitize   libcheck tests, one binary per module, under AddressSanitizer, LeakSanitizer and
               UndefinedBehaviorSanitizer
    unit       the same without sanitizers; beside the other suites only those that sanitizers would
               change (bounds of memory) or run a sample of: meson's suite `plain`
    scenarios  whole runs on real servers (integration/scenarios)
    fuzz       every fuzz target, built by clang: those of on-disk structures for 30 s, others for 10 s
               (ORCHESTRATE_FUZZ_SECONDS: all for that long)
"""
import argparse
import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'fuzz'))
sys.dont_write_bytecode = True
import fuzzing  # noqa: E402

# Undefined behaviour is a trap, which AddressSanitizer reports as ILL with the line: the runtime that would tell it
# in words doubles the time in which a process starts and ends, and tests start thousands.
TRAP = '-fsanitize=undefined -fsanitize-undefined-trap-on-error'
UNIT, ASAN = (os.path.join(ROOT, 'build-' + name) for name in ('tests', 'asan'))
SETUP = {
    UNIT: ['-Dtest_hooks=true', '-Dwerror=true'],
    ASAN: ['-Dtest_hooks=true', '-Db_sanitize=address', '-Db_lundef=false', '-Doptimization=1',
           '-Dc_args=' + TRAP, '-Dcpp_args=' + TRAP],
    fuzzing.BUILD: fuzzing.SETUP,
}
FUZZ_SECONDS, FUZZ_SECONDS_OTHERS = 30, 10
UNIT_AT_ONCE, SCENARIOS_AT_ONCE = 3, 3  # on two cores: they wait a lot
PLAIN = 'plain'
# No process for each test: forking and looking for leaks would be most of the time. Tests that need one
# say so (srunner_set_fork_status).
SANITIZE = {
    'ASAN_OPTIONS': fuzzing.SANITIZERS['ASAN_OPTIONS'] + ':quarantine_size_mb=32:handle_sigill=1',
    'CK_FORK': 'no',
    'ORCHESTRATE_TEST_SAMPLE': '7',
}
SCENARIOS_FIRST = ('kills', 'concurrent', 'crashes', 'faults', 'reader', 'damage')  # they take longest
SUITES = ('sanitize', 'unit', 'scenarios', 'fuzz')


class Count:
    def __init__(self):
        self.passed, self.failed = 0, 0
        self.seconds = {}  # of each suite: building, running

    def add(self, passed, failed, what, detail=''):
        self.passed += passed
        self.failed += failed
        print('%-8s %4d passed %3d failed  %s' % ('ok' if failed == 0 else 'FAILED', passed, failed, what), flush=True)
        if failed and detail:
            print('\n'.join('    ' + line for line in detail.rstrip().splitlines()[-60:]), flush=True)


def attempt(command, env, folder):
    """A failure ends everything, since nothing after it would mean anything."""
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.stdout.write(done.stdout.decode('utf-8', 'replace')[-8000:])
        print('The build in %s failed.\n0 passed, 1 failed' % os.path.relpath(folder, ROOT))
        sys.exit(1)


def build(folder, goals=lambda: []):
    """Configures and compiles: the goals, which are asked for when it is configured, or everything."""
    env = dict(os.environ)
    if folder == fuzzing.BUILD:
        env.update(fuzzing.COMPILER)
    else:
        env.update(CC_LD='gold', CXX_LD='gold')  # of binutils, three times as fast: a hundred programs are linked
    if not os.path.exists(os.path.join(folder, 'build.ninja')):
        attempt(['meson', 'setup', folder, ROOT] + SETUP[folder], env, folder)
    attempt(['ninja', '-C', folder] + goals(), env, folder)


def introspect(folder, what):
    return json.loads(subprocess.run(['meson', 'introspect', what, folder], stdout=subprocess.PIPE, check=True).stdout)


def meson_tests(folder, suite=None):
    return [test for test in introspect(folder, '--tests')
            if suite is None or suite in (name.split(':')[-1] for name in test['suite'])]


def without_sanitizers():
    """What a whole run needs of that build: the product, and of the test programs those of the suite `plain`."""
    plain = [test['cmd'][0] for test in meson_tests(UNIT, PLAIN)]
    files = [target['filename'][0] for target in introspect(UNIT, '--targets')
             if target['build_by_default'] and target['type'] != 'run']
    return [os.path.relpath(path, UNIT) for path in files
            if path in plain or not os.path.basename(path).startswith(('test_', 'test-'))]


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


def run_unit(folder, name, count, case, suite=None, env=None):
    names = [test['name'] for test in meson_tests(folder, suite) if case is None or case in test['name']]
    if not names:
        return
    log = os.path.join(folder, 'meson-logs', 'testlog.json')
    if os.path.exists(log):
        os.unlink(log)
    subprocess.run(['meson', 'test', '-C', folder, '--no-rebuild', '--num-processes', str(UNIT_AT_ONCE)] + names,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, **(env or {})))
    with open(log) as file:
        for line in file:
            result = json.loads(line)
            passed, failed = checks(result)
            count.add(passed, failed, '%s/%s  %.1f s' % (name, result['name'].split(' / ')[-1], result['duration']),
                      (result.get('stdout') or '') + (result.get('stderr') or ''))


def scenario_name(path):
    return os.path.basename(path)[5:-3]


def scenario_files():
    files = glob.glob(os.path.join(ROOT, 'integration', 'scenarios', 'test_*.py'))
    return sorted(files, key=lambda path: (scenario_name(path) not in SCENARIOS_FIRST, path))


def runs_alone(path):
    """Whether a scenario file says that nothing else may run beside it: a line that begins RUNS_ALONE."""
    with open(path) as file:
        return any(line.startswith('RUNS_ALONE') for line in file)


def run_scenario(path, case, keep):
    """(passed, failed, what, output) of one file, or None when it has no test of that name."""
    env = dict(os.environ, ORCHESTRATE_BUILD=UNIT, PYTHONDONTWRITEBYTECODE='1')
    if keep:
        env['ORCHESTRATE_KEEP'] = '1'
    name = scenario_name(path)
    arguments = [] if case is None or case in name else ['-k', case]
    start = time.monotonic()
    done = subprocess.run(['/usr/bin/python3', path] + arguments, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    text = done.stdout.decode('utf-8', 'replace')
    ran = re.search(r'^Ran (\d+) tests?', text, re.M)
    total = int(ran.group(1)) if ran else 0
    if total == 0 and case is not None and done.returncode in (0, 5):
        return None
    bad = sum(int(n) for n in re.findall(r'(?:failures|errors|skipped)=(\d+)', text))
    if total == 0 or (done.returncode != 0 and bad == 0):
        bad = max(bad, 1)
    return max(0, total - bad), bad, 'scenarios/%s  %.1f s' % (name, time.monotonic() - start), text


def run_scenarios(count, case, keep):
    """Each file has folders and servers of its own, so that some run at once; then those that must be alone."""
    files = scenario_files()
    for alone in (False, True):
        with concurrent.futures.ThreadPoolExecutor(1 if alone else SCENARIOS_AT_ONCE) as pool:
            started = [pool.submit(run_scenario, path, case, keep) for path in files if runs_alone(path) == alone]
            for future in concurrent.futures.as_completed(started):
                if future.result() is not None:
                    count.add(*future.result())


def run_fuzz(count, case):
    wanted = os.environ.get('ORCHESTRATE_FUZZ_SECONDS')
    jobs = []
    for names, seconds in zip(fuzzing.targets(), (FUZZ_SECONDS, FUZZ_SECONDS_OTHERS)):
        jobs += [(name, int(wanted) if wanted else seconds, os.path.join(fuzzing.BUILD, 'corpus-fuzz_' + name))
                 for name in names if case is None or case in 'fuzz_' + name]
    for outcome in fuzzing.run_all(jobs):
        count.add(int(outcome.good), int(not outcome.good), 'fuzz/' + outcome.line(), outcome.text)


def run_suite(name, count, options):
    """Builds what the suite needs and runs it."""
    folder = {'sanitize': ASAN, 'fuzz': fuzzing.BUILD}.get(name, UNIT)
    start = time.monotonic()
    if folder == UNIT and not (options.case or options.suite == 'unit'):
        build(folder, without_sanitizers)
    else:
        build(folder, lambda: ['fuzz'] if name == 'fuzz' else [])
    built = time.monotonic()
    if name == 'scenarios':
        run_scenarios(count, options.case, options.keep_data)
    elif name == 'fuzz':
        run_fuzz(count, options.case)
    elif name == 'sanitize':
        run_unit(folder, name, count, options.case, env=SANITIZE)
    else:
        run_unit(folder, name, count, options.case, None if options.suite or options.case else PLAIN)
    count.seconds[name] = (built - start, time.monotonic() - built)


def main():
    parser = argparse.ArgumentParser(prog='tests/run', description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--list', action='store_true', help='name the tests')
    parser.add_argument('--case', metavar='NAME', help='only tests whose name holds NAME')
    parser.add_argument('--suite', choices=SUITES, help='only this suite')
    parser.add_argument('--keep-data', action='store_true', help='scenarios leave their folders')
    options = parser.parse_args()
    if options.list:
        build(UNIT)
        print('\n'.join('unit/' + test['name'] for test in meson_tests(UNIT)))
        print('\n'.join('scenarios/' + scenario_name(p) for p in scenario_files()))
        return 0
    count = Count()
    for suite in (options.suite,) if options.suite else SUITES:
        run_suite(suite, count, options)
    print('time: ' + ', '.join('%s %.0f s and %.0f s to build' % (name, ran, built)
                               for name, (built, ran) in count.seconds.items()))
    print('%d passed, %d failed' % (count.passed, count.failed))
    return 0 if count.failed == 0 and count.passed > 0 else 1


if __name__ == '__main__':
    sys.exit(main())
