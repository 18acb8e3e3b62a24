"""tree.py: a file tree with orchestrate, restic and borg: full backup, unchanged, 5 % changed, restore, verify, run
alternately. Started by integration/bench."""
import argparse
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
from lab.command import Orchestrate  # noqa: E402
from make_tree import mutate  # noqa: E402
from measure import Table  # noqa: E402

PHASES = ('full', 'unchanged', 'changed', 'restore', 'verify')


class Ours:
    name = 'orchestrate'

    def __init__(self, work):
        self.work, self.repository = work, work + '/repository'
        os.makedirs(work + '/conf.d', exist_ok=True)
        with open(work + '/passphrase', 'w') as file:
            file.write('bench\n')
        os.chmod(work + '/passphrase', 0o600)
        with open(work + '/conf.d/bench.conf', 'w') as file:
            file.write('state_dir = "%s/state"; cache_dir = "%s/cache";\n'
                       'repositories: { main: { url = "%s"; passphrase_file = "%s/passphrase"; verify = "none"; }; };\n'
                       'components: { tree: { plugin = "volumes"; paths = [ "%s/tree" ]; }; };\n'
                       % (work, work, self.repository, work, work))
        self.command = Orchestrate(work + '/conf.d')

    def words(self, *words):
        return ' '.join("'%s'" % w for w in self.command.arguments('-q', *words))

    def reset(self):
        for name in ('repository', 'state', 'cache'):
            shutil.rmtree(os.path.join(self.work, name), ignore_errors=True)
        subprocess.run(['bash', '-c', self.words('init')], check=True, stdout=subprocess.DEVNULL)

    def commands(self):
        return {'full': self.words('backup'), 'unchanged': self.words('backup', '--type', 'incremental'),
                'changed': self.words('backup', '--type', 'incremental'),
                'restore': self.words('restore', 'latest', '--yes', '--target', 'tree.root=%s/out' % self.work),
                'verify': self.words('verify', '--level', 'data')}

    def env(self):
        return {}


class Restic(Ours):
    name = 'restic'

    def __init__(self, work):
        self.work, self.repository = work, work + '/restic'

    def env(self):
        return {'RESTIC_PASSWORD': 'bench', 'RESTIC_CACHE_DIR': self.work + '/restic-cache', 'RESTIC_PROGRESS_FPS': '0.01'}

    def reset(self):
        for path in (self.repository, self.work + '/restic-cache'):
            shutil.rmtree(path, ignore_errors=True)
        subprocess.run(['restic', '-q', '-r', self.repository, 'init', '--repository-version', '2'], check=True,
                       env=dict(os.environ, **self.env()))

    def commands(self):
        backup = 'restic -q -r %s backup --compression auto %s/tree' % (self.repository, self.work)
        return {'full': backup, 'unchanged': backup, 'changed': backup,
                'restore': 'restic -q -r %s restore latest --target %s/out' % (self.repository, self.work),
                'verify': 'restic -q -r %s check --read-data' % self.repository}


class Borg(Restic):
    name = 'borg'

    def __init__(self, work):
        self.work, self.repository, self.number = work, work + '/borg', 0

    def env(self):
        return {'BORG_BASE_DIR': self.work + '/borg-base', 'BORG_PASSPHRASE': 'bench', 'BORG_RELOCATED_REPO_ACCESS_IS_OK': 'yes'}

    def reset(self):
        for path in (self.repository, self.work + '/borg-base'):
            shutil.rmtree(path, ignore_errors=True)
        subprocess.run(['borg', 'init', '-e', 'repokey', self.repository], check=True, stderr=subprocess.DEVNULL,
                       env=dict(os.environ, **self.env()))

    def commands(self):
        create = 'borg create -C lz4 %s::%%s %s/tree' % (self.repository, self.work)
        return {'full': create % 'full', 'unchanged': create % 'unchanged', 'changed': create % 'changed',
                'restore': 'mkdir -p %s/out && cd %s/out && borg extract %s::changed' % (self.work, self.work, self.repository),
                'verify': 'borg check --verify-data %s' % self.repository}


def put_away(work, path):
    """Out of the way at once; what that costs is paid after the last measurement, not between two."""
    if os.path.exists(path):
        trash = work + '/trash'
        os.makedirs(trash, exist_ok=True)
        os.rename(path, '%s/%d' % (trash, len(os.listdir(trash))))


def measure(table, tool, work, seed, first):
    commands = tool.commands()
    tool.reset()
    for phase in PHASES:
        if phase == 'changed':
            mutate(work + '/tree', seed)
        table.run(tool.name, phase, commands[phase], env=tool.env())
        if phase == 'full':
            table.size(tool.name, tool.repository)
        if phase == 'restore' and first:
            same = subprocess.run(['diff', '-r', '--no-dereference', work + '/tree', work + '/out' + work + '/tree'],
                                  stdout=subprocess.DEVNULL).returncode == 0
            print('  %s: restored tree %s' % (tool.name, 'identical' if same else 'DIFFERS'), file=sys.stderr)
            if not same:
                sys.exit(1)
    put_away(work, work + '/out')
    put_away(work, tool.repository)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--peers', action='store_true', help='install restic and borg when missing')
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--scale', type=float, default=1.0)
    parser.add_argument('--work', default='/tmp/orchestrate-bench')
    parser.add_argument('--output', help='write the table to this file too')
    options = parser.parse_args()
    work = '%s-%g' % (options.work, options.scale)
    if not os.path.isdir(work + '/tree/large'):
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
        subprocess.run([sys.executable, HERE + '/make_tree.py', work + '/tree', str(options.scale)], check=True)
    tools = [Ours(work)] + [t(work) for t in (Restic, Borg) if shutil.which(t.name)]
    table = Table()
    warm = 'find %s/tree -type f -print0 | xargs -0 cat >/dev/null' % work
    for run in range(options.runs):
        for tool in tools:
            subprocess.run(['bash', '-c', warm], check=True)
            print('run %d of %d: %s' % (run + 1, options.runs, tool.name), file=sys.stderr)
            measure(table, tool, work, 100 + run * 10 + tools.index(tool), run == 0)
    text = table.markdown('orchestrate', PHASES, [t.name for t in tools[1:]])
    print(text)
    if options.output:
        with open(options.output, 'w') as file:
            file.write(text + '\n')
    shutil.rmtree(work + '/trash', ignore_errors=True)


if __name__ == '__main__':
    main()
