"""Crashes: the runner killed at every named crash point, on storage that loses what was not synced; workers killed at
random moments. Every hit of every point with every kind of loss: integration/torture crashes."""
import os
import random
import signal
import subprocess
import time

from base import Scenario, main
from lab.badluck import LEAST, NO_LOSS, BadLuck, crash_points
from lab.command import check_output
from lab.crashes import RESTORE, Crashes


class CrashPoints(Scenario):
    def setUp(self):
        self.points = crash_points()
        self.assertGreater(len(self.points), 20)

    def crash(self, luck, point, *words):
        """Runs until the point kills it; then the power goes too. The point was hit, or the test fails."""
        self.assertTrue(luck.crash(point, *words), point + ' was never reached')
        luck.lose_power(LEAST)

    def built(self, system, command):
        """Whether the program has that command at all."""
        return system.command.run(command, '--help').code == 0

    def test_killed_at_every_point(self):
        """Every point but those of a restore, which have a test of their own below. The list is the program's: a
        point that no operation here comes to is a failure, since then nobody has seen what a crash there does."""
        system, _ = self.prepared(('settings', 'uploads', 'hot'), 20, key_file=True)
        crashes = Crashes(system, random.Random(3))
        for operation, point, loss in crashes.plan(full=False):
            with self.subTest(operation=operation, point=point, loss=loss):
                # How data falls into packs is up to the threads: a later hit may not come again, and a prune
                # may find no pack that is worth rewriting until there are other sets.
                tries = [point] + 4 * [point.split(':')[0]]
                self.assertTrue(any(crashes.attempt(operation, at, loss) for at in tries), point)
        unseen = [p for p in self.points if p not in crashes.reached and not p.startswith(RESTORE)]
        for command in ('prune', 'delete'):
            if not self.built(system, command):
                unseen = [p for p in unseen if not p.startswith((command + '-', 'lapsed-'))]
        self.assertEqual([], unseen)

    def test_what_a_killed_run_left_unsynced_is_not_built_on(self):
        """Killed right after a rename, and the machine stays up: the next backup finds all that it needs and stores
        nothing. When the power goes after that, what it has reported must still be there."""
        system, _ = self.prepared(('settings', 'uploads', 'hot'), 20, key_file=True)
        crashes = Crashes(system, random.Random(4))
        rules = [r for r in crashes.calls('backup') if 'op=rename' in r and 'done=1' in r]
        self.assertTrue(any('name=index/' in r for r in rules), rules)
        for rule in rules:
            with self.subTest(rule=rule):
                crashes.attempt('backup', rule, NO_LOSS)
        self.assertGreaterEqual(crashes.count['crashes'], len(rules) - 2)

    def test_what_was_said_to_be_removed_stays_removed(self):
        """Killed with some manifests removed and none of it synced: nothing may have been announced by then."""
        system, _ = self.prepared(('settings', 'uploads', 'hot'), 20, key_file=True)
        crashes = Crashes(system, random.Random(5))
        for operation, point in (('prune', 'prune-set-removed:2'), ('prune', 'prune-repacked'), ('delete', 'delete-done')):
            with self.subTest(point=point):
                self.assertTrue(crashes.attempt(operation, point, LEAST), point)

    def aside_holds(self, system, text):
        """Whether something set aside, or what is live, still holds the original content."""
        done = subprocess.run(['grep', '-rlF', text, system.path('uploads'), system.path('etc'), system.path('state')] +
                              [system.path(n) for n in os.listdir(system.folder) if 'orch-aside' in n],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return done.stdout.decode().split()

    def test_restore_killed_at_every_point(self):
        system, before = self.prepared(('settings', 'uploads', 'kb', 'hot'), 60)
        points = [p for p in self.points if p.startswith(RESTORE)]
        self.assertGreater(len(points), 8)
        luck = BadLuck(system)
        for point in points + ['restore-intent:2', 'restore-done:3', 'restore-applied:4', 'restore-stage-ended:2']:
            with self.subTest(point=point):
                marker = 'the original before %s' % point
                system.write('uploads/original.txt', marker)
                system.write('etc/original.txt', marker)
                self.crash(luck, point, 'run', 'recover', '--yes')
                finished = point == 'restore-finished'
                settled = point in ('restore-settled', 'restore-stage-ended', 'restore-stage-ended:2',
                                    'restore-applied:4', 'restore-finished', 'restore-done:3')
                if not settled:
                    self.assertNotEqual([], self.aside_holds(system, marker))
                result = system.command.run('run', 'recover', '--yes', '--resume')
                if result.code != 0 and ('no unfinished' in result.err):
                    self.assertTrue(finished or point == 'restore-preflighted', point + str(result))
                    result = system.command.run('run', 'recover', '--yes')
                self.expect(0, result)
                self.assertEqual(before, system.digests())
                self.expect(0, system.command.run('verify', '--level', 'index'))
                self.assertEqual([], system.leftovers())
        history = self.expect(0, system.command.run('--json', 'history')).json['restores']
        self.assertGreaterEqual(len(history), len(points))

    def children(self, pid):
        listing = check_output(['ps', '-eo', 'pid=,ppid=,args=']).decode().splitlines()
        rows = [line.split(None, 2) for line in listing]
        return [int(r[0]) for r in rows if r[1] == str(pid) and '--worker' in r[2]]

    def test_worker_killed_at_random_moments(self):
        system, _ = self.prepared(('settings', 'uploads', 'kb', 'hot'), 400)
        start = time.monotonic()
        self.expect(0, system.command.run('backup'))
        whole = time.monotonic() - start
        rng = random.Random(11)
        killed = failed = 0
        while killed < 20:
            process = system.command.start('--json', 'backup')
            time.sleep(rng.uniform(0, whole))
            workers = self.children(process.pid)
            while not workers and process.poll() is None:
                workers = self.children(process.pid)
            if workers:
                try:
                    os.kill(rng.choice(workers), signal.SIGKILL)
                    killed += 1
                except ProcessLookupError:
                    pass
            out, err = process.communicate(timeout=120)
            # 2: killed while it described itself, before anything was read
            self.assertIn(process.returncode, (0, 1, 2, 3), err.decode())
            failed += process.returncode != 0
            if process.returncode != 0:
                self.assertIn(b'SIGKILL', out + err)
            self.assertLess(time.monotonic() - start, 300)
        self.assertEqual(20, killed)
        self.assertGreater(failed, 0)
        self.expect(0, system.command.run('verify', '--level', 'data'))
        self.expect(0, system.command.run('backup'))
        self.no_process_left(system)


if __name__ == '__main__':
    main()
