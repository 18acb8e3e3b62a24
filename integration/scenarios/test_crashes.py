"""Crashes: the runner killed at every named crash point of a backup and of a restore, on storage that loses
what was not synced; workers killed at random moments."""
import os
import random
import signal
import subprocess
import time

from base import Scenario, built, main
from lab.command import check_output

# Points that a restore reaches, and those that a prune or the removal of a set reaches; all others belong to a backup.
RESTORE = 'restore-'
REMOVAL = ('prune-', 'delete-', 'lapsed-')


def crash_points():
    return check_output([built('core/orchestrate'), '--crash-points']).decode().split()


class Crashes(Scenario):
    def setUp(self):
        self.points = crash_points()
        self.assertGreater(len(self.points), 20)

    def crash(self, system, point, *words):
        """Runs until the point kills it; then the power goes too. The point was hit, or the test fails."""
        log, trace = system.path('powerloss.log'), system.path('trace')
        for name in (log, trace):
            if os.path.exists(name):
                os.unlink(name)
        result = system.command.run(*words, env={'ORCHESTRATE_CRASH_AT': point, 'ORCHESTRATE_CRASH_TRACE': trace,
                                                 'ORCHESTRATE_POWERLOSS_LOG': log})
        self.assertEqual(-signal.SIGKILL, result.code, point + ': ' + str(result))
        with open(trace) as file:
            self.assertEqual(point.split(':')[0], file.read().split()[-1])
        if os.path.exists(log):
            check_output([built('tests/storage/powerloss_apply'), log])
        self.wait_for_workers(system)

    def wait_for_workers(self, system):
        """Workers die with the runner; the kernel may take a moment."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            listing = check_output(['ps', '-eo', 'args=']).decode()
            if 'orchestrate --worker' not in listing:
                return
            time.sleep(0.05)
        self.fail('a worker outlived its runner')

    def sets(self, system):
        return [s['id'] for s in self.expect(0, system.command.run('--json', 'list')).json['sets']]

    def test_backup_killed_at_every_point(self):
        system, _ = self.prepared(('settings', 'uploads', 'kb', 'hot'), 60)
        points = [p for p in self.points if not p.startswith((RESTORE,) + REMOVAL)]
        again = ['put-created:3', 'put-written:4', 'put-synced:5', 'put-renamed:3', 'put-renamed:6', 'pack-stored:2',
                 'part-stored:3']
        for number, point in enumerate(points + again):
            with self.subTest(point=point):
                earlier = self.sets(system)
                system.write('uploads/new-%d.txt' % number, 'data of its own %s %d\n' % (point, number) * 500)
                self.crash(system, point, 'backup')
                now = self.sets(system)
                self.assertEqual(earlier, [i for i in now if i in earlier])
                for name in now:
                    self.expect(0, system.command.run('verify', name, '--level', 'data'))
                self.expect(0, system.command.run('backup', '--type', 'incremental'))
                self.expect(0, system.command.run('verify', '--level', 'data'))

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
        for point in points + ['restore-intent:2', 'restore-done:3', 'restore-applied:4', 'restore-stage-ended:2']:
            with self.subTest(point=point):
                marker = 'the original before %s' % point
                system.write('uploads/original.txt', marker)
                system.write('etc/original.txt', marker)
                self.crash(system, point, 'run', 'recover', '--yes')
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
