"""crashes.py: kills every operation at every named crash point that it comes to, and at later hits of it, with a power
loss behind it. Which points there are, the program says; which an operation comes to, a run of it in peace."""
import collections

from lab.badluck import LEAST, NO_LOSS, BadLuck, Broken, folder_of

SMALL_PACKS = {'ORCHESTRATE_TEST_PACK_BYTES': '60000'}  # several packs in a run, and later hits of their points
FEW_LETTERS = bytes(97 + i % 2 for i in range(256))  # packs to an eighth: frames are counted before, files after
RESTORE = 'restore-'  # a restore's points have a test of their own: what counts there is the data restored to


class Crashes:
    """Works on a filled system with a repository and a set."""

    def __init__(self, system, rng):
        self.system, self.rng, self.luck = system, rng, BadLuck(system)
        self.luck.promised = self.luck.listed()
        self.reached = set()
        self.count = collections.Counter()
        self.number = 0

    # operation -> (what precedes it, words, what becomes of a run that succeeded)
    def operations(self):
        return ('backup', 'incremental')

    def words(self, operation):
        return {'backup': ('--json', 'backup'),
                'incremental': ('--json', 'backup', '--type', 'incremental')}[operation]

    def before(self, operation):
        self.number += 1
        for i in range(3):
            with open(self.system.path('uploads', 'blob-%d' % i), 'wb') as file:
                file.write(self.rng.randbytes(900000).translate(FEW_LETTERS))
        self.system.write('uploads/new-%d.txt' % (self.number % 7), 'data of its own %d\n' % self.number * 300)

    def accept(self, operation, result):
        self.luck.promise(result)

    def in_peace(self, operation, change=True):
        if change:
            self.before(operation)
        self.accept(operation, self.luck.good(*self.words(operation), env=SMALL_PACKS))

    def hits(self, operation):
        """How often the operation comes to each point."""
        self.in_peace(operation)
        return collections.Counter(self.luck.passed())

    def attempt(self, operation, point, loss):
        """Killed there; then the power goes; then what must hold, with no step by hand before it."""
        try:
            self.before(operation)
            kill = self.luck.kill_at_call if point.startswith('kill:') else self.luck.crash
            if not kill(point, *self.words(operation), env=SMALL_PACKS):
                self.count['not reached this time'] += 1
                return False
            if not point.startswith('kill:'):
                self.reached.add(point.split(':')[0])
            self.count['crashes'] += 1
            self.luck.lose_power(loss)
            self.luck.check()
            # The next one works. After a mere kill it stores nothing of its own, but builds on all that the dead one
            # left, synced or not: it must be safe too.
            self.in_peace(operation, change=loss is not NO_LOSS)
            if loss is NO_LOSS:
                self.luck.lose_power(LEAST)
            elif operation != 'incremental':
                self.in_peace('incremental')
            self.luck.check()
        except Broken as why:
            raise Broken('%s killed at %s, power loss %s: %s' % (operation, point, loss, why)) from why
        return True

    def losses(self):
        return [LEAST, NO_LOSS, self.rng.randrange(1, 1 << 30), self.rng.randrange(1, 1 << 30)]

    def plan(self, full):
        """(operation, point, loss): each point of each operation; in full each hit of it and each kind of loss."""
        for operation in self.operations():
            for point, hits in sorted(self.hits(operation).items()):
                if point.startswith(RESTORE):
                    continue
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
