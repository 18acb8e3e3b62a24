"""badluck.py: runs the command with failing storage, kills it, takes the power away, and checks what must hold after
each: every set that was reported completed and not reported removed is there and whole, with no step by hand."""
import json
import os
import re
import signal
import subprocess
import time

from lab.command import Result, built, check_output

LEAST = 0       # a power loss of which the least survives that the fsyncs promise
NO_LOSS = None  # the machine stays up
HANG_S = 120    # whatever happens, a run ends within that


class Broken(AssertionError):
    """What must hold does not."""


def crash_points():
    return check_output([built('core/orchestrate'), '--crash-points']).decode().split()


def folder_of(name):
    return name.split('/')[0] + '/' if '/' in name else name


def session_processes(sid):
    """Those that live: (pid, command line)."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/stat' % pid) as file:
                state, _, _, session = file.read().rpartition(')')[2].split()[:4]
            if session == str(sid) and state not in 'ZX':
                with open('/proc/%s/cmdline' % pid) as file:
                    found.append((int(pid), file.read().replace('\0', ' ')))
        except OSError:
            pass  # it has ended
    return found


class BadLuck:
    """The command on one system, and what it has promised so far."""

    def __init__(self, system):
        self.system = system
        self.promised = {}    # id -> name, of sets that must be there and whole
        self.removed = set()  # ids that must not come back
        self.completed = set()
        self.last = None      # what the last run that was to be killed has printed
        self.journal, self.points, self.calls = (system.path(n) for n in ('powerloss.log', 'points', 'calls'))

    # ---- running ----

    def start(self, *words, env=None, output=subprocess.PIPE):
        """In a session of its own, which its workers share; with the journal and both traces."""
        for name in (self.points, self.calls):
            if os.path.exists(name):
                os.unlink(name)
        full = dict(os.environ, ORCHESTRATE_POWERLOSS_LOG=self.journal, ORCHESTRATE_CRASH_TRACE=self.points,
                    ORCHESTRATE_STORAGE_TRACE=self.calls, **(env or {}))
        return subprocess.Popen(self.system.command.arguments(*words), stdin=subprocess.DEVNULL, stdout=output,
                                stderr=subprocess.PIPE, env=full, start_new_session=True)

    def finish(self, process):
        """Waits for the end of the run, and of its workers."""
        try:
            out, err = process.communicate(timeout=HANG_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGABRT)
            process.communicate()
            raise Broken('it hung for %d s: %s' % (HANG_S, ' '.join(process.args)))
        end = time.monotonic() + 20
        while session_processes(process.pid):
            if time.monotonic() > end:
                raise Broken('a process outlived its run: %s' % session_processes(process.pid))
            time.sleep(0.02)
        result = Result(process.returncode, (out or b'').decode('utf-8', 'replace'), err.decode('utf-8', 'replace'))
        if 'Sanitizer' in result.err:
            raise Broken(str(result))
        return result

    def run(self, *words, env=None):
        return self.finish(self.start(*words, env=env))

    def passed(self):
        """The crash points that the last run came to, in order."""
        return self.lines(self.points)

    def called(self):
        """The calls of the storage driver in the last run: (call, name, fault or '')."""
        return [(line.split(' ') + [''])[:3] for line in self.lines(self.calls)]

    def lines(self, path):
        if not os.path.exists(path):
            return []
        with open(path) as file:
            return file.read().splitlines()

    # ---- bad luck ----

    def crash(self, point, *words, env=None):
        """Runs until it is killed at the point; False if it never came there."""
        result = self.last = self.run(*words, env=dict(env or {}, ORCHESTRATE_CRASH_AT=point))
        if result.code == -signal.SIGKILL:
            if self.passed()[-1] != point.split(':')[0]:
                raise Broken('killed elsewhere than at %s: %s' % (point, self.passed()[-1:]))
            return True
        return False

    def tidy(self):
        """After a prune that had nobody beside it nothing of others stands in anybody's way."""
        for folder in ('marks', 'leases'):
            path = self.system.path('repository', folder)
            left = os.listdir(path) if os.path.isdir(path) else []
            if left:
                raise Broken('a prune that is done has left %s in %s' % (left, folder))

    def kill_at_call(self, rule, *words, env=None):
        """Runs until it dies of a rule "kill:…" of the storage; False if it never made that call."""
        result = self.last = self.run(*words, env=dict(env or {}, ORCHESTRATE_STORAGE_FAULT=rule))
        return result.code == -signal.SIGKILL

    def lose_power(self, seed):
        """seed: LEAST, NO_LOSS, or a number that picks what survives. Returns what was lost, as text."""
        if seed is NO_LOSS or not os.path.exists(self.journal):
            return 'no power loss'
        return check_output([built('tests/storage/powerloss_apply'), self.journal, str(seed)]).decode().strip()

    # ---- what was promised ----

    def good(self, *words, env=None):
        """A run that must succeed."""
        result = self.run(*words, env=env)
        if result.code != 0:
            raise Broken('"%s" failed: %s' % (' '.join(words), result))
        return result

    def backup(self, *words):
        """A backup that must succeed; what it reports is promised. Returns the set's id."""
        return self.promise(self.good('--json', 'backup', *words))

    def promise(self, result):
        """Takes note of what a run has reported: {"set": {"id", "name"}}."""
        made = json.loads(result.out)['set']
        self.promised[made['id']] = made['name']
        return made['id']

    def listed(self):
        """id -> name of the sets there are, newest first."""
        sets = json.loads(self.good('--json', 'list').out)['sets']
        self.completed = {s['id'] for s in sets if s['state'] == 'completed'}
        return {s['id']: s['name'] for s in sets}

    def may_go(self, there, keep):
        """Before a removal that keeps the newest `keep` completed sets: of the others, each may be there or not from
        now on, but one that is there is whole. Returns them, the oldest last."""
        kept = [i for i in there if i in self.completed][:keep]
        going = [i for i in there if i not in kept]
        for one in going:
            self.promised.pop(one, None)
        return going

    def note_pruned(self, result):
        """What a prune that succeeded tells of its sets."""
        document = json.loads(result.out)
        if document['state'] != 'completed':
            raise Broken('a prune with nobody beside it is not done: %s' % result)
        for one in document['sets']:
            if one['keep']:
                self.promised[one['id']] = one['name']
            else:
                self.removed.add(one['id'])
                self.promised.pop(one['id'], None)
        self.tidy()

    def note_removed(self, there, result):
        """What a run, also one that was killed, has said to be removed must not come back."""
        names = set(re.findall(r'set (\S+) is removed', result.err))
        self.removed.update(i for i, name in there.items() if name in names)

    def check(self, *also, env=None):
        """All that must hold, by one run: every set of the repository proves itself at level data, byte for byte, and
        none that was promised is missing. `also`: more ids that must be there. Returns the sets there are."""
        result = self.run('--json', 'verify', '--level', 'data', env=env)
        if result.code != 0:
            raise Broken('sets are hurt: %s' % result)
        there = self.listed()
        if json.loads(result.out)['sets'] != len(there):
            raise Broken('verify and list do not tell of the same sets: %s' % result)
        missing = [i for i in list(self.promised) + list(also) if i not in there]
        back = [i for i in self.removed if i in there]
        if missing or back:
            raise Broken('sets are missing: %s; removed sets are back: %s; there are %s' % (missing, back, there))
        return there

    def temporary(self):
        """Unfinished files in the repository."""
        folder = self.system.path('repository/tmp')
        return os.listdir(folder) if os.path.isdir(folder) else []
