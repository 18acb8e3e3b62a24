"""servers.py: a private PostgreSQL and a private Redis on Unix sockets in a folder of their own."""
import glob
import os
import pwd
import shutil
import socket
import subprocess
import time

from lab.command import check_output


def wait_for(what, ready, seconds=30):
    """Polls until `ready` answers true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return
        time.sleep(0.02)
    raise RuntimeError('%s did not come up within %d s' % (what, seconds))


class Postgres:
    """PostgreSQL refuses to run as root: root starts it as user postgres."""

    def __init__(self, folder):
        self.folder = folder
        self.data = os.path.join(folder, 'data')
        self.bin = sorted(glob.glob('/usr/lib/postgresql/*/bin'))[-1]
        self.user = 'postgres' if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name

    def _as_owner(self, arguments):
        return (['runuser', '-u', 'postgres', '--'] if os.getuid() == 0 else []) + arguments

    def create(self):
        os.makedirs(self.folder, mode=0o755)
        if os.getuid() == 0:
            shutil.chown(self.folder, 'postgres', 'postgres')
        check_output(self._as_owner([self.bin + '/initdb', '-D', self.data, '-A', 'trust', '-N', '-E', 'UTF8',
                                     '--locale=C.UTF-8', '-U', self.user]), cwd='/')

    def start(self):
        options = "-k %s -c listen_addresses='' -c fsync=off -c log_min_messages=fatal" % self.folder
        check_output(self._as_owner([self.bin + '/pg_ctl', '-D', self.data, '-w', '-o', options, '-l',
                                     self.folder + '/log', 'start']), cwd='/', stdin=subprocess.DEVNULL)

    def stop(self, mode='fast'):
        subprocess.run(self._as_owner([self.bin + '/pg_ctl', '-D', self.data, '-m', mode, '-w', 'stop']),
                       cwd='/', stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

    def conninfo(self, database):
        return 'host=%s user=%s dbname=%s' % (self.folder, self.user, database)

    def sql(self, database, text):
        """Runs SQL; gives what it prints, tuples only, unaligned."""
        return check_output([self.bin + '/psql', '-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-d',
                             self.conninfo(database), '-f', '-'], input=text.encode()).decode()


class Redis:
    def __init__(self, folder):
        self.folder = folder
        self.socket = os.path.join(folder, 'redis.sock')
        self.process = None

    def start(self):
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self.process = subprocess.Popen(
            ['redis-server', '--port', '0', '--unixsocket', self.socket, '--dir', self.folder, '--save', '',
             '--repl-diskless-sync-delay', '0', '--loglevel', 'warning'],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for('redis-server', self.answers)

    def answers(self):
        try:
            with RedisClient(self.socket) as client:
                return client.call('PING') == b'PONG'
        except OSError:
            return False

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None


class RedisClient:
    """The little of RESP2 that the lab needs."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile('rb')

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.file.close()
        self.socket.close()

    @staticmethod
    def encode(words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        return b'*%d\r\n' % len(words) + b''.join(b'$%d\r\n%s\r\n' % (len(w), w) for w in words)

    def read(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b'-':
            raise RuntimeError('redis: ' + rest.decode())
        if kind == b':':
            return int(rest)
        if kind == b'$':
            return None if rest == b'-1' else self.file.read(int(rest) + 2)[:-2]
        if kind == b'*':
            return [self.read() for _ in range(int(rest))]
        if kind == b'+':
            return rest
        raise ConnectionError('redis closed the connection')

    def call(self, *words):
        self.socket.sendall(self.encode(words))
        return self.read()

    def pipeline(self, commands):
        """Answers of many commands, sent in portions that cannot block both sides."""
        answers = []
        for i in range(0, len(commands), 500):
            part = commands[i:i + 500]
            self.socket.sendall(b''.join(self.encode(c) for c in part))
            answers += [self.read() for _ in part]
        return answers
