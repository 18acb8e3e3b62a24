"""rounds.py: kill -9 at random moments of every operation, a power loss behind it, and what must hold after that."""
import collections
import os
import random
import shutil
import signal
import time

from lab.badluck import LEAST, NO_LOSS, BadLuck, Broken, session_processes
from lab.crashes import SMALL_PACKS

# How often each is taken.
OPERATIONS = {'backup': 3, 'incremental': 3, 'prune': 3, 'delete': 1, 'restore': 1}
KEEP = 3  # sets that a prune leaves
WORDS = {
    'backup': ('--json', 'backup'),
    'incremental': ('--json', 'backup', '--type', 'incremental'),
    'restore': ('restore', 'latest', '--yes'),
    'prune': ('--json', 'prune', '--keep-last', str(KEEP)),
}


class Rounds:
    """Works on a filled system with a repository and a set. Round N of a seed takes the same decisions again; the
    moment at which a kill lands in the program is the machine's."""

    def __init__(self, system, seed):
        self.system, self.seed, self.luck = system, seed, BadLuck(system)
        self.luck.promised = self.luck.listed()
        self.took = {}                            # operation -> seconds: moving averages, of the whole run and
        self.worked = {}                          # from its first crash point on
        self.victims = collections.Counter()      # of the kills that landed
        self.phases = collections.Counter()       # (operation, last point passed) of those
        self.outcomes = collections.Counter()
        self.what = ''                            # the round at hand, for messages
        self.there, self.target = {}, None
        for number, operation in enumerate(['backup'] * 3 + list(OPERATIONS)):  # in peace: how long does each take
            self.change(random.Random('%d/first/%d' % (seed, number)))
            self.peace(operation)

    # ---- one operation ----

    def change(self, rng):
        """Some new data, some of it in large pieces, some of it gone again."""
        text = ''.join(rng.choices('abcdefghij klmnop\n', k=rng.choice((300, 3000, 30000))))
        self.system.write('uploads/new-%d.txt' % rng.randrange(6), text)
        with open(self.system.path('uploads', 'blob-%d' % rng.randrange(3)), 'wb') as file:
            file.write(rng.randbytes(rng.choice((1000, 200000, 900000))))
        if rng.random() < 0.3:
            self.system.write('etc/limits.conf', 'uploads_max = %d\n' % rng.randrange(10 ** 9))

    def words(self, operation):
        """What may go by it is not promised any more."""
        self.there = self.luck.listed() if operation in ('prune', 'delete') else {}
        if operation == 'prune':
            self.luck.may_go(self.there, KEEP)
        if operation == 'delete':
            self.target = list(self.there)[-1]
            self.luck.promised.pop(self.target, None)
            return ('--json', 'delete', self.target, '--yes')
        return WORDS[operation]

    def peace(self, operation):
        words = self.words(operation)
        start = time.monotonic()
        process = self.luck.start(*words, env=SMALL_PACKS)
        self.wait_for_work(process)
        first = time.monotonic()
        result = self.luck.finish(process)
        end = time.monotonic()
        if operation == 'restore' and result.code == 4 and '--resume' in result.err:  # as it says itself
            result = self.luck.run(*words, '--resume', env=SMALL_PACKS)
        if result.code != 0:
            raise Broken('"%s" failed: %s' % (' '.join(words), result))
        for average, took in ((self.took, end - start), (self.worked, end - first)):
            average[operation] = 0.8 * average.get(operation, took) + 0.2 * took
        self.accept(operation, result)

    def wait_for_work(self, process):
        while process.poll() is None and not os.path.exists(self.luck.points):
            time.sleep(0.001)

    def accept(self, operation, result):
        if operation in ('backup', 'incremental'):
            self.luck.promise(result)
            self.digests = self.system.digests()
        elif operation == 'restore':
            if self.system.digests() != self.digests:
                raise Broken('restored to something else than the newest set: %s' % result)
            if self.system.leftovers():
                raise Broken('a restore that is done has left %s' % self.system.leftovers())
        elif operation == 'delete':
            self.luck.removed.add(self.target)
        elif operation == 'prune':
            self.luck.note_pruned(result)

    def victims_of(self, process, target):
        running = session_processes(process.pid)
        workers = [pid for pid, line in running if '--worker' in line]
        if target == 'worker':
            return workers
        return [process.pid] if target == 'main' else [process.pid] + workers

    def kill(self, process, target, rng):
        """True if something died of it."""
        if process.poll() is not None:
            return False
        pids = self.victims_of(process, target)
        if target == 'worker' and pids:
            pids = [rng.choice(pids)]
        hit = False
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
                hit = True
            except ProcessLookupError:
                pass
        return hit

    def struck(self, operation, rng):
        """The operation, killed somewhere between its beginning and a little after its usual end; mostly, since to
        derive the key takes longest, somewhere from its first crash point on."""
        has_workers = operation in ('backup', 'incremental', 'restore')
        target = rng.choices(('main', 'group', 'worker'), (5, 3, 2 if has_workers else 0))[0]
        working = rng.random() < 0.85
        delay = rng.uniform(0, 1.1 * (self.worked if working else self.took)[operation])
        moment = '%.3f s after its %s' % (delay, 'first point' if working else 'start')
        self.what += ', a worker of it killed' if target == 'worker' else ', %s of it killed %s' % (target, moment)
        process = self.luck.start(*self.words(operation), env=SMALL_PACKS)
        if target == 'worker':  # they live for a part of the run only: from when there is one, a little while
            while process.poll() is None and not (os.path.exists(self.luck.points) and
                                                  self.victims_of(process, 'worker')):
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.02))
        else:
            if working:
                self.wait_for_work(process)
            time.sleep(delay)
        landed = self.kill(process, target, rng)
        result = self.luck.finish(process)
        if landed:
            self.victims[target] += 1
            self.phases[operation, (self.luck.passed() or ['before its first point'])[-1]] += 1
        if result.code == 0:
            self.outcomes['had finished' if not landed else 'finished all the same'] += 1
            self.accept(operation, result)
        elif result.code == -signal.SIGKILL:
            self.outcomes['killed'] += 1
            self.luck.note_removed(self.there, result)
        elif target == 'worker' and landed and result.code in (1, 2, 3, 4):
            self.outcomes['reported the worker'] += 1
            if result.code == 3 and operation != 'restore':
                self.luck.promise(result)
        else:
            raise Broken('it ended with %d: %s' % (result.code, result))
        return result

    # ---- a round ----

    def spoil_cache(self, rng):
        """What a client keeps is no part of the repository: it may be older, damaged or gone."""
        cache, older = self.system.path('cache'), self.system.path('cache-older')
        choice = rng.choices(('kept', 'older', 'gone', 'damaged'), (6, 2, 1, 1))[0]
        if choice == 'older' and os.path.isdir(older):
            shutil.rmtree(cache, ignore_errors=True)
            shutil.copytree(older, cache)
        elif choice == 'gone':
            shutil.rmtree(cache, ignore_errors=True)
        elif choice == 'damaged':
            for folder, _, files in os.walk(cache):
                for name in files:
                    with open(os.path.join(folder, name), 'r+b') as file:
                        size = os.fstat(file.fileno()).st_size
                        file.seek(rng.randrange(size + 1))
                        file.write(rng.randbytes(200))
        if rng.random() < 0.3 and os.path.isdir(cache):
            shutil.rmtree(older, ignore_errors=True)
            shutil.copytree(cache, older)
        return choice

    def round(self, number):
        rng = random.Random('%d/%d' % (self.seed, number))
        operation = rng.choices(list(OPERATIONS), list(OPERATIONS.values()))[0]
        loss = rng.choices((LEAST, NO_LOSS, rng.randrange(1, 1 << 30)), (4, 2, 4))[0]
        self.what = 'round %d of seed %d: %s' % (number, self.seed, operation)
        try:
            self.change(rng)
            result = self.struck(operation, rng)
            self.what += ', power loss %s' % loss
            self.what += ' (%s)' % self.luck.lose_power(loss)
            self.what += ', cache %s' % self.spoil_cache(rng)
            self.hold(operation, result)
        except Broken as why:
            raise Broken('%s: %s' % (self.what, why)) from why

    def hold(self, operation, result):
        """Every earlier set is whole, and the next of everything works: with no step by hand."""
        self.luck.check()
        if operation in ('restore', 'prune'):
            self.peace(operation)
        self.peace('incremental' if operation == 'backup' else 'backup')
        if operation != 'prune' and len(self.luck.promised) > 2 * KEEP:
            self.peace('prune')
        self.luck.check()

    def summary(self):
        lines = ['%d kills landed: %s' % (sum(self.victims.values()),
                                          ', '.join('%d on %s' % (n, what) for what, n in self.victims.most_common())),
                 'outcomes: ' + ', '.join('%d %s' % (n, what) for what, n in self.outcomes.most_common())]
        for operation in OPERATIONS:
            there = [(n, point) for (name, point), n in self.phases.most_common() if name == operation]
            lines.append('%s, after: %s' % (operation, ', '.join('%s %d' % (point, n) for n, point in there)))
        return '\n'.join(lines)
