"""crowd.py: many hosts on one repository at once. Each backs up over and over, prunes run beside them, some hosts die
or sleep longer than their lease lives, and their clocks are apart; what was reported completed must stay whole."""
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time

from lab.badluck import Broken, session_processes
from lab.command import Orchestrate
from lab.system import sha256_lines, tree_lines

KEEP = 3           # sets of each host that a prune leaves
LEASE_MS = 6000
CLOCKS_APART_S = 3600
HANG_S = 300


class Host:
    """A folder of data, and a client of the repository with a state and a cache of its own. Its processes have pids of
    their own and a name of their own, so that nobody can tell whether they live but by their lease."""

    def __init__(self, crowd, name, rng, clock_s):
        self.crowd, self.name, self.rng, self.clock_s = crowd, name, rng, clock_s
        self.data = crowd.path(name, 'data')
        self.command = Orchestrate(crowd.path(name, 'conf.d'))
        os.makedirs(self.data)
        os.makedirs(crowd.path(name, 'conf.d'))
        with open(crowd.path(name, 'conf.d', 'main.conf'), 'w') as file:
            file.write('state_dir = "%s"; cache_dir = "%s";\n'
                       'repositories: { main: { url = "%s"; passphrase_file = "%s"; }; };\n'
                       'components: { %s: { plugin = "volumes"; paths = [ "%s" ]; }; };\n' % (
                           crowd.path(name, 'state'), crowd.path(name, 'cache'), crowd.path('repository'),
                           crowd.path('passphrase'), name, self.data))

    def change(self):
        """New bytes, bytes that every host has, and some that go: so that packs are shared and come to hold waste."""
        for _ in range(self.rng.randint(1, 4)):
            with open(os.path.join(self.data, 'own-%d' % self.rng.randrange(8)), 'wb') as file:
                file.write(self.rng.randbytes(self.rng.choice((200, 20000, 300000))))
        with open(os.path.join(self.data, 'common-%d' % self.rng.randrange(3)), 'wb') as file:
            file.write(random.Random(self.rng.randrange(12)).randbytes(400000))

    def start(self, *words):
        arguments = ['unshare', '--fork', '--pid', '--uts', '--kill-child'] + (
            [] if os.getuid() == 0 else ['--user', '--map-root-user']) + [
                'sh', '-c', 'hostname "$0"; exec "$@"', self.name] + self.command.arguments(*words)
        env = dict(os.environ, ORCHESTRATE_LEASE_TTL_MS=str(LEASE_MS), ORCHESTRATE_CLOCK_SHIFT_S=str(self.clock_s),
                   ORCHESTRATE_TEST_PACK_BYTES='300000')
        return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=env, start_new_session=True, text=True, errors='replace')

    def finish(self, process, *words):
        """(exit code, stdout, stderr)."""
        try:
            out, err = process.communicate(timeout=HANG_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Broken('%s: it hung for %d s: %s' % (self.name, HANG_S, ' '.join(words)))
        if 'Sanitizer' in err:
            raise Broken('%s: %s' % (self.name, err))
        return process.returncode, out, err

    def run(self, *words):
        return self.finish(self.start(*words), *words)

    def signal_all(self, process, number):
        """The command and its workers, without unshare, which holds them together. False: it had not begun."""
        begun = [(pid, line) for pid, line in session_processes(process.pid) if 'core/orchestrate' in line.split(' ')[0]
                 or '--worker' in line]
        for pid, line in begun:
            if not line.startswith('unshare'):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
        return bool(begun)


class Crowd:
    """Runs for some seconds; then holds() looks at what is left."""

    def __init__(self, folder, passphrase, seed=1, backups=10, prunes=2):
        self.folder, self.passphrase, self.seed = folder, passphrase, seed
        self.lock = threading.Lock()
        self.promised = {}                    # id -> (name, host): reported completed, not reported removed
        self.removed = set()                  # ids that a prune has reported removed
        self.digests = {}                     # id -> digest of the host's data at that set
        self.count = collections.Counter()
        self.errors = []
        self.stop = threading.Event()
        os.makedirs(folder, exist_ok=True)
        with open(self.path('passphrase'), 'w') as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(passphrase)
        self.hosts = [self.host('host-%d' % i) for i in range(backups)]
        self.pruners = [self.host('pruner-%d' % i) for i in range(prunes)]
        self.reader = self.host('reader')

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def host(self, name):
        rng = random.Random('%d/%s' % (self.seed, name))
        return Host(self, name, rng, rng.randint(-CLOCKS_APART_S // 2, CLOCKS_APART_S // 2))

    # ---- what the hosts do ----

    def back_up(self, host, alone=False):
        words = ('--json', 'backup', '--type', host.rng.choice(('full', 'incremental', 'incremental', 'snapshot')))
        host.change()
        digest = sha256_lines(tree_lines(host.data))
        process = host.start(*words)
        fate = 'calm' if alone else host.rng.choices(('calm', 'dies', 'sleeps'), (16, 1, 1))[0]
        if fate != 'calm':
            time.sleep(host.rng.uniform(0.1, 1.5))
            landed = host.signal_all(process, signal.SIGKILL if fate == 'dies' else signal.SIGSTOP)
            if fate == 'sleeps':
                time.sleep(host.rng.uniform(0.5, 2.5) * LEASE_MS / 1000)
                host.signal_all(process, signal.SIGCONT)
            fate = fate if landed else 'calm'
        code, out, err = host.finish(process, *words)
        with self.lock:
            if code == 0:
                made = json.loads(out)['set']
                self.promised[made['id']] = (made['name'], host.name)
                self.digests[made['id']] = digest
                self.count['backups completed' + (' after a sleep' if fate == 'sleeps' else '')] += 1
            elif fate == 'dies':
                self.count['backups that died'] += 1
            elif self.lost_lease(err) and not alone:
                self.count['backups that lost their lease' + (' in their sleep' if fate == 'sleeps' else '')] += 1
            else:
                raise Broken('%s: a backup (%s) ended with %d: %s' % (host.name, fate, code, err))

    @staticmethod
    def lost_lease(err):
        """Who slept too long, or ran on too busy a machine to renew a lease in time, says so and fails."""
        return 'the lease on the repository was lost' in err

    def prune(self, host, wait='3s'):
        words = ('--json', 'prune', '--keep-last', str(KEEP), '--wait', wait, '--repack-above', '20')
        code, out, err = host.run(*words)
        if code not in (0, 1):
            raise Broken('%s: a prune ended with %d: %s' % (host.name, code, err))
        document = json.loads(out)
        state = document['state'] if code == 0 or document['state'] == 'busy' else 'that lost their lease'
        if state == 'that lost their lease' and not self.lost_lease(err):
            raise Broken('%s: a prune failed: %s%s' % (host.name, out, err))
        there = self.listed(host) if code == 1 else {}
        with self.lock:
            self.count['prunes ' + state] += 1
            self.count['packs removed'] += document['data']['packs_removed']
            self.count['packs rewritten'] += document['data']['packs_rewritten']
            for one in document['sets']:
                if not one['keep'] and one['id'] not in there:  # one that failed may not have come so far
                    self.removed.add(one['id'])
                    self.count['sets removed'] += 1
        return document

    def read(self, host):
        """A set that was promised is restored or verified while all of this goes on."""
        with self.lock:
            chosen = [i for i in self.promised if i not in self.removed]
        if not chosen:
            time.sleep(0.2)
            return
        if host.rng.random() < 0.2:
            self.verify_all(host)
            return
        one = host.rng.choice(chosen[-3:] if host.rng.random() < 0.5 else chosen)
        verify = host.rng.random() < 0.5
        good, text = self.verify(host, one) if verify else self.restore(host, one)
        if good:
            with self.lock:
                self.count['sets verified beside it' if verify else 'sets restored beside it'] += 1
            return
        if one in self.listed(host):
            raise Broken('set %s, which is there, cannot be read: %s' % (self.promised[one], text))
        deadline = time.monotonic() + HANG_S  # the prune that has removed it tells when it ends
        while one not in self.removed:
            if time.monotonic() > deadline or self.stop.is_set():
                return  # whole() judges, when all have ended
            time.sleep(0.1)
        with self.lock:
            self.count['sets that went while they were read'] += 1

    def verify_all(self, host):
        """All that is there; what is removed meanwhile is no damage."""
        code, out, err = host.run('--json', 'verify', '--level', 'data')
        if code != 0:
            raise Broken('sets are hurt: %s%s' % (out, err))
        with self.lock:
            self.count['times all sets were verified beside it'] += 1
        return json.loads(out)

    def verify(self, host, one):
        code, out, err = host.run('verify', one, '--level', 'data')
        return code == 0, out + err

    def restore(self, host, one):
        name = self.promised[one][1]
        place = self.path(host.name, 'out')
        shutil.rmtree(place, ignore_errors=True)
        owner = next(h for h in self.hosts if h.name == name)
        command = Host.__new__(Host)  # the owner's configuration, with the reader's state and cache
        command.__dict__.update(host.__dict__)
        conf = self.path(host.name, 'conf-' + name)
        os.makedirs(conf, exist_ok=True)
        with open(os.path.join(owner.command.config_dir, 'main.conf')) as file:
            text = file.read().replace(self.path(name, 'state'), self.path(host.name, 'state')).replace(
                self.path(name, 'cache'), self.path(host.name, 'cache'))
        with open(os.path.join(conf, 'main.conf'), 'w') as file:
            file.write(text)
        command.command = Orchestrate(conf)
        code, out, err = command.run('restore', one, '--yes', '--restart', '--target', '%s.root=%s' % (name, place))
        if code == 0 and sha256_lines(tree_lines(place + owner.data)) != self.digests[one]:
            raise Broken('set %s was restored to something else: %s' % (self.promised[one], out + err))
        return code == 0, out + err

    def listed(self, host):
        """id -> name of the sets there are."""
        code, out, err = host.run('--json', 'list')
        if code != 0:
            raise Broken('list ended with %d: %s' % (code, err))
        return {s['id']: s['name'] for s in json.loads(out)['sets']}

    # ---- all together ----

    def begin(self):
        code, _, err = self.reader.run('init')
        if code != 0:
            raise Broken(err)

    def work(self, what, host):
        try:
            while not self.stop.is_set():
                what(host)
        except Exception as why:  # told by the one who waits for the threads
            self.errors.append(why)
            self.stop.set()

    def run(self, seconds):
        self.begin()
        self.threads = [threading.Thread(target=self.work, args=(what, host), name=host.name) for what, host in
                        [(self.back_up, h) for h in self.hosts] + [(self.prune, h) for h in self.pruners] +
                        [(self.read, self.reader)]]
        for thread in self.threads:
            thread.start()
        self.stop.wait(seconds)
        self.stop.set()
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise self.errors[0]
        self.worked = collections.Counter(self.count)
        self.holds()

    def holds(self):
        """Every set that was reported completed is whole; nothing needs an unlock; nothing is left behind."""
        for host in self.hosts:
            self.back_up(host, alone=True)
        self.whole()
        document = self.prune(self.pruners[0], wait='60s')
        if document['state'] != 'completed':
            raise Broken('a prune with nobody beside it is not done: %s' % document)
        self.whole()
        for folder in ('leases', 'marks'):
            if os.listdir(self.path('repository', folder)):
                raise Broken('%s are left: %s' % (folder, os.listdir(self.path('repository', folder))))
        for name in [h.name for h in self.hosts]:
            newest = [i for i, (_, owner) in self.promised.items() if owner == name][-1]
            good, text = self.restore(self.reader, newest)
            if not good:
                raise Broken('the newest set of %s cannot be restored: %s' % (name, text))

    def whole(self):
        there = self.listed(self.reader)
        lost = [name for i, name in self.promised.items() if i not in there and i not in self.removed]
        back = [name for i, name in there.items() if i in self.removed]
        if lost or back:
            raise Broken('sets that were reported completed are gone: %s; removed ones are back: %s' % (lost, back))
        for host in self.hosts:
            promised = [i for i, (_, owner) in self.promised.items() if owner == host.name]
            if len([i for i in promised if i in there]) < min(KEEP, len(promised)):
                raise Broken('of %s there are fewer sets than a prune keeps' % host.name)
        if self.verify_all(self.reader)['sets'] != len(there):
            raise Broken('verify and list do not tell of the same sets')
        self.count['sets there in the end, all whole'] = len(there)

    def summary(self):
        return ', '.join('%d %s' % (n, what) for what, n in sorted(self.count.items()))
