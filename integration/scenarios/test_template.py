"""The template plugin, copied out of the tree, builds with pkg-config alone against an installed SDK, and backs up and
restores with the installed command."""
import os
import shutil
import subprocess

from base import ROOT, Scenario, main
from lab.command import BUILD, check_output


class Template(Scenario):
    def test_builds_outside_the_tree_and_works(self):
        system = self.system(('settings',), 10)
        prefix = system.path('installed')
        check_output(['meson', 'install', '-C', BUILD, '--no-rebuild', '--destdir', prefix])
        found = check_output(['find', prefix, '-name', 'orchestrate-sdk.pc']).decode().split()
        self.assertEqual(1, len(found))
        folder = system.path('my-plugin')
        shutil.copytree(os.path.join(ROOT, 'sdk/template'), folder)
        env = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(found[0]), PKG_CONFIG_SYSROOT_DIR=prefix)
        check_output(['make', '-C', folder], env=env)
        self.assertTrue(os.path.exists(folder + '/notes.so'))

        notes = system.path('notes')
        os.mkdir(notes)
        for i in range(20):
            with open('%s/note-%d.txt' % (notes, i), 'w') as file:
                file.write('note %d\n' % i * (i + 1))
        system.write_configuration('\n  notes: { plugin = "notes"; path = "%s"; };' % notes)
        command = [check_output(['find', prefix, '-type', 'f', '-name', 'orchestrate', '-perm', '-u+x']).decode().split()[0],
                   '--config', system.conf, '--plugin-path', system.command.path.replace(
                       system.command.path.split(':')[0], folder + ':' + system.command.path.split(':')[0], 1)]

        def run(code, *words):
            done = subprocess.run(command + list(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
            self.assertEqual(code, done.returncode, done.stdout.decode())
            return done.stdout.decode()

        self.assertIn('path', run(0, 'plugin', 'show', 'notes'))
        run(0, 'init')
        run(0, 'backup', 'notes')
        before = {n: open(os.path.join(notes, n)).read() for n in os.listdir(notes)}
        shutil.rmtree(notes)
        run(0, 'restore', 'latest', 'notes', '--yes')
        self.assertEqual(before, {n: open(os.path.join(notes, n)).read() for n in os.listdir(notes)})


if __name__ == '__main__':
    main()
