"""Retention, deletion, backup types, rates and jobs, on the real command."""
import json
import os
import pty
import select
import shutil
import time

from base import Scenario, main

DAY = 86400


def tree(folder):
    """Every file with its size, but for leases and caches, which come and go."""
    found = {}
    for base, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(base, name)
            if not os.path.relpath(path, folder).startswith(('leases/', 'tmp/')):
                found[os.path.relpath(path, folder)] = os.path.getsize(path)
    return found


class Retention(Scenario):
    def small(self, documents=20):
        system = self.system(('settings', 'uploads'), documents)
        system.fill()
        self.expect(0, system.command.run('init'))
        return system

    def backup_at(self, system, days, *words, label=None):
        """A set that was taken so many days ago; its name."""
        system.write('uploads/at', 'of %s days ago\n' % days)
        words = list(words) + (['--label', label] if label else [])
        result = self.expect(0, system.command.run('--json', 'backup', *words,
                                                   env={'ORCHESTRATE_CLOCK_SHIFT_S': str(-int(days * DAY))}))
        return result.json['set']['name']

    def backup(self, system, *words):
        """A set by a clock that is ahead of the files' times: what was written a moment ago counts as old enough
        to be told unchanged by the next one."""
        self.ahead = getattr(self, 'ahead', 0) + 10
        return self.expect(0, system.command.run('--json', 'backup', *words,
                                                 env={'ORCHESTRATE_CLOCK_SHIFT_S': str(self.ahead)})).json

    def names(self, system):
        return [s['name'] for s in self.expect(0, system.command.run('--json', 'list')).json['sets']]

    def prune(self, system, *words, code=0):
        return self.expect(code, system.command.run('--json', 'prune', *words)).json

    def configure(self, system, retention):
        path = system.path('conf.d/main.conf')
        with open(path) as file:
            text = file.read()
        with open(path, 'w') as file:
            file.write(text.replace('repositories: { main: {', 'repositories: { main: { retention: %s;' % retention))

    def test_policy(self):
        """Days and a limit of age over faked times; a dry run changes nothing; what is kept is whole."""
        system = self.small()
        ages = (40, 20, 9, 8, 5, 3, 2, 1, 0)
        sets = {days: self.backup_at(system, days) for days in ages}
        before = tree(system.path('repository'))
        words = ('--keep-last', '2', '--keep-daily', '4', '--max-age', '30d')
        told = self.prune(system, '--dry-run', *words)
        self.assertEqual(before, tree(system.path('repository')))
        self.assertEqual('completed', told['state'])
        self.assertTrue(told['dry_run'])
        self.assertEqual(5, told['sets_removed'])
        self.assertGreater(told['data']['bytes_removed'], 0)
        kept = {s['name']: s['reason'] for s in told['sets'] if s['keep']}
        self.assertEqual({sets[0]: 'last 2', sets[1]: 'last 2', sets[2]: kept[sets[2]], sets[3]: kept[sets[3]]}, kept)
        self.assertTrue(kept[sets[3]].startswith('daily '))
        gone = {s['name']: s['reason'] for s in told['sets'] if not s['keep']}
        self.assertEqual('no rule keeps it', gone[sets[5]])
        shown = self.expect(0, system.command.run('prune', '--dry-run', *words), 'REMOVE', 'keep', 'last 2',
                            'Dry run: 5 sets would be removed', 'Nothing was changed')
        self.assertIn(sets[40], shown.out)
        done = self.prune(system, *words)
        self.assertEqual(('completed', 5), (done['state'], done['sets_removed']))
        self.assertEqual([sets[0], sets[1], sets[2], sets[3]], self.names(system))
        after = tree(system.path('repository'))
        packs = [sum(size for name, size in files.items() if name.startswith('packs/')) for files in (before, after)]
        self.assertLess(packs[1], packs[0])
        self.assertEqual(done['data']['bytes_removed'], told['data']['bytes_removed'])
        self.assertEqual(4, len([n for n in after if n.startswith('proofs/')]))
        self.expect(0, system.command.run('verify'))
        with open(system.path('state/audit.jsonl')) as file:
            entry = [json.loads(line) for line in file][-1]
        self.assertEqual(('prune', 5), (entry['what'], len(entry['sets'])))
        again = self.prune(system, *words)
        self.assertEqual(0, again['sets_removed'])

    def test_limit_of_age_goes_before_rules(self):
        system = self.small()
        sets = [self.backup_at(system, days) for days in (40, 35, 1)]
        told = self.prune(system, '--dry-run', '--keep-yearly', '9', '--keep-monthly', '9', '--max-age', '30d')
        reasons = {s['name']: s['reason'] for s in told['sets']}
        self.assertEqual('older than 30d', reasons[sets[1]])
        self.assertFalse([s for s in told['sets'] if s['name'] == sets[1]][0]['keep'])

    def test_newest_verified_stays(self):
        system = self.small()
        sets = [self.backup_at(system, days) for days in (9, 8, 7, 6)]
        self.expect(0, system.command.run('verify', sets[1]))
        listed = {s['name']: s['verified'] for s in
                  self.expect(0, system.command.run('--json', 'list')).json['sets']}
        self.assertTrue(listed[sets[1]]['full'])
        self.assertTrue(listed[sets[2]]['own'] and not listed[sets[2]]['full'])
        self.expect(0, system.command.run('list'), 'verified ', 'own data read back ')
        self.expect(0, system.command.run('show', sets[1]), 'verified ', 'In all: read')
        done = self.prune(system, '--max-age', '1d')
        self.assertEqual([sets[3], sets[1]], self.names(system))
        self.assertEqual(2, done['sets_removed'])

    def test_without_rules_only_data_goes(self):
        system = self.small()
        sets = [self.backup_at(system, days) for days in (3, 2, 1)]
        self.expect(0, system.command.run('prune'), 'No rule says what to keep', '0 sets removed')
        self.assertEqual(sets[::-1], self.names(system))

    def test_configured_rules(self):
        """The first rule that fits holds for a group; options take the place of all of them."""
        system = self.small()
        nightly = [self.backup_at(system, days, label='nightly') for days in (4, 3, 2)]
        only = [self.backup_at(system, days, 'settings') for days in (4.5, 3.5)]
        others = [self.backup_at(system, days) for days in (4.2, 3.2, 2.2)]
        self.configure(system, '( { label = "nightly"; keep_last = 1; }, { components = [ "settings" ]; }, '
                               '{ keep_last = 2; } )')
        told = self.prune(system, '--dry-run')
        kept = {s['name'] for s in told['sets'] if s['keep']}
        self.assertEqual({nightly[2], *only, *others[1:]}, kept)
        told = self.prune(system, '--dry-run', '--keep-last', '1', '--label', '')
        self.assertEqual({*nightly, only[1], others[2]}, {s['name'] for s in told['sets'] if s['keep']})
        told = self.prune(system, '--dry-run', '--keep-last', '1', '--component', 'settings')
        self.assertEqual({only[0]}, {s['name'] for s in told['sets'] if not s['keep']})
        system.write('conf.d/plans/tidy.plan', 'plan: { steps = ( { prune: { } }, { prune: { label = ""; '
                     'components = [ "settings", "uploads" ]; keep_last = 1; } } ); };\n')
        told = self.expect(0, system.command.run('--json', 'run', 'tidy', '--dry-run')).json
        self.assertEqual([3, 2], [s['sets_removed'] for s in told['steps']])
        self.assertEqual(8, len(self.names(system)))
        self.expect(0, system.command.run('run', 'tidy'))
        self.assertEqual({nightly[2], *only, others[2]}, set(self.names(system)))

    def test_mistakes(self):
        system = self.small()
        for words in (('--keep-last', '0'), ('--keep-daily', 'x'), ('--max-age', '30'), ('--max-size', '0'),
                      ('--max-age', '0'), ('--repack-above', '101'), ('--wait', 'soon'), ('--jobs', '0'), ('now',)):
            with self.subTest(words=words):
                self.expect(2, system.command.run('prune', *words))
        self.expect(0, system.command.run('prune', '--help'), '--keep-daily', 'newest verified', '--dry-run')
        self.expect(0, system.command.run('delete', '--help'), '--force', 'prune')

    def test_beside_a_backup(self):
        """A backup that began before the mark holds the deletion up: said, exit 0, and the next prune does it."""
        system = self.small()
        for days in (5, 4):
            self.backup_at(system, days)
        with open(system.path('uploads/large'), 'wb') as file:
            file.write(os.urandom(12 << 20))
        running = system.command.start('backup', '--rate-limit', '500kB/s')
        try:
            deadline = time.monotonic() + 60
            while not os.listdir(system.path('repository', 'leases')) and time.monotonic() < deadline:
                time.sleep(0.05)
            told = self.prune(system, '--max-count', '1', '--wait', '0')
            self.assertEqual('marked', told['state'])
            self.assertEqual('backup', told['blocked']['work'])
            self.assertEqual(running.pid, told['blocked']['pid'])
            self.assertEqual(1, told['sets_removed'])
            self.assertGreater(told['packs_waiting'], 0)
            self.expect(0, system.command.run('prune', '--wait', '0'), 'Marked: ', 'next prune, once backup',
                        'pid %d' % running.pid)
        finally:
            running.kill()
            running.communicate()
        done = self.prune(system)
        self.assertEqual('completed', done['state'])
        self.assertGreater(done['data']['packs_removed'], 0)
        self.expect(0, system.command.run('verify'))

    def test_beside_a_prune(self):
        """Two at once: one gives up, exit 1, and says who is at work."""
        system = self.small()
        for days in (5, 4):
            self.backup_at(system, days)
        with open(system.path('uploads/large'), 'wb') as file:
            file.write(os.urandom(12 << 20))
        backup = system.command.start('backup', '--rate-limit', '500kB/s')
        prune = None
        try:
            leases = system.path('repository', 'leases')
            deadline = time.monotonic() + 60
            while not os.listdir(leases) and time.monotonic() < deadline:
                time.sleep(0.05)
            prune = system.command.start('prune', '--max-count', '1')
            while not os.path.isdir(system.path('repository', 'marks')) and time.monotonic() < deadline:
                time.sleep(0.05)
            told = self.expect(1, system.command.run('prune', '--wait', '0'), 'another prune is at work',
                               'pid %d' % prune.pid, '--wait')
            self.assertNotIn('sets removed', told.out)
            busy = self.prune(system, '--wait', '0', code=1)
            self.assertEqual(('busy', prune.pid), (busy['state'], busy['blocked']['pid']))
        finally:
            for process in (backup, prune):
                if process:
                    process.kill()
                    process.communicate()
        self.assertEqual('completed', self.prune(system)['state'])
        self.expect(0, system.command.run('verify'))

    # ---- delete ----

    def test_delete(self):
        system = self.small()
        sets = [self.backup_at(system, days) for days in (5, 4, 3)]
        everything = tree(system.path('repository'))
        self.expect(2, system.command.run('delete', sets[0]), '--yes', '--dry-run')
        self.expect(2, system.command.run('delete'), 'usage')
        self.expect(1, system.command.run('delete', '19700101_000000', '--yes'), '19700101_000000')
        self.expect(0, system.command.run('delete', sets[0], '--dry-run'), sets[0], 'days ago', 'settings, uploads',
                    'the next prune would free', 'Nothing was changed')
        self.expect(4, system.command.run('delete', sets[2], '--yes'), 'newest completed', '--force')
        self.expect(4, system.command.run('delete', sets[0], 'latest', '--yes'), 'newest completed')
        self.assertEqual(everything, tree(system.path('repository')))
        planned = self.expect(0, system.command.run('--json', 'delete', sets[0], sets[0], '--dry-run')).json
        self.assertEqual(['planned', 1], [planned['state'], len(planned['sets'])])
        self.assertGreater(planned['bytes_freed_by_prune'], 0)
        done = self.expect(0, system.command.run('--json', 'delete', sets[0], '--yes')).json
        self.assertEqual(('completed', 1), (done['state'], done['removed']))
        self.assertEqual([sets[2], sets[1]], self.names(system))
        freed = self.prune(system)
        self.assertEqual(planned['bytes_freed_by_prune'], freed['data']['bytes_removed'])
        self.expect(0, system.command.run('verify', '--level', 'index'))
        self.expect(0, system.command.run('verify', sets[1]))
        self.expect(4, system.command.run('delete', sets[1], '--yes'), 'newest verified')
        self.expect(0, system.command.run('delete', *sets[1:], '--yes', '--force'), '2 sets deleted')
        self.assertEqual([], self.names(system))

    def answer(self, system, answer, *words):
        """What the command prints at a terminal, where it is answered so; and its exit code."""
        arguments = system.command.arguments(*words)
        pid, fd = pty.fork()
        if pid == 0:
            os.execv(arguments[0], arguments)
        said, asked, deadline = b'', False, time.monotonic() + 60
        while time.monotonic() < deadline:
            if not select.select([fd], [], [], 1)[0]:
                continue
            try:
                piece = os.read(fd, 4096)
            except OSError:
                break
            if not piece:
                break
            said += piece
            if not asked and b'Type yes: ' in said:
                asked = True
                os.write(fd, answer)
        _, status = os.waitpid(pid, 0)
        os.close(fd)
        self.assertTrue(asked, said)
        return os.waitstatus_to_exitcode(status), said.decode()

    def test_delete_asks(self):
        system = self.small()
        sets = [self.backup_at(system, days) for days in (5, 4)]
        code, said = self.answer(system, b'no\n', 'delete', sets[0])
        self.assertEqual(130, code)
        self.assertIn('nothing was deleted', said)
        self.assertEqual(2, len(self.names(system)))
        code, said = self.answer(system, b'yes\n', 'delete', sets[0])
        self.assertEqual(0, code)
        self.assertIn('1 set deleted', said)
        self.assertEqual([sets[1]], self.names(system))

    # ---- types ----

    def test_types_stand_alone(self):
        """Each type's set restores with nothing but itself left in the repository."""
        for kind in ('full', 'incremental', 'differential', 'snapshot'):
            with self.subTest(type=kind):
                system = self.small(60)
                self.backup(system)
                system.write('uploads/between', 'x' * 5000)
                self.backup(system, '--type', 'incremental')
                system.write('uploads/new', 'of this run\n' * 100)
                os.remove(system.path('uploads/between'))
                made = self.backup(system, '--type', kind)['set']
                digests = system.digests()
                self.assertEqual(kind, made['type'])
                shown = self.expect(0, system.command.run('--json', 'show', made['id'])).json
                self.assertEqual(kind in ('incremental', 'differential'), shown['stats']['items_unchanged'] > 0)
                for name in self.names(system)[1:]:
                    self.expect(0, system.command.run('delete', name, '--yes', '--force'))
                self.expect(0, system.command.run('prune', '--repack-above', '1'))
                self.assertEqual([made['name']], self.names(system))
                self.expect(0, system.command.run('verify'))
                for name in ('etc', 'uploads'):
                    shutil.rmtree(system.path(name))
                self.expect(0, system.command.run('restore', 'latest', '--yes'))
                self.assertEqual(digests, system.digests())

    def test_differential_reads_since_the_full(self):
        system = self.small(60)
        self.backup(system)
        system.write('uploads/one', 'y' * 4000)
        self.backup(system, '--type', 'incremental')
        system.write('uploads/two', 'z' * 3000)
        read = {}
        for kind in ('incremental', 'differential'):
            made = self.backup(system, 'uploads', '--type', kind)
            read[kind] = made['components'][0]['bytes_read']
        self.assertGreaterEqual(read['differential'], 7000)
        self.assertLess(read['incremental'], 4000)

    # ---- rate and jobs ----

    def test_rate_limit_and_jobs(self):
        system = self.small()
        with open(system.path('uploads/large'), 'wb') as file:
            file.write(os.urandom(8 << 20))
        start = time.monotonic()
        self.backup(system, '--rate-limit', '4MiB/s', '--jobs', '1')
        self.assertGreaterEqual(time.monotonic() - start, (8 - 1) / 4)
        start = time.monotonic()
        made = self.backup(system, '--type', 'incremental', '--rate-limit', '10kB/s', '--jobs', '3')
        self.assertLess(time.monotonic() - start, 60)  # what is unchanged is not read, and so not held back
        self.assertLess(sum(c['bytes_read'] for c in made['components']), 100000)
        digests = system.digests()
        shutil.rmtree(system.path('uploads'))
        self.expect(0, system.command.run('restore', 'latest', '--yes', '--jobs', '1'))
        self.assertEqual(digests, system.digests())
        self.expect(0, system.command.run('verify', '--jobs', '256'))
        self.expect(0, system.command.run('prune', '--jobs', '2'))

    def test_help(self):
        system = self.small()
        self.expect(0, system.command.run('backup', '--help'), 'differential', 'snapshot', '--rate-limit', '--jobs')


if __name__ == '__main__':
    main()
