"""Plugins that crash, hang, end early, scribble, or are none: each run ends with the right status and message,
siblings finish, nothing is left behind."""
import os
import shutil
import time

from base import Scenario, built, main
from lab.command import Orchestrate


class BadPlugins(Scenario):
    def with_bad(self, plugin, options='', folder=None):
        """A small system with one component more, of a bad plugin."""
        system = self.system(('settings', 'uploads'), 40)
        system.fill()
        extra = '\n  bad: { plugin = "%s"; %s };' % (plugin, options)
        system.write_configuration(extra)
        system.command = Orchestrate(system.conf, [folder or built('tests/badplugins')])
        return system

    def backup(self, system, code, *fragments):
        self.expect(0, system.command.run('init'))
        start = time.monotonic()
        result = self.expect(code, system.command.run('--json', 'backup', timeout=120), *fragments)
        self.assertLess(time.monotonic() - start, 60)
        self.no_process_left(system)
        return result.json

    def check_siblings(self, document):
        states = {c['component']: c['state'] for c in document['components']}
        self.assertEqual({'settings': 'completed', 'uploads': 'completed', 'bad': 'failed'}, states)
        self.assertEqual('partial', document['set']['state'])

    def test_null_dereference(self):
        self.check_siblings(self.backup(self.with_bad('null-deref', 'how = "backup";'), 3, 'SIGSEGV'))

    def test_hang(self):
        document = self.backup(self.with_bad('hang', 'stall_timeout = "2s";'), 3, 'bad')
        self.check_siblings(document)
        bad = [c for c in document['components'] if c['component'] == 'bad'][0]
        self.assertEqual('timeout', bad['code'])

    def test_early_end_with_exit_0(self):
        self.check_siblings(self.backup(self.with_bad('short-stream', 'how = "exit";'), 3, 'bad'))

    def test_returns_0_in_the_middle_of_an_object(self):
        self.check_siblings(self.backup(self.with_bad('short-stream'), 3, 'bad'))

    def test_exit_status_7_after_good_work(self):
        self.check_siblings(self.backup(self.with_bad('bad-exit'), 3, 'status 7'))

    def test_scribbling_over_blocks_handed_over(self):
        """Either the host had copied the block, or the digest tells."""
        self.check_siblings(self.backup(self.with_bad('scribble', 'how = "after-commit";'), 3, 'after'))

    def test_scribbling_over_blocks_used_again_is_harmless(self):
        self.assertEqual('completed', self.backup(self.with_bad('scribble', 'how = "reuse";'), 0)['state'])

    def test_other_abi_major(self):
        system = self.with_bad('other-abi')
        self.expect(2, system.command.run('backup'), 'main.conf:', 'ABI 2')

    def test_longer_descriptor_loads(self):
        system = self.with_bad('longer-struct')
        document = self.backup(system, 0)
        self.assertEqual('completed', document['state'])

    def test_not_a_plugin(self):
        system = self.with_bad('no-symbol')
        self.expect(2, system.command.run('backup'), 'main.conf:', 'no-symbol')
        system = self.with_bad('text')
        system.write('plugins/text.so', 'this is no shared object\n')
        system.command = Orchestrate(system.conf, [system.path('plugins')])
        self.expect(2, system.command.run('backup'), 'main.conf:', 'text.so')

    def test_world_writable_folder(self):
        system = self.system(('settings',), 10)
        folder = system.path('plugins')
        os.mkdir(folder)
        shutil.copy(built('tests/badplugins/longer-struct.so'), folder)
        os.chmod(folder, 0o777)
        system.write_configuration('\n  bad: { plugin = "longer-struct"; };')
        system.command = Orchestrate(system.conf, [folder])
        self.expect(2, system.command.run('backup'), folder)
        os.chmod(folder, 0o755)
        os.chmod(os.path.join(folder, 'longer-struct.so'), 0o666)
        self.expect(2, system.command.run('backup'), 'longer-struct.so')

    def test_a_child_that_outlives_it_is_ended(self):
        for how, code in (('', 0), ('crash', 3)):
            system = self.with_bad('stay-behind')
            fifo = system.path('fifo')
            os.mkfifo(fifo)
            system.write_configuration('\n  bad: { plugin = "stay-behind"; path = "%s"; how = "%s"; };' % (fifo, how))
            reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
            self.addCleanup(os.close, reader)
            self.backup(system, code)
            # The end of the fifo shows only once nobody holds its writing end; else read says "try again".
            self.assertLess(len(os.read(reader, 100)), 100)
            self.assertEqual(b'', os.read(reader, 100))


if __name__ == '__main__':
    main()
