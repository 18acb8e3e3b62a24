"""crashes.py: kills every operation at every named crash point that it comes to, and at later hits of it, with a power
loss behind it. Which points there are, the program says; which an operation comes to, a run of it in peace."""
import collections
import os
import signal
import time

from lab.badluck import LEAST, NO_LOSS, BadLuck, Broken, folder_of

SMALL_PACKS = {'ORCHESTRATE_TEST_PACK_BYTES': '60000'}  # several packs in a run, and later hits of their points
KEEP = 2              # sets that a prune leaves
TTL_MS = 1500         # of leases where one has to lapse
SLEEPY = ('prune past a sleeper',)
FEW_LETTERS = bytes(97 + i % 2 for i in range(256))  # packs to an eighth: frames are counted before, files after
RESTORE = 'restore-'  # a restore's points have a test of their own: what counts there is the data restored to


class Crashes:
    """Works on a filled system with a repository and a set."""

    def __init__(self, system, rng):
        self.system, self.rng, self.luck = system, rng, BadLuck(system)
        self.luck.promised = self.luck.listed()
        self.reached = set()
        self.there, self.target, self.sleeper = {}, None, None
        self.count = collections.Counter()
        self.number = 0

    def operations(self):
        return ('backup', 'incremental', 'delete', 'prune', 'prune without rewriting', 'prune past a sleeper')

    def words(self, operation):
        if operation == 'delete':
            return ('--json', 'delete', self.target, '--yes')
        return {'backup': ('--json', 'backup'),
                'incremental': ('--json', 'backup', '--type', 'incremental')}.get(
                    operation, ('--json', 'prune', '--keep-last', str(KEEP), '--repack-above',
                                '100' if operation == 'prune without rewriting' else '30'))

    def env(self, operation):
        return dict(SMALL_PACKS, ORCHESTRATE_LEASE_TTL_MS=str(TTL_MS)) if operation in SLEEPY else SMALL_PACKS

    def before(self, operation):
        """Something to store, or something to remove; what may go is not promised any more."""
        if operation not in ('backup', 'incremental'):
            self.there = self.luck.listed()
            while len(self.there) < KEEP + 2:  # so that something goes, and packs are used in part
                self.in_peace('backup')
                self.there = self.luck.listed()
            self.target = list(self.there)[-1]
            self.luck.promised.pop(self.target, None)
            if operation != 'delete':
                self.luck.may_go(self.there, KEEP)
            if operation in SLEEPY:
                self.put_to_sleep()
            return
        self.number += 1
        for i in range(3):
            with open(self.system.path('uploads', 'blob-%d' % i), 'wb') as file:
                file.write(self.rng.randbytes(900000).translate(FEW_LETTERS))
        self.system.write('uploads/new-%d.txt' % (self.number % 7), 'data of its own %d\n' % self.number * 300)

    def put_to_sleep(self):
        """A backup that has its lease, is stopped, and cannot be known to be dead."""
        self.sleeper = self.luck.start('--json', 'backup', '--rate-limit', '200KB/s', env=self.env(SLEEPY[0]))
        end = time.monotonic() + 30
        while 'backup-frozen' not in self.luck.passed():
            if time.monotonic() > end or self.sleeper.poll() is not None:
                raise Broken('the backup that was to be stopped never froze: %s' % (self.sleeper.communicate(),))
            time.sleep(0.002)
        os.kill(self.sleeper.pid, signal.SIGSTOP)

    def wake(self):
        """It wakes after its lease was given up on: either it notices, or what it reports is true."""
        if self.sleeper is not None:
            os.kill(self.sleeper.pid, signal.SIGCONT)
            result, self.sleeper = self.luck.finish(self.sleeper), None
            self.count['sleepers that noticed' if result.code else 'sleepers that finished'] += 1
            if result.code == 0:
                self.luck.promise(result)

    def accept(self, operation, result):
        if operation in ('backup', 'incremental'):
            self.luck.promise(result)
        elif operation == 'delete':
            self.luck.removed.add(self.target)
        else:
            self.wake()
            self.luck.note_pruned(result)

    def in_peace(self, operation, change=True):
        if change:
            self.before(operation)
        self.accept(operation, self.luck.good(*self.words(operation), env=self.env(operation)))

    def hits(self, operation):
        """How often the operation comes to each point."""
        self.in_peace(operation)
        return collections.Counter(self.luck.passed())

    def attempt(self, operation, point, loss):
        """Killed there; then the power goes; then what must hold, with no step by hand before it."""
        try:
            if len(self.luck.promised) > 8 * KEEP:  # to prove few sets is quick
                self.in_peace('prune')
            self.before(operation)
            kill = self.luck.kill_at_call if point.startswith('kill:') else self.luck.crash
            if not kill(point, *self.words(operation), env=self.env(operation)):
                self.count['not reached this time'] += 1
                self.accept(operation, self.luck.last)
                return False
            if not point.startswith('kill:'):
                self.reached.add(point.split(':')[0])
            self.count['crashes'] += 1
            if operation not in ('backup', 'incremental'):
                self.luck.note_removed(self.there, self.luck.last)
            self.luck.lose_power(loss)
            self.luck.check()
            self.wake()
            # The next one works. After a mere kill it stores nothing of its own, but builds on all that the dead one
            # left, synced or not: it must be safe too.
            self.in_peace(operation, change=loss is not NO_LOSS)
            if loss is NO_LOSS:
                self.luck.lose_power(LEAST)
            elif operation != 'incremental':
                self.in_peace('incremental')
            if operation == 'delete':
                self.in_peace('prune')
            self.luck.check()
        except Broken as why:
            raise Broken('%s killed at %s, power loss %s: %s' % (operation, point, loss, why)) from why
        return True

    def losses(self):
        return [LEAST, NO_LOSS, self.rng.randrange(1, 1 << 30), self.rng.randrange(1, 1 << 30)]

    def plan(self, full):
        """(operation, point, loss): each point of each operation; in full each hit of it and each kind of loss."""
        planned = set()
        for operation in self.operations():
            for point, hits in sorted(self.hits(operation).items()):
                if point.startswith(RESTORE) or (point in planned and not full):
                    continue
                planned.add(point)
                for at in range(1, hits + 1) if full else [self.rng.randrange(1, hits + 1)]:
                    for loss in self.losses() if full else [self.rng.choice(self.losses())]:
                        yield operation, '%s:%d' % (point, at), loss

    def calls(self, operation):
        """Rules that kill it at each call that changes what lies in a folder, before and after the call. The points
        alone cannot tell the put of a pack from that of the index: how many packs there are is up to the threads."""
        self.in_peace(operation)
        groups = collections.Counter((call, folder_of(name)) for call, name, _ in self.luck.called()
                                     if call in ('rename', 'syncdir', 'remove', 'sync'))
        for (call, folder), hits in sorted(groups.items()):
            for at in range(1, hits + 1):
                yield 'kill:op=%s,name=%s,at=%d' % (call, folder, at)
            yield 'kill:op=%s,name=%s,at=%d,done=1' % (call, folder, hits)
