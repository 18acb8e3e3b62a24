"""sweep.py: makes each call to the storage fail, one after the other, under every kind of operation."""
import collections
import json
import random

from lab.badluck import BadLuck, Broken, folder_of

OPERATIONS = ('backup', 'incremental', 'restore', 'verify', 'prune', 'delete')
KEEP = 2  # sets that a prune leaves
REASONS = {'eio': 'Input/output error', 'enospc': 'No space left on device', 'cut': 'cut short'}


class Sweep:
    """Works on a filled system with a repository and at least one set, whose digests are those of the live data."""

    def __init__(self, system, seed):
        self.system, self.luck, self.rng = system, BadLuck(system), random.Random(seed)
        self.luck.promised = self.luck.listed()
        self.there = set(self.luck.promised)  # ids of the sets after the last check
        self.count = collections.Counter()  # of outcomes
        self.number = 0
        self.listed, self.target = {}, None

    # ---- the operations: what precedes them, how they are called, and what is true after them ----

    def words(self, operation):
        if operation == 'delete':
            return ('--json', 'delete', self.target, '--yes')
        return {'backup': ('--json', 'backup'), 'incremental': ('--json', 'backup', '--type', 'incremental'),
                'restore': ('--json', 'restore', 'latest', '--yes'),
                'verify': ('--json', 'verify', '--level', 'data'),
                'prune': ('--json', 'prune', '--keep-last', str(KEEP))}[operation]

    def change(self):
        self.system.write('uploads/new-%d.txt' % (self.number % 5),
                          ''.join(self.rng.choices('abcdefghij klmnop\n', k=3000)))

    def before(self, operation):
        """Something new to store, or to bring back."""
        self.number += 1
        if operation in ('backup', 'incremental'):
            self.change()
        elif operation == 'restore':
            self.system.write('uploads/stray.txt', 'not in the set')
        elif operation in ('prune', 'delete'):
            while len(self.luck.listed()) < KEEP + 2:
                self.complete('backup')
                self.number += 1
            self.luck.check()
            self.listed = self.luck.listed()
            self.there = set(self.listed)
            self.target = list(self.listed)[-1]
            self.luck.promised.pop(self.target, None)
            if operation == 'prune':
                self.luck.may_go(self.listed, KEEP)

    def accept(self, operation, result):
        """A run that reports success must have done all of it."""
        if operation in ('backup', 'incremental'):
            self.luck.promise(result)
        elif operation == 'restore' and self.system.digests() != self.digests:
            raise Broken('a restore reported success and left other data: %s' % result)
        elif operation == 'delete':
            self.luck.removed.add(self.target)
        elif operation == 'prune':
            self.luck.note_pruned(result)

    def complete(self, operation):
        """The same again on sound storage, as a user would."""
        words = self.words(operation)
        if operation == 'backup':
            self.change()
        if operation == 'delete' and self.target not in self.luck.listed():
            return  # it had gone, though that was not known for certain
        if operation == 'restore':
            result = self.luck.run(*words, '--resume')
            if result.code != 0 and 'no unfinished' in result.err:
                result = self.luck.run(*words)
            if result.code != 0:
                raise Broken('the next restore failed: %s' % result)
        else:
            result = self.luck.good(*words)
        self.accept(operation, result)

    # ---- which faults ----

    def rules(self, operation):
        """Every fault of every call that the operation makes when all is well, as (group, rule)."""
        self.prepare(operation)
        self.before(operation)
        self.accept(operation, self.luck.good(*self.words(operation)))
        self.there = set(self.luck.promised)
        groups = collections.Counter((call, folder_of(name)) for call, name, _ in self.luck.called())
        for (call, folder), count in sorted(groups.items()):
            where = 'op=%s,name=%s' % (call, folder)
            for at in range(1, count + 1):
                yield (call, folder), 'eio:%s,at=%d' % (where, at)
                yield (call, folder), 'eio:%s,at=%d,for=all' % (where, at)
                if call in ('create', 'mkdir', 'write', 'sync'):
                    yield (call, folder), 'enospc:%s,at=%d' % (where, at)
                if call in ('write', 'sync', 'rename', 'syncdir', 'remove'):
                    yield (call, folder), 'eio:%s,at=%d,done=1' % (where, at)
                if call == 'read':
                    yield (call, folder), 'cut:%s,at=%d' % (where, at)
                    yield (call, folder), 'cut:%s,at=%d,for=all' % (where, at)
                if call in ('read', 'write'):
                    yield (call, folder), 'short:%s,at=%d,for=all' % (where, at)
        for size in (0, 1, 500, 3000, 10000, 30000):
            yield ('disk', 'full'), 'enospc:bytes=%d' % size
        for seed in range(20):
            yield ('any', 'by chance'), 'eio:op=put+remove,p=%d,seed=%d' % (self.rng.choice((10000, 50000)), seed)
            yield ('any', 'by chance'), 'eio:op=get,p=%d,seed=%d' % (self.rng.choice((5000, 20000)), seed)
            yield ('any', 'by chance'), 'short:op=read+write,p=500000,seed=%d' % seed

    def sample(self, operation, count):
        """Some of them, spread over all groups of calls."""
        groups = collections.defaultdict(list)
        for group, rule in self.rules(operation):
            groups[group].append(rule)
        order = self.rng.sample(sorted(groups), len(groups))
        picked = [self.rng.choice(groups[group]) for group in order]
        return picked[:count]

    # ---- one of them ----

    def prepare(self, operation):
        if operation == 'restore':
            self.complete('backup')
            self.there = set(self.luck.promised)
            self.digests = self.system.digests()

    def thin(self):
        """Few sets, so that to prove them all stays quick."""
        if len(self.luck.promised) > 4 * KEEP:
            self.luck.note_pruned(self.luck.good('--json', 'prune', '--keep-last', str(KEEP)))
            self.there = set(self.luck.listed())

    def attempt(self, operation, rule):
        """Under the fault; then what must hold; then the same without it; then again what must hold."""
        self.thin()
        self.before(operation)
        result = self.luck.run(*self.words(operation), env={'ORCHESTRATE_STORAGE_FAULT': rule})
        hits = [(call, name, kind) for call, name, kind in self.luck.called() if kind]
        try:
            self.judge(operation, rule, result, hits)
            self.luck.note_removed(self.listed, result)
            before, self.there = self.there, set(self.luck.check())
            if result.code != 0 and 'done=1' not in rule:
                self.judge_left(result, self.there - before)
            if self.luck.temporary():
                raise Broken('unfinished files stay behind: %s' % self.luck.temporary())
            if result.code != 0:
                self.complete(operation)
                self.there = set(self.luck.check())
        except Broken as why:
            raise Broken('%s under %s (hit: %s): %s\n--- the run under the fault: %s' % (
                operation, rule, hits[:5], why, result)) from why

    @staticmethod
    def judge_left(result, left):
        """A run that failed leaves no set; a partial one leaves its own, of what went right, and says so."""
        if result.code == 3 and '"set"' in result.out:
            told = json.loads(result.out)['set']
            states = {component['state'] for component in told['components']}
            if told['state'] != 'partial' or states != {'completed', 'failed'}:
                raise Broken('exit code 3, but the set is %s, its components are %s' % (told['state'], states))
            left = left - {told['id']}
        if left:
            raise Broken('a run that failed left the set %s' % left)

    def judge(self, operation, rule, result, hits):
        """The exit code and the message."""
        if not hits:
            self.count['never came there'] += 1
        if result.code == 0:
            self.count['went on' if hits else 'untouched'] += 1
            self.accept(operation, result)
            return
        self.count['failed'] += 1
        if not hits:
            raise Broken('it failed though nothing was hit')
        if rule.startswith('short'):
            raise Broken('a short count is no failure')
        if result.code not in (1, 3) and not (result.code == 4 and operation == 'restore'):
            raise Broken('the exit code is %d' % result.code)
        told = result.err + result.out
        if not any(REASONS[kind] in told for _, _, kind in hits):
            raise Broken('the message does not say why')
        if not any(name.rstrip('/') in told for _, name, _ in hits):
            raise Broken('the message does not say where')
