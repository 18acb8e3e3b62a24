"""torture.py: bad luck at full length, with a plain summary; started by integration/torture."""
import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab.badluck import Broken, crash_points  # noqa: E402
from lab.crashes import RESTORE, Crashes  # noqa: E402
from lab.crowd import Crowd  # noqa: E402
from lab.rounds import Rounds  # noqa: E402
from lab.sweep import OPERATIONS, Sweep  # noqa: E402
from lab.system import System  # noqa: E402

COMPONENTS = ('settings', 'uploads', 'kb', 'hot')


def say(text):
    print('%s %s' % (time.strftime('%H:%M:%S'), text), flush=True)


def filled_system(documents=20):
    """With a repository and one set. Its folder stays when something breaks."""
    system = System(COMPONENTS, documents, prefix='orchestrate-torture-', key_file=True).__enter__()
    system.fill()
    for words in (('init',), ('backup',)):
        result = system.command.run(*words)
        if result.code != 0:
            raise Broken(str(result))
    return system


def report(broken, system, what):
    broken.append(what)
    say('BROKEN %s\n(what is left is in %s)' % (what, system.folder))


def faults(options):
    broken, count = [], collections.Counter()
    for operation in [options.operation] if options.operation else OPERATIONS:
        system = filled_system()
        sweep = Sweep(system, options.seed)
        rules = [rule for _, rule in sweep.rules(operation)]
        say('%s: %d faults' % (operation, len(rules)))
        for number, rule in enumerate(rules):
            try:
                sweep.attempt(operation, rule)
            except Broken as why:
                report(broken, system, str(why))
                system = filled_system()
                sweep, old = Sweep(system, options.seed + number), sweep
                sweep.count = old.count
                sweep.prepare(operation)
            if number % 100 == 99:
                say('%s: %d of %d, %d broken' % (operation, number + 1, len(rules), len(broken)))
        say('%s: %s' % (operation, ', '.join('%d %s' % (n, what) for what, n in sorted(sweep.count.items()))))
        count.update(sweep.count)
        system.__exit__()
    say('all: %s, %d broken' % (', '.join('%d %s' % (n, what) for what, n in sorted(count.items())), len(broken)))
    return 1 if broken else 0


def crashes(options):
    broken, system = [], filled_system()
    runs = Crashes(system, random.Random(options.seed))
    plan = list(runs.plan(full=True))
    for operation in runs.operations():
        plan += [(operation, rule, loss) for rule in runs.calls(operation) for loss in runs.losses()]
    say('%d crashes' % len(plan))
    for number, (operation, point, loss) in enumerate(plan):
        try:
            runs.attempt(operation, point, loss)
        except Broken as why:
            report(broken, system, str(why))
            system = filled_system()
            runs, old = Crashes(system, random.Random(options.seed + number)), runs
            runs.count, runs.reached = old.count, old.reached
        if number % 100 == 99:
            say('%d of %d, %d broken' % (number + 1, len(plan), len(broken)))
    unseen = [p for p in crash_points() if p not in runs.reached and not p.startswith(RESTORE)]
    say('%s, %d broken; points never reached: %s' % (
        ', '.join('%d %s' % (n, what) for what, n in sorted(runs.count.items())), len(broken), unseen or 'none'))
    system.__exit__()
    return 1 if broken else 0


def kills(options):
    broken, system = [], filled_system()
    rounds = Rounds(system, options.seed)
    for number in range(options.first, options.first + options.rounds):
        done = number - options.first
        try:
            rounds.round(number)
        except Broken as why:
            report(broken, system, str(why))
            system = filled_system()
            rounds, old = Rounds(system, options.seed), rounds
            rounds.victims, rounds.phases, rounds.outcomes = old.victims, old.phases, old.outcomes
        if done % 50 == 49:
            say('%d rounds, %d broken' % (done + 1, len(broken)))
    say('%d rounds, %d broken\n%s' % (options.rounds, len(broken), rounds.summary()))
    system.__exit__()
    return 1 if broken else 0


def crowd(options):
    many = Crowd(tempfile.mkdtemp(prefix='orchestrate-torture-'), 'the passphrase of the crowd\n', options.seed)
    broken = []
    try:
        many.run(options.seconds)
    except Exception as why:  # whatever it was: the folder has to be told
        report(broken, many, repr(why))
    else:
        shutil.rmtree(many.folder)
    say('%d s, %d backups and %d prunes at once, %d broken: %s' % (
        options.seconds, len(many.hosts), len(many.pruners), len(broken), many.summary()))
    return 1 if broken else 0


def main():
    parser = argparse.ArgumentParser(prog='integration/torture', description=__doc__)
    kinds = parser.add_subparsers(dest='kind', required=True)
    one = kinds.add_parser('faults')
    one.add_argument('--operation', choices=OPERATIONS)
    two = kinds.add_parser('kills')
    two.add_argument('rounds', type=int)
    two.add_argument('--from', type=int, default=0, dest='first', help='the number of the first round')
    three = kinds.add_parser('crashes')
    four = kinds.add_parser('crowd')
    four.add_argument('seconds', type=int)
    for kind in (one, two, three, four):
        kind.add_argument('--seed', type=int, default=1)
    options = parser.parse_args()
    return {'faults': faults, 'kills': kills, 'crashes': crashes, 'crowd': crowd}[options.kind](options)


if __name__ == '__main__':
    sys.exit(main())
