"""Bad days: a wrong passphrase, a full disk, a server that goes away, Ctrl-C, a second restore at once."""
import fcntl
import os
import signal
import subprocess
import time

from base import ALL, Scenario, main


class BadDays(Scenario):
    def test_wrong_passphrase(self):
        system, _ = self.prepared(('settings',), 10)
        system.write('passphrase', 'something else\n', 0o600)
        self.expect(1, system.command.run('list'), 'passphrase')
        self.expect(1, system.command.run('restore', 'latest', '--yes'), 'passphrase')

    def test_no_repository_yet(self):
        system = self.system(('settings',), 10)
        self.expect(1, system.command.run('backup'), 'orchestrate init')

    def test_init_twice(self):
        system, _ = self.prepared(('settings',), 10)
        self.expect(1, system.command.run('init'), system.path('repository'))
        self.expect(0, system.command.run('verify'))

    def test_weaker_repository_than_known(self):
        """Somebody replaces the repository by one without encryption."""
        system, _ = self.prepared(('settings',), 10)
        os.rename(system.path('repository'), system.path('repository-real'))
        text = open(system.path('conf.d/main.conf')).read()
        system.write('conf.d/main.conf', text.replace('passphrase_file = "%s"' % system.path('passphrase'),
                                                      'encryption = "none"').replace(
                                                          'state_dir = "%s"' % system.path('state'),
                                                          'state_dir = "%s"' % system.path('state-other')))
        self.expect(0, system.command.run('init'))
        system.write('conf.d/main.conf', text)
        result = system.command.run('backup')
        self.expect(4, result, 'not the one used before', 'known/main.json')

    def test_server_gone_before_and_during(self):
        system = self.system(ALL, 3000)
        system.fill()
        self.expect(0, system.command.run('init'))
        self.expect(0, system.command.run('backup'))
        system.redis.stop()
        result = self.expect(3, system.command.run('--json', 'backup'), 'sessions')
        states = {c['component']: c['state'] for c in result.json['components']}
        self.assertEqual(['sessions'], [n for n, s in states.items() if s == 'failed'])
        self.expect(3, system.command.run('backup', 'sessions', 'settings'), 'sessions')
        self.expect(1, system.command.run('backup', 'sessions'), 'sessions')
        self.expect(4, system.command.run('restore', 'latest', '--yes', 'sessions'), 'nothing was touched')
        system.redis.start()
        process = system.command.start('backup')
        time.sleep(0.15)
        system.postgres.stop('immediate')
        out, err = process.communicate(timeout=120)
        self.assertIn(process.returncode, (0, 3), err.decode())
        system.postgres.start()
        self.expect(0, system.command.run('verify', '--level', 'data'))

    def test_ctrl_c(self):
        system, _ = self.prepared(('settings', 'uploads', 'kb', 'hot'), 400)
        sets = len(self.expect(0, system.command.run('--json', 'list')).json['sets'])
        cancelled = 0
        for delay in (0.02, 0.05, 0.08, 0.12, 0.2, 0.3):
            process = system.command.start('backup')
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
            self.assertIn(process.returncode, (0, 130, -signal.SIGINT))
            cancelled += process.returncode == 130
            sets += process.returncode == 0
        self.assertGreater(cancelled, 0)
        self.no_process_left(system)
        self.assertEqual(sets, len(self.expect(0, system.command.run('--json', 'list')).json['sets']))
        self.expect(0, system.command.run('verify', '--level', 'data'))

    def test_storage_full_and_failing(self):
        system, before = self.prepared(('settings', 'uploads'), 200)
        for fault in ('enospc', 'enospc:at=3', 'eio:op=write,at=2'):
            system.write('uploads/more.bin', os.urandom(300000).hex())
            result = self.expect(1, system.command.run('backup', env={'ORCHESTRATE_STORAGE_FAULT': fault}))
            self.assertIn('No space' if 'enospc' in fault else 'Input/output', result.err, str(result))
            self.expect(0, system.command.run('verify', '--level', 'data'))
        self.assertEqual(1, len(self.expect(0, system.command.run('--json', 'list')).json['sets']))
        self.expect(0, system.command.run('backup'))

    def test_recovery_from_a_repository_that_cannot_be_written(self):
        system, before = self.prepared(('settings', 'uploads'), 40)
        full = {'ORCHESTRATE_STORAGE_FAULT': 'enospc'}
        self.expect(0, system.command.run('verify', env=full), 'without a lease')
        system.wipe()
        self.expect(0, system.command.run('restore', 'latest', '--yes', env=full), 'without a lease')
        self.assertEqual(before, system.digests())
        self.expect(1, system.command.run('backup', env=full), 'No space')

    def test_backup_and_restore_of_one_component_exclude_each_other(self):
        system, _ = self.prepared(('settings', 'uploads'), 40)
        self.expect(0, system.command.run('restore', 'latest', '--yes'))  # makes the lock files
        with open(system.path('state/locks/settings')) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.expect(1, system.command.run('backup'), 'settings', 'is being restored')
            self.expect(0, system.command.run('backup', 'uploads'))
            fcntl.flock(lock, fcntl.LOCK_SH)
            self.expect(1, system.command.run('restore', 'latest', '--yes'), 'settings', 'is being backed up')
            self.expect(0, system.command.run('backup'))

    def test_latest_for_all_holds_all(self):
        system, before = self.prepared(('settings', 'uploads'), 40)
        self.expect(0, system.command.run('backup', 'settings'))
        system.wipe()
        self.expect(0, system.command.run('restore', 'latest', '--yes'))
        self.assertEqual(before, system.digests())

    def test_restore_needs_consent(self):
        system, _ = self.prepared(('settings',), 10)
        self.expect(2, system.command.run('restore', 'latest'), '--yes')
        self.expect(0, system.command.run('restore', 'latest', '--dry-run'), 'Nothing was changed')

    def test_unfinished_restore_is_not_overrun(self):
        system, before = self.prepared(('settings', 'uploads'), 40)
        system.command.run('restore', 'latest', '--yes', env={'ORCHESTRATE_CRASH_AT': 'restore-applied'})
        self.expect(4, system.command.run('restore', 'latest', '--yes'), '--resume', '--restart')
        self.expect(1, system.command.run('status'), '--resume')
        self.expect(0, system.command.run('backup', 'settings'), 'half restored')
        self.expect(0, system.command.run('restore', 'latest', '--yes', '--resume'))
        self.expect(0, system.command.run('status'), 'All is well')
        self.assertEqual(before, system.digests())

    def test_closed_output(self):
        system, _ = self.prepared(('settings',), 10)
        with open('/dev/full', 'w') as full:
            done = subprocess.run(system.command.arguments('list'), stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(1, done.returncode)


if __name__ == '__main__':
    main()
