"""tools.py: the tools that are measured, each with the commands of its phases."""
import json
import os
import shutil
import subprocess

from lab.command import Orchestrate


class Tool:
    """A tool that backs up WORK/tree. `commands` maps phases to command lines."""

    name = repository = None

    def env(self):
        return {}

    def reset(self):
        """An empty repository, and nothing in any cache of the tool."""

    def restored(self):
        """Where the restore puts the tree."""
        return self.work + '/out' + self.work + '/tree'


class Ours(Tool):
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
        again = self.words('backup', '--type', 'incremental')
        return {'full': self.words('backup'), 'unchanged': again, 'changed': again,
                'restore': self.words('restore', 'latest', '--yes', '--target', 'tree.root=%s/out' % self.work),
                'verify': self.words('verify', '--level', 'data')}

    def stats(self):
        """What the newest backup read and stored."""
        shown = json.loads(subprocess.run(self.command.arguments('--json', 'show', 'latest'), check=True,
                                          stdout=subprocess.PIPE).stdout)
        return shown['parts'][0]['stats']


class Restic(Tool):
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


class Borg(Tool):
    name = 'borg'

    def __init__(self, work):
        self.work, self.repository = work, work + '/borg'

    def env(self):
        return {'BORG_BASE_DIR': self.work + '/borg-base', 'BORG_PASSPHRASE': 'bench',
                'BORG_RELOCATED_REPO_ACCESS_IS_OK': 'yes'}

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


class Plain(Tool):
    """tar and zstd: no deduplication, no encryption, nothing but the bytes made durable."""

    name = 'plain'

    def __init__(self, work):
        self.work, self.repository = work, work + '/plain'

    def reset(self):
        shutil.rmtree(self.repository, ignore_errors=True)
        os.makedirs(self.repository)

    def commands(self):
        file = self.repository + '/tree.tar.zst'
        return {'full': 'tar -C %s -cf - tree | zstd -q -1 -T2 -o %s && sync %s %s' % (
                    self.work, file, file, self.repository),
                'verify': 'zstd -q -t %s' % file}
