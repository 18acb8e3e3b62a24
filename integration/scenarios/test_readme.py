"""The tour of README.md, word for word: its commands are run, and what they print is what stands there, but for
numbers and ids."""
import os
import re
import shutil
import subprocess
import tempfile

from base import ROOT, Scenario, built, main
from lab.command import plugin_path

TOUR = '/tmp/tour'


class Readme(Scenario):
    def blocks(self):
        """The fenced blocks of the tour, as lists of lines."""
        with open(os.path.join(ROOT, 'README.md')) as file:
            text = file.read()
        tour = text[text.index('## Five minutes'):text.index('## What there is')]
        return [block.splitlines() for block in re.findall(r'^```\n(.*?)^```$', tour, re.M | re.S)]

    def plain(self, line):
        """Without what differs from run to run."""
        line = re.sub(r'\b[0-9a-f]{32}\b|\([0-9a-f]{8}\)|\(run [0-9a-f]{8}\)', '#', line)
        line = re.sub(r'\b\d{8}_\d{6}(-\d+)?\b', '#', line)
        line = re.sub(r'[\d.]+ (B|kB|MB|ms|s|seconds? ago|minutes? ago)\b|just now', '# #', line)
        return ' '.join(re.sub(r'\d+ items', '# items', line).split())

    def run_block(self, lines, folder):
        """Runs the commands of a block in one shell; gives what it printed, the commands in between."""
        script = ['exec 2>&1'] + [part for line in lines if line.startswith('$ ')
                                  for part in ('cat <<"END"\n%s\nEND' % line, line[2:])]
        text = '\n'.join(script).replace(TOUR, folder) + '\n'
        env = dict(os.environ, ORCHESTRATE_PLUGIN_PATH=plugin_path(), ORCHESTRATE_CONFIG=folder + '/conf.d',
                   ORCHESTRATE_CACHE_DIR=folder + '/cache', PATH=built('core') + ':' + os.environ['PATH'])
        done = subprocess.run(['bash'], input=text.encode(), stdout=subprocess.PIPE, cwd=ROOT, env=env, timeout=120)
        return done.stdout.decode().replace(folder, TOUR).splitlines()

    def test_tour(self):
        folder = tempfile.mkdtemp(prefix='orchestrate-test-')
        self.addCleanup(shutil.rmtree, folder, True)
        ran = 0
        for lines in self.blocks():
            if lines[0].startswith('# ' + TOUR):
                with open(lines[0][2:].replace(TOUR, folder), 'w') as file:
                    file.write('\n'.join(lines).replace(TOUR, folder) + '\n')
                continue
            printed = self.run_block(lines, folder)
            self.assertEqual([self.plain(line) for line in lines], [self.plain(line) for line in printed])
            ran += sum(line.startswith('$ ') for line in lines)
        self.assertGreater(ran, 10)


if __name__ == '__main__':
    main()
