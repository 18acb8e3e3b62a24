"""The independent reader (integration/reader), written from docs/repository-format.md, gives back what the command has
stored: so the document is true."""
import base64
import gzip
import hashlib
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys

from base import ROOT, Scenario, built, main
from lab.command import check_output
from lab.servers import RedisClient

sys.path.insert(0, os.path.join(ROOT, 'integration', 'reader'))
import repository  # noqa: E402

READER = os.path.join(ROOT, 'integration', 'reader', 'orchestrate_reader.py')
PASSPHRASE = b'the passphrase of the lab'


class ReaderScenario(Scenario):
    def reader(self, system, *words, unlock=None, early=()):
        """(exit code, stdout, stderr) of the reader, in bytes."""
        if unlock is None:
            unlock = ['--key-file', system.path('key')] if system.key_file else ['--passphrase-file', system.path('passphrase')]
        done = subprocess.run(['/usr/bin/python3', '-B', READER] + list(early) + unlock + [system.path('repository')] +
                              list(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
        self.assertNotIn(b'Traceback', done.stderr)
        return done.returncode, done.stdout, done.stderr

    def read(self, system, *words, **more):
        code, out, err = self.reader(system, *words, **more)
        self.assertEqual(0, code, err.decode('utf-8', 'replace'))
        return out

    def files(self, root):
        """{path below root: SHA-256} of the regular files."""
        found = {}
        for folder, _, names in os.walk(os.fsencode(root)):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    with open(path, 'rb') as file:
                        found[os.path.relpath(path, os.fsencode(root))] = hashlib.sha256(file.read()).digest()
        return found

    def same_files(self, system, set_name, component, source, linked=(), **more):
        """Extracts a component of files and compares each with its source."""
        target = system.path('extracted')
        self.read(system, 'extract', set_name, component, target, **more)
        expected = self.files(source)
        for name in linked:  # second names of a file are links, and have no content
            del expected[name]
        self.assertGreater(len(expected), 1)
        self.assertEqual(expected, self.files(target + source))
        self.assertEqual(len(expected), len(self.files(target)))
        shutil.rmtree(target)

    def records(self, system, set_name, component, **more):
        """{(space, key): record}; value and key as bytes."""
        found = {}
        for line in self.read(system, 'records', set_name, component, **more).splitlines():
            record = json.loads(line)
            record['value'] = base64.b64decode(record['value'])
            found[record['space'], base64.b64decode(record['key'])] = record
        return found

    def opened(self, system, passphrase=PASSPHRASE):
        """(repository, its index)"""
        secret = {'key': bytes.fromhex('5a' * 32)} if system.key_file else {'passphrase': passphrase}
        opened = repository.Repository(system.path('repository'), **secret)
        index = repository.Index(opened)
        self.addCleanup(index.close)
        return opened, index


class Example(ReaderScenario):
    """The worked example in the document."""
    PASSPHRASE = b'correct horse battery staple'

    def blocks(self):
        """{what stands behind the opening fence: lines} of the document."""
        with open(os.path.join(ROOT, 'docs', 'repository-format.md')) as file:
            text = file.read()
        return {title: body.splitlines() for title, body in re.findall(r'^```([^`\n]+)\n(.*?)^```$', text, re.M | re.S)}

    def values(self, lines):
        """{name: value}; a value goes on in lines that begin with spaces."""
        found = {}
        for line in lines:
            name, value = (name, line) if line[0] == ' ' else line.split('  ', 1)
            found[name] = found.get(name, '') + value.strip()
        return found

    def example(self):
        """(a system whose repository is that of the document, the document's blocks)"""
        system, blocks = self.system(('settings',), 10), self.blocks()
        files = {title[5:]: lines for title, lines in blocks.items() if title.startswith('file ')}
        self.assertEqual(9, len(files))
        for name, lines in files.items():
            path = system.path('repository', name)
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            with open(path, 'wb') as file:
                file.write(''.join(line + '\n' for line in lines).encode() if name == 'config' else
                           bytes.fromhex(''.join(lines)))
        system.write('passphrase', self.PASSPHRASE.decode() + '\n', 0o600)
        return system, blocks

    def test_reader(self):
        system, _ = self.example()
        self.assertIn(b' 0 errors', self.read(system, 'check'))
        for early in ([], ['--without-index']):
            self.assertEqual(b'hello, reader\n',
                             self.read(system, 'cat', 'latest', 'example', '/srv/example/greeting.txt', early=early))

    def test_command(self):
        """What was once written stays readable for the command too."""
        system, _ = self.example()
        text = ('state_dir = "%s"; cache_dir = "%s"; repositories: { main: { url = "%s"; passphrase_file = "%s"; }; };\n'
                'components: { example: { plugin = "config"; paths = [ "/srv/example" ]; root = "%s"; }; };\n')
        system.write('conf.d/main.conf', text % tuple(system.path(n) for n in ('state', 'cache', 'repository', 'passphrase', 'root')))
        shutil.rmtree(system.path('conf.d/plans'))
        os.makedirs(system.path('root/srv'))
        self.expect(0, system.command.run('verify', '--level', 'data'))
        self.expect(0, system.command.run('restore', 'latest', '--yes'))
        with open(system.path('root/srv/example/greeting.txt'), 'rb') as file:
            self.assertEqual(b'hello, reader\n', file.read())

    def test_values(self):
        system, blocks = self.example()
        opened, index = self.opened(system, self.PASSPHRASE)
        with open(system.path('repository/config')) as file:
            slot = json.load(file)['key_slots'][0]
        fields = opened.sets()[0]
        self.assertEqual(json.loads(''.join(blocks['manifest'])), fields)
        name = 'sets/%s.%s' % (fields['name'], fields['id'])
        part = opened.part(fields['components'][0])
        content = repository.Content(index, part)
        root = content.root(part['content'], 'catalogue_root')
        block = content.node(root, None, 1, None)[1][0].id
        chunk = [item for item in content.objects() if item.size][0].refs.inline[0][0]
        pack = index.pack(index.places[chunk].pack)
        salt = {}
        for file_name, at in ((name, 24), (pack.name, 32)):
            with open(system.path('repository', file_name), 'rb') as file:
                salt[file_name] = file.read(at + 32)[at:]
        computed = {
            'wrapping key': hashlib.scrypt(self.PASSPHRASE, salt=bytes.fromhex(slot['salt']), n=1 << slot['log_n'], r=slot['r'],
                                           p=slot['p'], dklen=32, maxmem=1 << 27),
            'master key': repository.unwrap(slot, True, self.PASSPHRASE, None, opened.id),
            'gear[0], as a number': repository.hmac.digest(opened.keys.gear, bytes(4), 'sha256')[7::-1],
            'key of the manifest': repository.derive(opened.keys.manifest, salt[name], name),
            'pack key': repository.derive(opened.keys.data, salt[pack.name], 'pack key'), 'data key': pack.key,
            'frame 0': pack.frame(0), 'chunk id': repository.hmac.digest(opened.keys.chunk_id, pack.frame(0), 'sha256'),
            'root node': index.chunk(root), 'catalogue block': index.chunk(block),
            'digest': bytes.fromhex(part['content']['digest'])}
        for purpose in ('chunk-id', 'gear', 'index', 'data', 'manifest', 'control'):
            computed[purpose + ' subkey'] = repository.derive(computed['master key'], opened.id.encode(), 'orchestrate 1 ' + purpose)
        self.assertEqual(self.values(blocks['values']), {what: value.hex() for what, value in computed.items()})
        self.assertEqual(computed['chunk id'], chunk)


class Content(ReaderScenario):
    def fill_more(self, system):
        """A list of chunks with more than 1024 of them, one of holes, large and small files, and names that few expect."""
        rng = random.Random(5)
        uploads = os.fsencode(system.path('uploads'))
        with open(os.path.join(uploads, b'large.bin'), 'wb') as file:
            file.write(rng.randbytes(5 << 20) + bytes(3 << 20) + b'text, ' * 200000)
        with open(os.path.join(uploads, b'holes.img'), 'wb') as file:
            for i in range(700):
                file.seek(i << 14)
                file.write(rng.randbytes(4096))
            file.truncate(700 << 14)
        for name in ('leer', 'größe.txt', 'a\\b', '-o', ' ', '\t', "'\"", 'x' * 255, '日本', '...', 'new\nline'):
            with open(os.path.join(uploads, name.encode()), 'wb') as file:
                file.write(name.encode() * (name != 'leer'))
        for i in range(1000):
            system.write('uploads/many/%d/%d' % (i % 7, i), str(i))
        deep = os.path.join(uploads, *[b'deep'] * 20)
        os.makedirs(deep)
        with open(os.path.join(deep, b'down'), 'wb') as file:
            file.write(b'there')
        check_output([built('integration/vectortool/orch-vectortool'), 'make', system.path('kb/rows.faiss'), '--count', '35000',
                      '--dim', '64', '--metric', 'ip', '--type', 'Flat', '--seed', '8'])

    def test_everything(self):
        """Objects are the bytes of their sources; records are what a restore puts back."""
        components = ('settings', 'uploads', 'app-db', 'sessions', 'kb', 'hot')
        system = self.system(components, 300)
        system.fill()
        self.fill_more(system)
        with RedisClient(system.redis.socket) as redis:  # values beyond a block of records, one key too
            redis.call('SET', 'large', random.Random(3).randbytes(3 << 20))
            redis.call('SET', b'k' * 100000, 'a long key')
            redis.call('SELECT', 5)
            redis.call('SET', 'elsewhere', 'space 5')
        self.expect(0, system.command.run('init'))
        self.expect(0, system.command.run('backup'))
        self.same_files(system, 'latest', 'settings', system.path('etc'))
        self.same_files(system, 'latest', 'uploads', system.path('uploads'), linked=[b'first-linked.txt'])
        self.same_files(system, 'latest', 'settings', system.path('etc'), early=['--without-index'])
        self.check_vectors(system)
        self.check_single(system)
        self.check_lists(system)
        self.check_database(system)
        self.check_redis(system)
        self.check_cache(system)
        self.assertIn(b' 0 errors', self.read(system, 'check'))

    def check_vectors(self, system):
        """Objects of a plugin whose names are no paths."""
        for line in self.read(system, 'objects', 'latest', 'kb').decode().splitlines():
            kind, _, _, name = line.split(' ', 3)
            if kind != 'd':
                with open(system.path('kb', name), 'rb') as file:
                    self.assertEqual(file.read(), self.read(system, 'cat', 'latest', 'kb', name))
        self.assertIn('rows.faiss', self.read(system, 'objects', 'latest', 'kb').decode())

    def check_single(self, system):
        """One object by its name, to standard output and into a file with its holes."""
        for name in (b'odd \xff name\n', b'-o', b'leer', 'größe.txt'.encode(), b'deep/' * 20 + b'down'):
            path = os.path.join(os.fsencode(system.path('uploads')), name)
            with open(path, 'rb') as file:
                self.assertEqual(file.read(), self.read(system, 'cat', 'latest', 'uploads', path))
        out = system.path('sparse-again')
        self.read(system, 'cat', 'latest', 'uploads', system.path('uploads/sparse.img'), '-o', out)
        with open(out, 'rb') as got, open(system.path('uploads/sparse.img'), 'rb') as expected:
            self.assertEqual(expected.read(), got.read())
        self.assertLess(os.stat(out).st_blocks * 512, 2 << 20)
        code, out, err = self.reader(system, 'cat', 'latest', 'uploads', system.path('uploads/nothing'))
        self.assertEqual((1, b''), (code, out))
        self.assertIn(b'no object of this name', err)

    def check_lists(self, system):
        """Lists that are trees were among them; writers cut as the document says."""
        opened, index = self.opened(system)
        fields = opened.sets()[-1]
        objects = {}
        for item in fields['components']:
            content = repository.Content(index, opened.part(item))
            for found in content.objects():
                objects[os.path.basename(found.name)] = (found, list(content.pieces(found.refs)))
        for name in (b'holes.img', b'rows.faiss'):
            self.assertIsNotNone(objects[name][0].refs.root)
            self.assertGreater(len(objects[name][1]), 1024)
        self.assertEqual(objects[b'holes.img'][1].count((None, (1 << 14) - 4096)), 700)
        with open(system.path('uploads/large.bin'), 'rb') as file:
            self.assertEqual(cut(file.read(), opened.keys.gear), [length for _, length in objects[b'large.bin'][1]])
        rows, lengths = objects[b'rows.faiss'][0], [length for _, length in objects[b'rows.faiss'][1]]
        profile, row_bytes, offset = rows.profile
        self.assertEqual((1, 256), (profile, row_bytes))
        self.assertEqual(([offset] if offset else []) + [8192] * ((rows.size - offset) // 8192),
                         lengths[:(rows.size - offset) // 8192 + bool(offset)])

    def check_database(self, system):
        """Table data in COPY format."""
        rows = self.read(system, 'cat', 'latest', 'app-db', '2-data/public.documents').decode()
        self.assertEqual(system.postgres.sql('app', "COPY documents TO STDOUT;"), rows)

    def check_redis(self, system):
        found = self.records(system, 'latest', 'sessions')
        with RedisClient(system.redis.socket) as redis:
            redis.call('FLUSHALL')
        self.expect(0, system.command.run('restore', 'latest', 'sessions', '--yes'))
        seen = 0
        with RedisClient(system.redis.socket) as redis:
            for space in (0, 5):
                redis.call('SELECT', space)
                for key in redis.call('KEYS', '*'):
                    record = found[space, key]
                    self.assertEqual(redis.call('DUMP', key), record['value'], key[:40])
                    self.assertEqual(redis.call('PEXPIRETIME', key), record.get('expires_ms', -1), key[:40])
                    seen += 1
        self.assertEqual(len(found), seen)
        self.assertGreater(seen, 30)

    def check_cache(self, system):
        found = self.records(system, 'latest', 'hot')
        shutil.rmtree(system.path('hot'))
        self.expect(0, system.command.run('restore', 'latest', 'hot', '--yes'))
        lines = check_output([built('sdk/l1cache/orch-l1'), 'dump', system.path('hot')]).splitlines()
        self.assertEqual(len(found), len(lines))
        for line in lines:
            key, _, created_ms, expires_ms, hits = line.split(b' ')
            record = found[0, key]
            value = check_output([built('sdk/l1cache/orch-l1'), 'get', system.path('hot'), key.decode()])
            self.assertEqual(value.rstrip(b'\n'), record['value'])
            self.assertEqual((int(created_ms), int(hits)), struct.unpack('<q8xQ', base64.b64decode(record['extra'])))


class Deep(ReaderScenario):
    def test_index_of_several_levels(self):
        """Names of 60,000 bytes: few of them fill a node, and so a small tree has several levels."""
        system = self.system(('settings',), 10)
        system.write_configuration('\n  deep: { plugin = "volumes"; paths = [ "%s" ]; };' % system.path('deep'))
        system.fill()
        os.mkdir(system.path('deep'))
        root, expected = os.fsencode(system.path('deep')), [os.fsencode(system.path('deep'))]
        for chain in range(14):  # so many that one node cannot hold the keys of all blocks
            fd, name = os.open(root, os.O_RDONLY), root
            for _ in range(240):
                step = b'%02d' % chain + b'x' * 248
                os.mkdir(step, dir_fd=fd)
                below = os.open(step, os.O_RDONLY, dir_fd=fd)
                os.close(fd)
                fd, name = below, name + b'/' + step
                expected.append(name)
            with os.fdopen(os.open('bottom', os.O_WRONLY | os.O_CREAT, dir_fd=fd), 'w') as file:
                file.write('the bottom of %d' % chain)
            os.close(fd)
            expected.append(name + b'/bottom')
        self.expect(0, system.command.run('init'))
        self.expect(0, system.command.run('backup'))
        opened, index = self.opened(system)
        item = next(c for c in opened.sets()[-1]['components'] if c['name'] == 'deep')
        content = repository.Content(index, opened.part(item))
        level, _ = content.node(bytes.fromhex(content.part['catalogue_root']), None, 1, None)
        self.assertGreaterEqual(level, 2)
        self.assertEqual(expected, [found.name for found in content.objects()])
        for chain in (0, 6, 13):
            self.assertEqual(b'the bottom of %d' % chain, self.read(system, 'cat', 'latest', 'deep', expected[241 * (chain + 1)]))
        self.assertIn(b' 0 errors', self.read(system, 'check'))


class Variants(ReaderScenario):
    def variant(self, options, unlock):
        """Two sets, the second incremental, each extracted as its sources were, also when the first was pruned away."""
        system = self.system(('settings', 'uploads', 'hot'), 120)
        system.write('key', '00112233445566778899aabbccddeeff' * 2 + '\n', 0o600)
        with open(system.path('conf.d/main.conf')) as file:
            configuration = file.read()
        old = 'passphrase_file = "%s";' % system.path('passphrase')
        self.assertIn(old, configuration)
        system.write('conf.d/main.conf', configuration.replace(old, options.replace('KEY', system.path('key')).replace(
            'PASSPHRASE', old)))
        unlock = [word.replace('KEY', system.path('key')).replace('PASSPHRASE', system.path('passphrase')) for word in unlock]
        system.fill()
        self.expect(0, system.command.run('init'))
        self.expect(0, system.command.run('backup'))
        shutil.copytree(system.path('uploads'), system.path('before'), symlinks=True)
        system.write('uploads/new.txt', 'what is new ' * 10000)
        system.write('uploads/00/document-1.txt', 'what has changed')
        os.unlink(system.path('uploads/first-linked.txt'))
        os.unlink(system.path('uploads/sparse.img'))
        self.expect(0, system.command.run('backup', '--type', 'incremental'))
        names = [line.split()[0].decode() for line in self.read(system, 'sets', unlock=unlock).splitlines()]
        self.assertEqual(2, len(names))
        self.same_files(system, names[1], 'uploads', system.path('uploads'), unlock=unlock)
        self.assertEqual(40, len(self.records(system, names[0], 'hot', unlock=unlock)))
        os.rename(system.path('uploads'), system.path('after'))
        os.rename(system.path('before'), system.path('uploads'))
        self.same_files(system, names[0], 'uploads', system.path('uploads'), [b'first-linked.txt'], unlock=unlock)
        self.assertIn(b' 0 errors', self.read(system, 'check', unlock=unlock))
        os.rename(system.path('uploads'), system.path('before'))
        os.rename(system.path('after'), system.path('uploads'))
        self.prune(system, names, unlock)
        return system

    def prune(self, system, names, unlock):
        """What a prune has rewritten, removed and superseded, the reader finds."""
        segments = self.segments(system)
        self.expect(0, system.command.run('delete', names[0], '--yes'))
        self.assertEqual(1, len(self.read(system, 'sets', unlock=unlock).splitlines()))
        told = self.expect(0, system.command.run('--json', 'prune', '--repack-above', '5')).json
        self.assertGreater(told['data']['packs_rewritten'], 0)
        self.assertGreater(told['data']['packs_removed'], 0)
        gone = {path: data for path, data in segments.items() if path not in self.segments(system)}
        self.assertTrue(gone)
        for early in ([], ['--without-index']):
            self.same_files(system, 'latest', 'uploads', system.path('uploads'), unlock=unlock, early=early)
        self.assertEqual(40, len(self.records(system, names[1], 'hot', unlock=unlock)))
        self.assertIn(b' 0 errors', self.read(system, 'check', unlock=unlock))
        for path, data in gone.items():  # segments that name packs which are gone, as a prune that wakes late may put them
            with open(path, 'wb') as file:
                file.write(data)
        self.assertIn(b' 0 errors', self.read(system, 'check', unlock=unlock))
        self.expect(0, system.command.run('prune'))
        self.assertFalse(set(gone) & set(self.segments(system)))
        self.expect(0, system.command.run('verify', '--level', 'data'))

    def segments(self, system):
        """{path: bytes} of the index segments."""
        found = {}
        for entry in os.scandir(system.path('repository/index')):
            with open(entry.path, 'rb') as file:
                found[entry.path] = file.read()
        return found

    def codecs(self, system, **unlock):
        """The codecs of all frames."""
        opened = repository.Repository(system.path('repository'), **unlock)
        index = repository.Index(opened)
        self.addCleanup(index.close)
        return {frame.codec for place in index.places.values() for frame in index.pack(place.pack).frames}

    def test_passphrase_and_zstd(self):
        system = self.variant('PASSPHRASE compression = "zstd:7";', ['--passphrase-file', 'PASSPHRASE'])
        self.assertIn(1, self.codecs(system, passphrase=PASSPHRASE))

    def test_key_file_and_gzip(self):
        system = self.variant('key_file = "KEY"; compression = "gzip";', ['--key-file', 'KEY'])
        self.assertIn(2, self.codecs(system, key=bytes.fromhex('00112233445566778899aabbccddeeff' * 2)))

    def test_no_encryption_and_no_compression(self):
        system = self.variant('encryption = "none"; compression = "none";', [])
        self.assertEqual({0}, self.codecs(system))


class Refusals(ReaderScenario):
    def refused(self, system, fragment, *words, **more):
        code, out, err = self.reader(system, *(words or ('sets',)), **more)
        self.assertEqual((1, b''), (code, out))
        self.assertIn(fragment, err.decode('utf-8', 'replace'))

    def change(self, path, old, new):
        """Replaces bytes of a config and makes its checksum fit again."""
        with open(path, 'rb') as file:
            body = file.read()[:-68]
        self.assertEqual(1, body.count(old))
        body = body.replace(old, new)
        with open(path, 'wb') as file:
            file.write(body + hashlib.sha256(body).hexdigest().encode() + b'"\n}\n')

    def test_config(self):
        """What a changed config must not get through, whoever made its checksum fit."""
        system, _ = self.prepared(('settings',), 10)
        config = system.path('repository/config')
        with open(config, 'rb') as file:
            good = file.read()
        system.write('wrong', 'another passphrase\n')
        self.refused(system, 'no key slot opens', unlock=['--passphrase-file', system.path('wrong')])
        self.refused(system, 'no key slot opens', unlock=[])
        for old, new, fragment in ((b'"format": 1', b'"format": 2', 'format'),
                                   (b'"required_features": 0', b'"required_features": 4', 'does not know'),
                                   (b'"log_n": 15', b'"log_n": 14', 'no key slot opens'),
                                   (b'"log_n": 15', b'"log_n": 31', 'log_n'),
                                   (b'"r": 8', b'"r":  8', 'differs from its sealed copy'),
                                   (b'"key_slots"', b'"comment": "",\n  "key_slots"', 'differs from its sealed copy')):
            with self.subTest(new=new):
                self.change(config, old, new)
                self.refused(system, fragment)
                self.assertNotEqual(0, system.command.run('list').code)  # the command agrees
                with open(config, 'wb') as file:
                    file.write(good)
        self.change(config, b'"format": 1', b'"format": 1')  # the test itself changes nothing else
        self.read(system, 'sets')

    def test_sets_of_lapsed_leases(self):
        """A lease that was given up on takes its sets with it, but those that `kept` names; reader and command agree."""
        system, _ = self.prepared(('settings',), 10)
        opened, _ = self.opened(system)
        fields = opened.sets()[-1]
        self.assertRegex(fields['lease'], repository.ID)
        name = 'lapsed/' + fields['lease']
        os.makedirs(system.path('repository/lapsed'), mode=0o700, exist_ok=True)
        for kept, valid in ((fields['id'], 1), ('', 0), ('0' * 32, 0), ('0' * 32 + fields['id'], 1)):
            with open(system.path('repository', name), 'wb') as file:
                file.write(seal_document(opened, name, {'document': 1, 'lease': fields['lease'], 'kept': kept}))
            self.assertEqual(valid, len(self.read(system, 'sets').splitlines()), kept)
            self.assertEqual(valid, len(self.expect(0, system.command.run('--json', 'list')).json['sets']), kept)

    def test_names_stay_in_the_folder(self):
        sys.path.insert(0, os.path.dirname(READER))
        import orchestrate_reader
        for name in (b'/../../etc/x', b'..', b'/', b'a/./b', b'a\0b', b'//x'):
            path = orchestrate_reader.below('/out', name)
            self.assertTrue(os.path.normpath(path).startswith(b'/out/'), path)
            self.assertNotIn(b'\0', path)


class Hostile(ReaderScenario):
    def test_forged_bytes_are_refused(self):
        """Bytes that a holder of the key could have sealed: whatever they are, the reader refuses or reads them, within bounds."""
        system, _ = self.prepared(('settings', 'uploads', 'hot'), 60)
        opened, index = self.opened(system)
        whole = {chunk: index.chunk(chunk) for chunk in index.places}
        parts = [opened.part(c) for c in opened.sets()[-1]['components']]
        structure = [chunk for chunk, data in whole.items() if data[:2] in (b'T\1', b'C\1', b'R\1', b'L\1')]
        rng = random.Random(21)
        refused = 0
        for _ in range(1500):
            forged = Forged(dict(whole))
            chunk = rng.choice(structure)
            forged.chunks[chunk] = mutated(rng, whole[chunk])
            for part in parts:
                content = repository.Content(forged, part)
                try:
                    for item in content.objects():
                        sum(length for _, length in content.pieces(item.refs))
                    sum(len(content.bytes(record.value)) for record in content.records())
                except repository.Refused:
                    refused += 1
        self.assertGreater(refused, 500)

    def test_forged_tables_and_documents(self):
        system, _ = self.prepared(('settings', 'hot'), 10)
        opened, index = self.opened(system)
        table = next(iter(repository.Index(opened).footers()))
        plain = repository.varint(len(table[1])) + b''.join(
            repository.varint(f.sealed_len) + repository.varint(f.plain_len) + bytes([f.codec]) + repository.varint(len(f.chunks)) +
            b''.join(chunk + repository.varint(length) for chunk, length in f.chunks) for f in table[1])
        self.assertEqual(table[1], repository.pack_table(repository.Cursor(plain, 'table'))[0])
        text = json.dumps(opened.sets()[0]).encode()
        rng = random.Random(22)
        refused = 0
        for _ in range(3000):
            for call, data in ((lambda d: repository.pack_table(repository.Cursor(d, 'table')), plain),
                               (lambda d: repository.parse_object(d, 'document'), text),
                               (lambda d: repository.unzstd(d, 1000, 'zstd'), repository.zstandard.compress(text[:900])),
                               (lambda d: repository.gunzip(d, 1000, 'gzip'), gzip.compress(text[:900]))):
                try:
                    call(mutated(rng, data))
                except repository.Refused:
                    refused += 1
        self.assertGreater(refused, 6000)
        for bomb in (repository.zstandard.compress(bytes(1 << 24)), gzip.compress(bytes(1 << 24))):
            for call in (repository.unzstd, repository.gunzip):
                with self.assertRaises(repository.Refused):
                    call(bomb, 1 << 20, 'bomb')
        deep = b'[' * 100000
        with self.assertRaises(repository.Refused):
            repository.parse_object(b'{"a":' + deep, 'deep')


class Forged:
    """An index over chunks in memory, some of them not what their ids say."""

    def __init__(self, chunks):
        self.chunks = chunks

    def chunk(self, chunk_id, length=None):
        if chunk_id not in self.chunks:
            raise repository.Refused('no such chunk')
        return self.chunks[chunk_id]


def mutated(rng, data):
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, kind = rng.randrange(len(data) + 1), rng.randrange(4)
        if kind == 0:
            data[at:at + 1] = bytes([rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))])
        elif kind == 1:
            del data[at:at + rng.randint(1, 9)]
        elif kind == 2:
            data[at:at] = rng.choice((b'\xff' * 9 + b'\x01', b'\x80', rng.randbytes(3)))
        else:
            data[at:] = b'' if rng.random() < 0.2 else data[at:]
    return bytes(data)


class Damage(ReaderScenario):
    def test_a_changed_byte_is_found(self):
        """In every kind of file, at its ends and in between; and nothing wrong is delivered."""
        system = self.system(('settings', 'uploads', 'hot'), 60, key_file=True)
        system.fill()
        with open(system.path('uploads/zz.bin'), 'wb') as file:
            file.write(random.Random(12).randbytes(4 << 20))
        self.expect(0, system.command.run('init'))
        self.expect(0, system.command.run('backup'))
        files = sorted(self.files(system.path('repository')))
        kinds = {}
        for name in files:
            kinds.setdefault(name.split(b'/')[0], []).append(name.decode())
        self.assertTrue({b'config', b'packs', b'index', b'parts', b'sets', b'runs', b'proofs'} <= set(kinds), kinds)
        rng = random.Random(11)
        for name in (n for names in kinds.values() for n in rng.sample(names, min(2, len(names)))):
            path = system.path('repository', name)
            size = os.path.getsize(path)
            for offset in {0, 11, size // 2, size - 1, rng.randrange(size)}:
                with self.subTest(file=name, offset=offset):
                    self.flip(path, offset, 1 << rng.randrange(8))
                    code, out, err = self.reader(system, 'check')
                    self.undo()
                    self.assertEqual(1, code)
                    self.assertIn(name, (out + err).decode())
        self.assertIn(b' 0 errors', self.read(system, 'check'))
        opened, index = self.opened(system)
        content = repository.Content(index, opened.part(next(
            c for c in opened.sets()[-1]['components'] if c['name'] == 'uploads')))
        chunk = [chunk for item in content.objects() for chunk, _ in content.pieces(item.refs) if chunk][-1]
        pack = index.pack(index.places[chunk].pack)
        path = system.path('repository', pack.name)
        self.flip(path, pack.frames[index.places[chunk].frame].offset + 20, 1)
        code, _, err = self.reader(system, 'extract', 'latest', 'uploads', system.path('damaged'))
        self.assertEqual(1, code)
        self.assertIn(os.path.basename(path).encode(), err)
        expected, got = self.files(system.path('uploads')), self.files(system.path('damaged') + system.path('uploads'))
        self.assertGreater(len(got), 10)
        self.assertEqual({name: expected[name] for name in got}, got)
        self.assertNotIn(b'zz.bin', got)

    def flip(self, path, offset, mask):
        self.flipped = (path, offset, mask)
        with open(path, 'r+b') as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ mask]))

    def undo(self):
        self.flip(*self.flipped)


def seal_document(opened, name, fields):
    """A sealed document of purpose control, as the document of the format says."""
    header = b'ORCHDOC1' + struct.pack('<4I', 1, 2, 1, 0) + os.urandom(32)
    key = repository.derive(opened.keys.control, header[24:], name)
    plain = repository.zstandard.ZstdCompressor().compress(json.dumps(fields, sort_keys=True, separators=(',', ':')).encode())
    return header + repository.AESGCM(key).encrypt(bytes(12), plain, header + opened.id.encode() + name.encode())


def cut(data, gear_key):
    """Where profile 0 cuts."""
    gear = struct.unpack('<256Q', b''.join(repository.hmac.digest(gear_key, struct.pack('<I', i), 'sha256') for i in range(64)))
    lengths, start = [], 0
    while start < len(data):
        chunk = data[start:start + 1048576]
        h, at = 0, min(196608, len(chunk))
        while at < len(chunk):
            h = (h << 1) + gear[chunk[at]] & 0xffffffffffffffff
            at += 1
            if h >> 48 == 0:
                break
        lengths.append(at)
        start += at
    return lengths


if __name__ == '__main__':
    main()
