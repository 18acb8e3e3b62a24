"""command.py: runs programs and the orchestrate command under test."""
import json
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('ORCHESTRATE_BUILD', os.path.join(ROOT, 'build'))
PLUGINS = ('volumes', 'config', 'postgres', 'redis', 'l1-memory', 'vectorstore')


def built(path):
    """A file of the build folder."""
    return os.path.join(BUILD, path)


def plugin_path():
    return ':'.join(built('plugins/' + name) for name in PLUGINS)


def check_output(arguments, **more):
    """Standard output as bytes; a failure shows what the program said."""
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    if done.returncode != 0:
        raise RuntimeError('%s ended with %d: %s' % (
            ' '.join(arguments), done.returncode, done.stderr.decode('utf-8', 'replace')))
    return done.stdout


class Result:
    """What one run of the command gave."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return 'exit %d\n--- stdout\n%s--- stderr\n%s' % (self.code, self.out, self.err)


class Orchestrate:
    """The command with a configuration folder."""

    def __init__(self, config_dir, extra_plugins=()):
        self.config_dir = config_dir
        self.path = ':'.join(list(extra_plugins) + [plugin_path()])

    def arguments(self, *words):
        return [built('core/orchestrate'), '--config', self.config_dir, '--plugin-path', self.path] + list(words)

    def run(self, *words, env=None, timeout=300):
        done = subprocess.run(self.arguments(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=timeout, env=dict(os.environ, **(env or {})))
        return Result(done.returncode, done.stdout.decode('utf-8', 'replace'),
                      done.stderr.decode('utf-8', 'replace'))

    def start(self, *words, env=None):
        return subprocess.Popen(self.arguments(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=dict(os.environ, **(env or {})))
