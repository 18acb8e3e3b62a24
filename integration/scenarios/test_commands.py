"""The commands around backup and restore: list, show, graph, plugin, history, incremental, targets, help."""
import json
import os
import subprocess
import time

from base import ALL, Scenario, main
from lab.servers import RedisClient


class Commands(Scenario):
    def test_incremental_reads_only_what_changed(self):
        system, _ = self.prepared(('settings', 'uploads'), 300)
        # A token within two seconds of the earlier freeze is void: let the tree grow that old.
        time.sleep(2.2)
        self.expect(0, system.command.run('backup', '--type', 'incremental'))
        system.write('uploads/changed.txt', 'new')
        result = self.expect(0, system.command.run('--json', 'backup', 'uploads', '--type', 'incremental')).json
        part = result['components'][0]
        self.assertGreater(part['items_unchanged'], 70)
        self.assertLess(part['bytes_read'], 100)
        before = system.digests()
        system.wipe()
        self.expect(0, system.command.run('restore', 'latest', '--yes', 'uploads'))
        self.assertEqual(before['uploads'], system.digest_uploads())

    def test_list_show_and_prefix(self):
        system, _ = self.prepared(('settings', 'uploads'), 40)
        self.expect(0, system.command.run('backup', '--label', 'nightly', 'uploads'))
        sets = self.expect(0, system.command.run('--json', 'list')).json['sets']
        self.assertEqual(2, len(sets))
        self.assertEqual('nightly', sets[0]['label'])
        self.assertEqual(1, len(self.expect(0, system.command.run('--json', 'list', '--label', 'nightly')).json['sets']))
        self.assertEqual(1, len(self.expect(0, system.command.run('--json', 'list', '--component', 'settings')).json['sets']))
        shown = self.expect(0, system.command.run('--json', 'show', sets[1]['id'][:10])).json
        self.assertEqual({'settings', 'uploads'}, {p['component'] for p in shown['parts']})
        self.expect(0, system.command.run('show', 'latest', '--items', 'uploads'), 'document-1.txt')
        items = self.expect(0, system.command.run('--json', 'show', 'latest', '--items', 'uploads')).json['items']
        self.assertIn('document-1.txt', ''.join(item['name'] for item in items))
        self.expect(1, system.command.run('show', 'ffffffff'), 'ffffffff')
        # "latest" is the newest set that holds every component asked for
        result = self.expect(0, system.command.run('--json', 'restore', 'latest', 'settings', '--dry-run')).json
        self.assertEqual(sets[1]['id'], result['set'])

    def test_target_sends_a_component_elsewhere(self):
        system, before = self.prepared(('settings', 'uploads', 'kb'), 40)
        self.expect(0, system.command.run('restore', 'latest', 'kb', '--yes', '--target',
                                          'kb.path=' + system.path('elsewhere')))
        self.assertTrue(os.path.exists(system.path('elsewhere/documents.faiss')))
        self.assertEqual(before, system.digests())
        self.expect(2, system.command.run('restore', 'latest', 'kb', '--yes', '--target', 'kb.nothing=1'), 'nothing')

    def test_restore_over_live_data_leaves_nothing_behind(self):
        """Also not in the servers: the databases that were set aside are gone once all is verified."""
        system, before = self.prepared(('settings', 'app-db', 'sessions'), 40)
        system.write('etc/limits.conf', 'changed\n')
        system.postgres.sql('app', "INSERT INTO users (name) VALUES ('somebody new');")
        with RedisClient(system.redis.socket) as redis:
            redis.call('SET', 'new', '1')
        result = self.expect(0, system.command.run('restore', 'latest', '--yes'))
        self.assertNotIn('warning', result.err)
        self.assertEqual(before, system.digests())
        self.assertEqual([], system.leftovers())
        names = system.postgres.sql('postgres', 'SELECT datname FROM pg_database ORDER BY 1;').split()
        self.assertEqual(['app', 'postgres', 'template0', 'template1'], names)
        with RedisClient(system.redis.socket) as redis:
            self.assertEqual(1, redis.call('INFO', 'keyspace').count(b'db'))

    def test_graph_and_plugins(self):
        system = self.system(ALL, 10)
        graph = self.expect(0, system.command.run('--json', 'graph')).json
        self.assertIn('stages', json.dumps(graph))
        self.expect(0, system.command.run('graph'), 'settings', 'kb')
        self.expect(0, system.command.run('graph', '--format', 'dot'), 'digraph')
        self.expect(0, system.command.run('plugin', 'list'), 'postgres', 'redis', 'vectorstore', 'volumes', 'config',
                    'l1-memory')
        self.expect(0, system.command.run('plugin', 'show', 'redis'), 'url', 'required', 'password', 'secret')

    def test_mistakes_exit_2(self):
        system, _ = self.prepared(('settings',), 10)
        for words, fragment in ((['backup', '--rate-limit', '0'], 'never end'), (['backup', '--jobs', '257'], '256'), (['backup', '--type', 'x'], 'full'),
                                (['backup', 'nobody'], 'nobody'), (['frobnicate'], 'frobnicate'), ([], 'command'),
                                (['copy'], 'later'), (['restore'], 'usage'), (['verify', '--level', 'restore'], 'drill'),
                                (['list', '--max-age', 'x'], 'x'), (['run', 'nothing'], 'nothing'),
                                (['restore', 'latest', '--strategy', 'merge-preserve'], 'later')):
            with self.subTest(words=words):
                self.expect(2, system.command.run(*words), fragment)

    def test_help_teaches(self):
        system = self.system(('settings',), 10)
        self.expect(0, system.command.run('--help'), 'Exit codes', 'restore')
        self.expect(0, system.command.run('restore', '--help'), '--dry-run', 'latest')

    def test_json_is_one_document(self):
        system, _ = self.prepared(('settings',), 10)
        for words in (['list'], ['status'], ['history'], ['show', 'latest'], ['verify'], ['backup'], ['graph'],
                      ['restore', 'latest', '--dry-run'], ['show', 'nothing'], ['run', 'recover', '--dry-run']):
            with self.subTest(words=words):
                json.loads(system.command.run('--json', *words).out)

    def test_modes_of_what_it_keeps(self):
        system, _ = self.prepared(('settings',), 10)
        for top in ('repository', 'state'):
            for folder, _, files in os.walk(system.path(top)):
                self.assertEqual(0o700, os.stat(folder).st_mode & 0o777, folder)
                for name in files:
                    self.assertEqual(0o600, os.stat(os.path.join(folder, name)).st_mode & 0o777, name)

    def test_secrets_do_not_show(self):
        system, _ = self.prepared(('settings',), 10)
        process = system.command.start('-vv', 'backup')
        listing = subprocess.run(['ps', '-eo', 'args='], stdout=subprocess.PIPE).stdout.decode()
        out, err = process.communicate(timeout=60)
        for text in (listing, out.decode(), err.decode()):
            self.assertNotIn('the passphrase of the lab', text)


if __name__ == '__main__':
    main()
