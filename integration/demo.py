"""demo.py: backup, disaster, staged recovery, proof. Started by integration/demo."""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab.system import ALL, EMBEDDED, System  # noqa: E402

WIDTH = 78


def title(text):
    print('\n\033[1m%s\033[0m' % text if sys.stdout.isatty() else '\n' + text, flush=True)


def orchestrate(system, *words):
    """Runs the command and shows what it prints; gives its seconds."""
    shown = 'orchestrate ' + ' '.join(words)
    print('$ ' + shown, flush=True)
    start = time.monotonic()
    result = system.command.run(*words)
    seconds = time.monotonic() - start
    for line in result.out.rstrip().splitlines():
        print('  ' + line)
    if result.code != 0:
        print(result.err)
        raise SystemExit('%s ended with exit code %d' % (shown, result.code))
    return seconds


def compare(before, after):
    """Prints both sides; gives whether all is identical."""
    print('  %-10s %8s  %-18s %8s  %-18s' % ('component', 'items', 'digest before', 'items', 'digest restored'))
    same = True
    for name, (items, digest) in before.items():
        items_after, digest_after = after[name]
        equal = (items, digest) == (items_after, digest_after)
        same = same and equal
        print('  %-10s %8d  %-18s %8d  %-18s %s' % (name, items, digest[:16], items_after, digest_after[:16],
                                                   'identical' if equal else 'DIFFERENT'))
    return same


def main():
    parser = argparse.ArgumentParser(prog='integration/demo', description=__doc__)
    parser.add_argument('--keep', action='store_true', help='leave servers and folder for exploring')
    parser.add_argument('--embedded', action='store_true', help='only the components that need no server')
    parser.add_argument('--documents', type=int, default=2000)
    options = parser.parse_args()
    with System(EMBEDDED if options.embedded else ALL, options.documents, options.keep) as system:
        title('1. A small application: %d documents in %d components that refer to each other'
              % (options.documents, len(system.components)))
        system.fill()
        before = system.digests()
        for name, (items, _) in before.items():
            print('  %-10s %8d items' % (name, items))
        orchestrate(system, 'graph')

        title('2. Backup')
        orchestrate(system, 'init')
        backup_seconds = orchestrate(system, 'backup', '--label', 'demo')

        title('3. Disaster: all of it is wiped')
        system.wipe()
        print('  databases dropped, keys flushed, folders removed')

        title('4. Recovery in stages, by the plan')
        orchestrate(system, 'run', 'recover', '--dry-run')
        restore_seconds = orchestrate(system, 'run', 'recover', '--yes')

        title('5. Proof: every item, before and after')
        same = compare(before, system.digests())
        orchestrate(system, 'status')
        left = system.leftovers()
        print()
        if not same or left:
            print('FAILED: %s' % ('something differs' if not same else 'left behind: ' + ', '.join(left)))
            return 1
        print('All %d components are back, item for item. Backup took %.1f s, recovery %.1f s.'
              % (len(before), backup_seconds, restore_seconds))
        if options.keep:
            print('Kept in %s; servers are still running. Try:\n  %s' % (
                system.folder, ' '.join(system.command.arguments('list'))))
    return 0


if __name__ == '__main__':
    sys.exit(main())
