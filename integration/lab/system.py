"""system.py: a small application of six components whose data hang together.

    settings   configuration files; app.json names the embedding model
    uploads    files, one per document
    app-db     documents and users
    sessions   one session per user, in Redis
    kb         a vector per document; row i of the index is document i + 1
    hot        the cache: recently read documents
"""
import hashlib
import json
import os
import random
import shutil
import subprocess
import tempfile

from lab.command import Orchestrate, built, check_output
from lab.servers import Postgres, Redis, RedisClient

ALL = ('settings', 'uploads', 'app-db', 'sessions', 'kb', 'hot')
EMBEDDED = ('settings', 'uploads', 'kb', 'hot')
DIMENSION = 64


def sha256_lines(lines):
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line if isinstance(line, bytes) else line.encode('utf-8', 'surrogateescape'))
        digest.update(b'\n')
    return digest.hexdigest()


def tree_lines(root):
    """A line per entry of a tree: kind, mode, size, time, name, target, content."""
    for folder, folders, files in os.walk(os.fsencode(root)):
        folders.sort()
        for name in [b'.'] + sorted(files) + [f for f in folders if os.path.islink(os.path.join(folder, f))]:
            path = folder if name == b'.' else os.path.join(folder, name)
            st = os.lstat(path)
            extra = b''
            if os.path.islink(path):
                extra = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, 'rb') as file:
                    extra = hashlib.sha256(file.read()).hexdigest().encode()
            yield b'%o %d %d %d %s %s' % (st.st_mode, st.st_uid, st.st_gid,
                                          0 if os.path.islink(path) else st.st_mtime_ns,
                                          os.path.relpath(path, os.fsencode(root)), extra)


class System:
    """The application in a temporary folder of its own. Use it in a `with`."""

    def __init__(self, components=ALL, documents=2000, keep=False, prefix='orchestrate-', key_file=False):
        """`key_file`: the repository is opened by a key file. A passphrase takes a tenth of a second each time."""
        self.components = components
        self.documents = documents
        self.keep = keep
        self.key_file = key_file
        self.folder = tempfile.mkdtemp(prefix=prefix)
        os.chmod(self.folder, 0o755)  # PostgreSQL may run as another user below it
        self.postgres = Postgres(self.path('postgres')) if 'app-db' in components else None
        self.redis = Redis(self.path('redis')) if 'sessions' in components else None
        self.conf = self.path('conf.d')
        self.command = Orchestrate(self.conf)
        self.kb_options = ''

    def __enter__(self):
        try:
            if self.postgres:
                self.postgres.create()
                self.postgres.start()
            if self.redis:
                self.redis.start()
            self.write_configuration()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *ignored):
        if self.keep:
            return
        if self.postgres:
            self.postgres.stop('immediate')
        if self.redis:
            self.redis.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    # ---- configuration ----

    def component_text(self, name):
        return {
            'settings': 'plugin = "config"; paths = [ "%s" ];' % self.path('etc'),
            'uploads': 'plugin = "volumes"; paths = [ "%s" ]; exclude = [ "*.tmp" ]; depends_on = [ "settings" ];'
                       % self.path('uploads'),
            'app-db': 'plugin = "postgres"; conninfo = "%s"; depends_on = [ "settings" ];'
                      % (self.postgres.conninfo('app') if self.postgres else ''),
            'sessions': 'plugin = "redis"; url = "unix://%s"; depends_on = [ "settings" ];'
                        % (self.redis.socket if self.redis else ''),
            'kb': 'plugin = "vectorstore"; path = "%s"; depends_on = [ %s ];%s'
                  % (self.path('kb'), '"app-db"' if self.postgres else '"settings"',
                     self.kb_options or self.embedding_text()),
            'hot': 'plugin = "l1-memory"; path = "%s"; depends_on = [ %s ];'
                   % (self.path('hot'), '"sessions"' if self.redis else '"settings"'),
        }[name]

    def embedding_text(self, **changes):
        fields = dict(provider='"ollama"', model='"nomic-embed-text"', revision='"0a109f422b47"',
                      dimension=str(DIMENSION), metric='"cosine"', normalised='true')
        fields.update(changes)
        return '\n    embedding: { %s };' % ' '.join('%s = %s;' % item for item in fields.items() if item[1])

    def write_configuration(self, extra=''):
        os.makedirs(self.path('conf.d', 'plans'), exist_ok=True)
        self.write('passphrase', 'the passphrase of the lab\n', 0o600)
        self.write('key', '5a' * 32 + '\n', 0o600)
        self.write('conf.d/main.conf', '''
state_dir = "%s";
cache_dir = "%s";
repositories: { main: { url = "%s"; %s; }; };
components: {
%s%s
};
''' % (self.path('state'), self.path('cache'), self.path('repository'),
            'key_file = "%s"' % self.path('key') if self.key_file else 'passphrase_file = "%s"' % self.path('passphrase'),
            '\n'.join('  %s: { %s };' % (name, self.component_text(name)) for name in self.components), extra))
        stages = [[n for n in stage if n in self.components]
                  for stage in (('settings', 'uploads'), ('app-db', 'sessions'), ('kb', 'hot'))]
        self.write('conf.d/plans/recover.plan',
                   'plan: { name = "recover"; set = "latest"; steps = (\n  %s ); };\n' % ',\n  '.join(
                       '{ restore: { components = [ %s ]; } }' % ', '.join('"%s"' % n for n in stage)
                       for stage in stages if stage))

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(text)
        os.chmod(path, mode)

    # ---- data ----

    def fill(self):
        rng = random.Random(7)
        words = [''.join(rng.choices('abcdefghijklmnopqrstuvwxyz', k=rng.randint(3, 9))) for _ in range(900)]
        titles = [' '.join(rng.choices(words, k=4)) for _ in range(self.documents)]
        bodies = [' '.join(rng.choices(words, k=rng.randint(30, 300))) for _ in range(self.documents)]
        for name in self.components:
            getattr(self, 'fill_' + name.replace('-', '_'))(titles, bodies)

    def fill_settings(self, titles, bodies):
        self.write('etc/app.json', json.dumps(
            {'embedding': {'provider': 'ollama', 'model': 'nomic-embed-text', 'revision': '0a109f422b47',
                           'dimension': DIMENSION, 'normalised': True}, 'documents': len(titles)}, indent=2), 0o640)
        self.write('etc/limits.conf', 'uploads_max = 10485760\nsessions_max = 10000\n')
        self.write('etc/keys/api.key', 'not a real key\n', 0o600)

    def fill_uploads(self, titles, bodies):
        for i in range(0, len(titles), 4):
            self.write('uploads/%02d/document-%d.txt' % (i % 50, i + 1), titles[i] + '\n\n' + bodies[i] + '\n')
        with open(self.path('uploads', 'sparse.img'), 'wb') as file:
            file.truncate(8 << 20)
            file.seek(3 << 20)
            file.write(os.urandom(70000))
        os.symlink('00/document-1.txt', self.path('uploads', 'first.txt'))
        os.link(self.path('uploads/00/document-1.txt'), self.path('uploads/first-linked.txt'))
        with open(os.path.join(os.fsencode(self.path('uploads')), b'odd \xff name\n'), 'wb') as file:
            file.write(b'any byte may stand in a name')
        os.setxattr(self.path('uploads/00/document-1.txt'), 'user.origin', b'lab')

    def fill_app_db(self, titles, bodies):
        self.postgres.sql('postgres', 'CREATE DATABASE app;')
        self.postgres.sql('app', '''
CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE documents (id int PRIMARY KEY, owner int REFERENCES users, title text, body text,
                        added timestamptz DEFAULT '2026-01-31 12:00:00+00');
CREATE INDEX ON documents (owner);
CREATE VIEW titles AS SELECT id, title FROM documents;
INSERT INTO users (name) SELECT 'user ' || n FROM generate_series(1, %d) n;
SELECT lo_from_bytea(777, 'a large object'::bytea);
''' % max(10, self.documents // 20))
        rows = ''.join('%d\t%d\t%s\t%s\n' % (i + 1, i % max(10, self.documents // 20) + 1, titles[i], bodies[i])
                       for i in range(len(titles)))
        self.postgres.sql('app', 'COPY documents (id, owner, title, body) FROM stdin;\n' + rows + '\\.\n')

    def fill_sessions(self, titles, bodies):
        users = max(10, self.documents // 20)
        with RedisClient(self.redis.socket) as redis:
            redis.pipeline(
                [['HSET', 'session:%d' % u, 'user', 'user %d' % u, 'last', titles[u % len(titles)]]
                 for u in range(1, users + 1)] +
                [['EXPIRE', 'session:%d' % u, 86400 + u] for u in range(1, users + 1)] +
                [['RPUSH', 'recent:%d' % u] + [str(u * k % len(titles) + 1) for k in range(1, 30)]
                 for u in range(1, users + 1)] +
                [['ZADD', 'popular', i % 977, 'document:%d' % i] for i in range(1, len(titles) + 1)] +
                [['XADD', 'events', '%d-1' % (i + 1), 'document', i + 1] for i in range(200)] +
                [['SET', b'binary\x00key\xff', bytes(range(256))]])

    def fill_kb(self, titles, bodies):
        os.makedirs(self.path('kb'), exist_ok=True)
        check_output([built('integration/vectortool/orch-vectortool'), 'make', self.path('kb/documents.faiss'),
                      '--count', str(len(titles)), '--dim', str(DIMENSION), '--metric', 'ip', '--type', 'Flat',
                      '--seed', '7'])
        self.write('kb/documents.json', json.dumps({str(i): {'document': i + 1, 'title': titles[i]}
                                                    for i in range(len(titles))}))

    def fill_hot(self, titles, bodies):
        lines = ''.join('document:%d %s\n' % (i + 1, titles[i]) for i in range(0, len(titles), 3))
        check_output([built('sdk/l1cache/orch-l1'), 'fill', self.path('hot')], input=lines.encode())

    # ---- what there is, item for item: name -> (items, digest) ----

    def digests(self):
        return {name: getattr(self, 'digest_' + name.replace('-', '_'))() for name in self.components}

    def digest_settings(self):
        lines = list(tree_lines(self.path('etc')))
        return len(lines), sha256_lines(lines)

    def digest_uploads(self):
        lines = list(tree_lines(self.path('uploads')))
        origin = os.getxattr(self.path('uploads/00/document-1.txt'), 'user.origin')
        linked = os.stat(self.path('uploads/first-linked.txt')).st_nlink
        return len(lines), sha256_lines(lines + [origin, str(linked)])

    def digest_app_db(self):
        out = self.postgres.sql('app', '''
SELECT 'user', u.* FROM users u ORDER BY id; SELECT 'document', d.* FROM documents d ORDER BY id;
SELECT 'large', convert_from(lo_get(777), 'UTF8'); SELECT 'sequence', last_value, is_called FROM users_id_seq;
SELECT 'schema', table_name, column_name, data_type FROM information_schema.columns
 WHERE table_schema = 'public' ORDER BY 2, 3;
SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 2;''')
        lines = out.split('\n')
        return sum(1 for line in lines if line.startswith(('user|', 'document|'))), sha256_lines(lines)

    def digest_sessions(self):
        with RedisClient(self.redis.socket) as redis:
            keys = sorted(redis.call('KEYS', '*'))
            dumps = redis.pipeline([['DUMP', key] for key in keys])
            expiries = redis.pipeline([['PEXPIRETIME', key] for key in keys])
        return len(keys), sha256_lines(b'%s %s %d' % (k, hashlib.sha256(d).hexdigest().encode(), e)
                                       for k, d, e in zip(keys, dumps, expiries))

    def digest_kb(self):
        lines = list(tree_lines(self.path('kb')))
        found = check_output([built('integration/vectortool/orch-vectortool'), 'search',
                              self.path('kb/documents.faiss'), '5', '4'])
        return self.documents, sha256_lines(lines + [found])

    def digest_hot(self):
        lines = check_output([built('sdk/l1cache/orch-l1'), 'dump', self.path('hot')]).splitlines()
        return len(lines), sha256_lines(lines)

    # ---- the disaster ----

    def wipe(self, components=None):
        for name in components or self.components:
            if name == 'app-db':
                self.postgres.sql('postgres', 'DROP DATABASE app WITH (FORCE);')
            elif name == 'sessions':
                with RedisClient(self.redis.socket) as redis:
                    redis.call('FLUSHALL')
            else:
                shutil.rmtree(self.path({'settings': 'etc'}.get(name, name)))

    def leftovers(self):
        """Processes that still work below this folder, and temporary things that a run left."""
        left = []
        for folder, folders, files in os.walk(self.folder):
            left += [os.path.join(folder, n) for n in folders + files if 'orch-new' in n or 'orch-aside' in n]
        listing = subprocess.run(['ps', '-eo', 'pid=,args='], stdout=subprocess.PIPE, check=True).stdout.decode()
        left += [line.strip() for line in listing.splitlines() if 'orchestrate --worker' in line and
                 self.folder in line]
        return left
