"""check.py: checks the prune protocol (docs/prune-protocol.md) as a model, prune.pml, with spin.

    check.py [--long] [--jobs N] [--memory MB]   every run of HOLDS must find nothing, every run of
                                                 BROKEN a counterexample
    check.py --show RULE                         the counterexample, step by step
    check.py --only WORD                         runs whose description or rule has this word

Every interleaving of a run is looked at (the number of states is printed). HOLDS are runs of the
protocol as it is. In BROKEN one rule is left out: what finds nothing there could not find anything
above either. Each run is a choice of processes and of how the store looks at first:

    NEED               chunks (1: a, 2: b) of the set that is there from the beginning
    HAS_A, HAS_B       packs (1: X, 2: Y) that hold these chunks
    WANT0, WANT1       chunks of the writers' sets
    PRUNES             prunes: 1, 2, 4 added up
    ASLEEP             one more prune, which has passed its last check with these packs to delete
    CLOCK              so many leases run out, at any moment
    KILL               one process dies at any moment, and it is known
    READER, DELETE     a reader of any set; somebody who deletes this set
    IMPATIENT          prunes may give up waiting; LAST: one more prune at the end leaves nothing
    RETAIN, REPACK, TAKEOVER, SAMENAME, RESTART, SLOW   see prune.pml
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = os.path.join(HERE, 'prune.pml')
DEPTH = '100000'

PLAIN = 'NEED=2 HAS_A=1 HAS_B=2 '   # X is not needed, Y is; one segment names both
DOUBLE = 'NEED=1 HAS_A=3 '          # both packs hold the only chunk that is needed
UNUSED = 'NEED=0 HAS_A=3 '          # the same, and nobody needs it yet
FRESH = 'NEED=2 HAS_B=3 '           # what the writers want is nowhere
PARTLY = 'NEED=1 HAS_A=3 HAS_B=1 '  # X holds more than is needed

# (what, processes); the longest first
HOLDS = [
    ('a prune wakes late, two more, a writer', 'HAS_A=1 ASLEEP=1 PRUNES=6 WANT0=1'),
    ('a prune, two writers, a lease runs out', PLAIN + 'PRUNES=1 WANT0=1 WANT1=1 CLOCK=1'),
    ('a prune, two writers, two leases run out', PLAIN + 'PRUNES=1 WANT0=1 WANT1=1 CLOCK=2'),
    ('a prune, two writers, one dies', PLAIN + 'PRUNES=1 WANT0=1 WANT1=1 KILL=1'),
    ('two prunes, a writer', PLAIN + 'PRUNES=3 WANT0=1'),
    ('two prunes, a writer, a lease runs out', PLAIN + 'PRUNES=3 WANT0=1 CLOCK=1'),
    ('two prunes, a writer, one dies', PLAIN + 'PRUNES=3 WANT0=1 KILL=1'),
    ('two impatient prunes, a writer', PLAIN + 'PRUNES=3 WANT0=1 IMPATIENT=1'),
    ('two prunes, double chunks, two leases run out', DOUBLE + 'PRUNES=3 CLOCK=2'),
    ('two prunes, double unused chunks, a writer', UNUSED + 'PRUNES=3 WANT0=1'),
    ('a prune wakes late, another, a writer', PLAIN + 'ASLEEP=1 PRUNES=2 WANT0=1'),
    ('a prune wakes late with old segments', 'HAS_A=1 HAS_B=2 ASLEEP=1 PRUNES=2 WANT0=2'),
    ('new chunks, a lease runs out', FRESH + 'PRUNES=1 WANT0=1 WANT1=1 CLOCK=1'),
    ('rewriting packs, a writer, a reader', PARTLY + 'PRUNES=1 WANT0=3 REPACK=1 READER=1'),
    ('rewriting packs, a reader, the set is deleted, a lease runs out',
     DOUBLE + 'PRUNES=1 REPACK=1 READER=1 DELETE=1 CLOCK=1'),
    ('a prune, two writers, a reader', PLAIN + 'PRUNES=1 WANT0=1 WANT1=1 READER=1'),
    ('a prune, a writer, a reader, a lease runs out', PLAIN + 'PRUNES=1 WANT0=3 READER=1 CLOCK=1'),
    ('two prunes, a reader, the set is deleted', DOUBLE + 'PRUNES=3 READER=1 DELETE=1'),
    ('retention beside a writer, a lease runs out', DOUBLE + 'PRUNES=1 WANT0=1 RETAIN=1 CLOCK=1'),
    ('retention by two prunes, a lease runs out', 'NEED=1 HAS_A=1 PRUNES=3 WANT0=1 RETAIN=1 CLOCK=1'),
    ('two writers of one second', PLAIN + 'WANT0=1 WANT1=1 SAMENAME=1 CLOCK=1 DELETE=2'),
    ('a part is taken over, its set deleted', PLAIN + 'PRUNES=1 WANT0=1 WANT1=1 TAKEOVER=1 DELETE=2'),
    ('listing takes time, a prune wakes late, another, a writer', PLAIN + 'ASLEEP=1 PRUNES=2 WANT0=1 SLOW=1'),
    ('listing takes time, a prune, a reader', PLAIN + 'PRUNES=1 WANT0=1 READER=1 SLOW=1'),
    ('nothing is left over: after giving up, sleeping, dying',
     PLAIN + 'PRUNES=1 WANT0=1 LAST=1 IMPATIENT=1 CLOCK=1 KILL=1'),
    ('nothing is left over: after two prunes', PLAIN + 'PRUNES=3 WANT0=1 LAST=1 IMPATIENT=1'),
    ('nothing is left over: after two prunes that rewrote',
     PLAIN + 'PRUNES=3 LAST=1 IMPATIENT=1 CLOCK=2 REPACK=1'),
]
# Larger ones, with --long.
HOLDS_LONG = [
    ('two prunes, a writer, two leases run out', PLAIN + 'PRUNES=3 WANT0=1 CLOCK=2'),
    ('two impatient prunes, a writer, a lease runs out', PLAIN + 'PRUNES=3 WANT0=1 CLOCK=1 IMPATIENT=1'),
    ('two prunes, two writers', PLAIN + 'PRUNES=3 WANT0=1 WANT1=1'),
    ('two impatient prunes, two writers', PLAIN + 'PRUNES=3 WANT0=1 WANT1=1 IMPATIENT=1'),
    ('two prunes, double unused chunks, a writer, a lease runs out', UNUSED + 'PRUNES=3 WANT0=1 CLOCK=1'),
    ('a prune wakes late, two more, a writer, double chunks', DOUBLE + 'ASLEEP=1 PRUNES=6 WANT0=1'),
    ('a prune wakes late, two more, a writer, two packs', PLAIN + 'ASLEEP=1 PRUNES=6 WANT0=1'),
    ('a prune wakes late, another, two writers', PLAIN + 'ASLEEP=1 PRUNES=2 WANT0=1 WANT1=1'),
    ('a prune, two writers, a reader, a lease runs out', PLAIN + 'PRUNES=1 WANT0=1 WANT1=1 READER=1 CLOCK=1'),
    ('rewriting packs, a writer, a reader, a lease runs out', PARTLY + 'PRUNES=1 WANT0=3 REPACK=1 READER=1 CLOCK=1'),
    ('three prunes, a writer', PLAIN + 'PRUNES=7 WANT0=1'),
]
# Everybody ends, for ever: no two wait for each other, and none gives way without end.
ENDS = [
    ('two prunes alone', PLAIN + 'PRUNES=3 RESTART=1'),
]
ENDS_LONG = [
    ('three prunes alone', PLAIN + 'PRUNES=7 RESTART=1'),
]

BROKEN = {
    'NO_SECOND_LOOK': PLAIN + 'PRUNES=1 WANT0=1',
    'INDEX_BEFORE_MARKS': PLAIN + 'PRUNES=1 WANT0=1',
    'NO_LAPSED': PLAIN + 'PRUNES=1 WANT0=1 CLOCK=1',
    'NO_LAST_CHECK': PLAIN + 'PRUNES=1 WANT0=1 CLOCK=1',
    'LEASES_BEFORE_MARK': PLAIN + 'PRUNES=1 WANT0=1',
    'MARK_REMOVED_FIRST': PLAIN + 'PRUNES=1 WANT0=1',
    'ACK_NOT_OBEYED': PLAIN + 'PRUNES=1 WANT0=1',
    'ACK_UNREAD': PLAIN + 'PRUNES=1 WANT0=1',
    'NO_WAITING': PLAIN + 'PRUNES=1 WANT0=1',
    'MARK_ONLY_NEW': PLAIN + 'PRUNES=3 WANT0=1',
    'FOREIGN_MARK_GOES': 'HAS_A=1 ASLEEP=1 PRUNES=6 WANT0=1',
    'PARDON_ONE': PLAIN + 'PRUNES=3 WANT0=1 CLOCK=1',
    'WAIT_WITH_LEASE': PLAIN + 'PRUNES=3',
    'NO_CHECK_AT_9': DOUBLE + 'PRUNES=3 CLOCK=2',
    'SEGMENT_GAP': PLAIN + 'PRUNES=1',
    'NO_YIELD': PLAIN + 'PRUNES=3',
    'KEPT_EMPTY': PLAIN + 'PRUNES=1 WANT0=1 CLOCK=1',
    'KEPT_TOO_OLD': PLAIN + 'PRUNES=1 WANT0=1 CLOCK=1',
    'READER_NO_LEASE': DOUBLE + 'PRUNES=1 READER=1 DELETE=1',
    'READER_INDEX_FIRST': PLAIN + 'PRUNES=1 WANT0=3 READER=1',
    'READER_NO_REFRESH': PLAIN + 'PRUNES=1 WANT0=1 WANT1=1 READER=1',
    'LAPSED_FIRST': 'NEED=1 HAS_A=1 PRUNES=3 WANT0=1 RETAIN=1 CLOCK=1',
    'TRUST_SEGMENTS': 'HAS_A=1 HAS_B=2 ASLEEP=1 PRUNES=2 WANT0=2',
    'OLD_INDEX_AT_8': FRESH + 'PRUNES=1 WANT0=1',
    'RETAIN_ANY': DOUBLE + 'PRUNES=1 WANT0=1 RETAIN=1 CLOCK=1',
    'SEGMENT_FIRST': FRESH + 'PRUNES=1 WANT0=1',
    'NO_SEGMENT': FRESH + 'WANT0=1',
    'NAME_REUSED': PLAIN + 'WANT0=1 WANT1=1 SAMENAME=1 CLOCK=1 DELETE=2',
    'PARTS_TAKEN': PLAIN + 'PRUNES=1 WANT0=1 WANT1=1 TAKEOVER=1 DELETE=2',
    'NO_MOVE': PLAIN + 'PRUNES=1 WANT0=1 LAST=1 IMPATIENT=1',
    'INDEX_BEFORE_SETS': FRESH + 'PRUNES=1 WANT0=1',
    'NO_CHECKS': PLAIN + 'PRUNES=1 WANT0=1 CLOCK=1',
    'ORPHANS_UNMARKED': FRESH + 'PRUNES=1 WANT0=1',
    'WITHDRAW_KEPT': 'NEED=1 HAS_A=1 PRUNES=3 WANT0=1 RETAIN=1 CLOCK=1',
    'OLDER_NOT_ASKED': PLAIN + 'PRUNES=3 WANT0=1 IMPATIENT=1',
    'PRUNE_NO_REFRESH': PLAIN + 'ASLEEP=1 PRUNES=2 SLOW=1',
    'BOTH_YIELD': PLAIN + 'PRUNES=3 RESTART=1',
}
ENDING = {'BOTH_YIELD'}  # of these, those that only the check of endings can find


def rules():
    """The rules that prune.pml can break: name to (number, what it says)."""
    with open(MODEL) as file:
        return {name: (number, text) for name, number, text in
                re.findall(r'^#define (\w+) (\d+) +/\* (.*) \*/$', file.read(), re.M)}


class Checker:
    def __init__(self, folder, memory):
        self.folder = folder
        with ThreadPoolExecutor(2) as pool:
            self.safety, self.ending = pool.map(
                lambda kind: self.compile(kind[0], memory, kind[1]),
                [('safety', ['-DSAFETY', '-DNOCLAIM']), ('ending', ['-DNFAIR=3'])])

    def compile(self, name, memory, flags):
        place = os.path.join(self.folder, name)
        os.mkdir(place)
        for command in (['spin', '-a', MODEL],
                        ['gcc', '-O2', '-w', '-DCOLLAPSE', '-DMEMLIM=%d' % memory] + flags +
                        ['-o', 'pan', 'pan.c']):
            done = subprocess.run(command, cwd=place, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0 or 'Error' in done.stdout:
                sys.exit('%s failed:\n%s' % (command[0], done.stdout))
        return os.path.join(place, 'pan')

    def run(self, processes, rule=None, ending=False, keep=None):
        """(found: what, or None; states; seconds; trouble: why this says nothing, or None)"""
        env = dict(os.environ, MUTANT=rules()[rule][0] if rule else '0')
        for setting in processes.split():
            env.update([setting.split('=')])
        command = [self.ending, '-a', '-f'] if ending else [self.safety]
        begun = time.time()
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            done = subprocess.run(command + ['-m' + DEPTH, '-w22'], env=env, cwd=keep or place,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        seconds = time.time() - begun
        counted = re.search(r'errors: (\d+)\n\s*([\d.e+]+) states, stored', done.stdout)
        found = re.search(r'^pan:1: (.*?)(?: \(at depth \d+\))?$', done.stdout, re.M)
        states = int(float(counted[2])) if counted else 0
        if counted and int(counted[1]) > 0 and found:
            return found[1], states, seconds, None
        if not counted or done.returncode != 0 or re.search(r'max search depth|out of memory|not completed', done.stdout):
            return None, states, seconds, done.stdout[-2000:] or 'no output'
        return None, states, seconds, None


def show(checker, rule):
    """Prints the steps of a counterexample: those that change anything that others see."""
    with tempfile.TemporaryDirectory(dir=checker.folder) as place:
        found = checker.run(BROKEN[rule], rule, rule in ENDING, keep=place)[0]
        env = dict(os.environ, MUTANT=rules()[rule][0])
        for setting in BROKEN[rule].split():
            env.update([setting.split('=')])
        pan = checker.ending if rule in ENDING else checker.safety
        steps = subprocess.run([pan, '-r', 'prune.pml.trail'], env=env, cwd=place,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    print('%s: %s' % (rule, rules()[rule][1]))
    for line in steps.splitlines():
        step = re.match(r'\s*\d+:\s+proc\s+(\d+) \((\w+)\) \S*?:(\d+) \(state \d+\)\s+\[(.*)\]$', line)
        if step and re.match(r'(lease|segs|packs|parts|sets|lapsed|kept|ack\[|mark|mpacks|overdue|dead|'
                             r'has\[|reported|deleted|valid|index|list) ?=?', step[4]) and '=' in step[4]:
            print('  %-8s %s  line %s: %s' % (step[2], step[1], step[3], step[4][:100]))
        elif re.match(r'\s+byte.*[^:]\s+[1-9]\d*$', line):
            print('  at the end' + line)
    print('found: %s' % found)


def main():
    parser = argparse.ArgumentParser(description='Checks the prune protocol as a model.')
    parser.add_argument('--long', action='store_true', help='larger runs too (many minutes, and --memory 6000)')
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--memory', type=int, default=900, help='of each run, in MB')
    parser.add_argument('--show', metavar='RULE')
    parser.add_argument('--only', metavar='WORD', default='')
    args = parser.parse_args()
    jobs = [(what, processes, None, False) for what, processes in HOLDS + (HOLDS_LONG if args.long else [])]
    jobs += [(what + ' end', processes, None, True) for what, processes in ENDS + (ENDS_LONG if args.long else [])]
    jobs += [(rules()[rule][1], processes, rule, rule in ENDING) for rule, processes in BROKEN.items()]
    missing = set(rules()) ^ set(BROKEN)
    if missing:
        sys.exit('rules without a run, or the other way round: ' + ', '.join(sorted(missing)))
    jobs = [job for job in jobs if args.only in job[0] or args.only in (job[2] or '')]
    failed = states = 0
    begun = time.time()
    with tempfile.TemporaryDirectory(prefix='orchestrate-model-') as folder:
        checker = Checker(folder, args.memory)
        if args.show:
            return show(checker, args.show)
        with ThreadPoolExecutor(args.jobs) as pool:
            results = pool.map(lambda job: (job, checker.run(job[1], job[2], job[3])), jobs)
            for (what, processes, rule, _), (found, count, seconds, trouble) in results:
                good = trouble is None and (found is not None) == (rule is not None)
                states += count
                failed += not good
                print('%-7s %9d states %6.1f s  %s%s' % ('ok' if good else 'FAILED', count, seconds,
                                                         'found: ' if rule else '', what), flush=True)
                if not good:
                    print('    %s\n    %s' % (processes, trouble or found or 'no counterexample: this run cannot fail'))
    print('%d runs hold, %d broken rules, %d states, %.0f s' % (
        sum(1 for job in jobs if job[2] is None), sum(1 for job in jobs if job[2]), states, time.time() - begun))
    print('Checks: %d, Failures: %d, Errors: 0' % (len(jobs), failed))
    return 1 if failed or not jobs else 0


if __name__ == '__main__':
    sys.exit(main())
