"""Vectors: restored alone, and the contract table of the embedding identity, each cell with a stand-in
endpoint; refusals exit 4 before anything is touched, also within a staged recovery of many components."""
import os
import subprocess
import urllib.request

from base import ALL, ROOT, Scenario, main
from lab.system import DIMENSION

STANDIN = os.path.join(ROOT, 'integration/standin/embeddings.py')


class Endpoint:
    """The stand-in embedding endpoint; `behave` switches what it answers."""

    def __init__(self):
        self.process = subprocess.Popen(['/usr/bin/python3', STANDIN, '--dimension', str(DIMENSION)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.base = 'http://127.0.0.1:%d' % int(self.process.stdout.readline())

    def url(self):
        return self.base + '/v1/embeddings'

    def behave(self, how):
        urllib.request.urlopen(self.base + '/standin/mode', data=how.encode(), timeout=5).read()

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Alone(Scenario):
    def test_restore_of_kb_alone_touches_nothing_else(self):
        system, before = self.prepared()
        system.wipe(['kb'])
        system.write('etc/limits.conf', 'changed after the backup\n')
        os.unlink(system.path('uploads/first.txt'))
        damaged = {n: d for n, d in ((n, getattr(system, 'digest_' + n)()) for n in ('settings', 'hot'))}
        result = self.expect(0, system.command.run('--json', 'restore', 'latest', 'kb', '--yes'))
        self.assertEqual(['kb'], [c['component'] for c in result.json['components']])
        self.assertEqual(before['kb'], system.digest_kb())
        self.assertEqual(damaged['settings'], system.digest_settings())
        self.assertEqual(damaged['hot'], system.digest_hot())
        self.assertFalse(os.path.lexists(system.path('uploads/first.txt')))
        self.assertEqual([], system.leftovers())


# contract of the live side relative to the set's, behaviour of the endpoint, expected exit code, code
SAME, OTHER, ABSENT = 'same', 'other', 'absent'
TABLE = [
    (SAME, 'same', 0, 'embedding-identical'),
    (SAME, 'near', 0, 'embedding-compatible'),
    (SAME, 'drift', 4, 'embedding-incompatible'),
    (SAME, 'down', 0, 'embedding-unproven'),
    (OTHER, 'same', 0, 'embedding-compatible'),
    (OTHER, 'near', 4, 'embedding-incompatible'),
    (OTHER, 'drift', 4, 'embedding-incompatible'),
    (OTHER, 'down', 4, 'embedding-incompatible'),
    (ABSENT, 'same', 0, 'embedding-compatible'),
    (ABSENT, 'near', 4, 'embedding-incompatible'),
    (ABSENT, 'drift', 4, 'embedding-incompatible'),
    (ABSENT, 'down', 4, 'embedding-unknown'),
]


class Contract(Scenario):
    def endpoint(self):
        endpoint = Endpoint()
        self.addCleanup(endpoint.stop)
        return endpoint

    def options(self, system, endpoint, contract):
        if contract == ABSENT:
            return '\n embedding: { endpoint = "%s"; };' % endpoint.url()
        changes = {'endpoint': '"%s"' % endpoint.url()}
        if contract == OTHER:
            changes.update(model='"another-model"', revision='"1111"')
        return system.embedding_text(**changes)

    def test_each_cell_of_the_table(self):
        endpoint = self.endpoint()
        system = self.system()
        system.kb_options = self.options(system, endpoint, SAME)
        system.write_configuration()
        system.fill()
        self.expect(0, system.command.run('init'))
        self.expect(0, system.command.run('backup'))
        before = system.digests()
        for contract, behaviour, code, verdict in TABLE:
            with self.subTest(contract=contract, behaviour=behaviour):
                system.kb_options = self.options(system, endpoint, contract)
                system.write_configuration()
                endpoint.behave(behaviour)
                system.write('kb/stray.txt', 'only a restore takes this away\n')
                result = system.command.run('--json', 'restore', 'latest', 'kb', '--yes')
                self.expect(code, result, verdict)
                self.assertEqual(code != 0, os.path.exists(system.path('kb/stray.txt')))
                if code == 0:
                    self.assertEqual(before['kb'], system.digest_kb())

    def test_refusal_stops_a_staged_recovery_before_anything(self):
        endpoint = self.endpoint()
        system = self.system(ALL, 200)
        system.kb_options = self.options(system, endpoint, SAME)
        system.write_configuration()
        system.fill()
        self.expect(0, system.command.run('init'))
        self.expect(0, system.command.run('backup'))
        endpoint.behave('drift')  # same names, other vectors
        for name in ('settings', 'uploads', 'kb', 'hot'):
            system.write({'settings': 'etc'}.get(name, name) + '/stray', 'untouched')
        system.postgres.sql('app', 'DELETE FROM documents WHERE id > 10;')
        before = system.digests()
        self.expect(4, system.command.run('run', 'recover', '--yes'), 'embedding-incompatible')
        self.assertEqual(before, system.digests())
        result = system.command.run('--json', 'run', 'recover', '--yes', '--allow-incompatible')
        self.expect(0, result, 'OVERRIDDEN')
        self.assertNotEqual(before['app-db'], system.digest_app_db())
        with open(system.path('state/audit.jsonl')) as file:
            self.assertIn('embedding-incompatible', file.read())

    def test_wrong_real_dimension_fails_at_backup(self):
        system = self.system()
        system.kb_options = system.embedding_text(dimension='768')
        system.write_configuration()
        system.fill()
        self.expect(0, system.command.run('init'))
        self.expect(3, system.command.run('backup'), 'dimension', '768', str(DIMENSION))
        result = self.expect(0, system.command.run('--json', 'list'))
        self.assertEqual('partial', result.json['sets'][0]['state'])

    def test_judged_by_the_settings_that_the_recovery_brings(self):
        system = self.system()
        identity = '\n embedding: { identity_file = "%s"; identity_key = "embedding"; dimension = %d; metric = "cosine"; };' % (
            system.path('etc/app.json'), DIMENSION)
        system.kb_options = identity
        system.write_configuration()
        system.fill()
        self.expect(0, system.command.run('init'))
        self.expect(0, system.command.run('backup'))
        before = system.digests()
        with open(system.path('etc/app.json')) as file:
            text = file.read()
        with open(system.path('etc/app.json'), 'w') as file:
            file.write(text.replace('nomic-embed-text', 'another-model'))
        self.expect(4, system.command.run('restore', 'latest', 'kb', '--yes'), 'embedding-incompatible')
        self.expect(0, system.command.run('restore', 'latest', 'settings', 'kb', '--yes'))
        self.assertEqual(before, system.digests())


if __name__ == '__main__':
    main()
