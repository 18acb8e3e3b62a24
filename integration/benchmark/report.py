"""report.py: tables of the figures, and the verdict on each floor and aim of the project."""
import statistics

PHASES = ('full', 'unchanged', 'changed', 'restore', 'verify')
OURS = 'orchestrate'
# restic's time / ours: what must be reached, and what is aimed at
FLOORS = {'full': 2.5, 'unchanged': 6.0, 'changed': 3.5, 'restore': 1.4, 'verify': 3.0}
AIMS = {'full': 3.5, 'unchanged': 10.0, 'changed': 6.0, 'restore': 2.0, 'verify': 4.5}
CREATION_SHARE = 0.85   # of the bare program's rate: enough for restore, whatever restic does
MEMORY_BYTES = 200e6
ROOFLINE_GOAL = 0.8


def ratio(figures, tool, phase):
    """The median of tool / ours, round by round: each pair ran next to each other."""
    theirs, ours = figures.rows.get((tool, phase)), figures.rows.get((OURS, phase))
    return None if not theirs or not ours else statistics.median(
        a.wall_s / b.wall_s for a, b in zip(theirs, ours))


def table(head, rows):
    return '\n'.join(['| %s |' % ' | '.join(head), '|' + '---|' * len(head)] +
                     ['| %s |' % ' | '.join(row) for row in rows])


def cell(figures, tool, phase):
    wall = figures.median(tool, phase)
    if wall is None:
        return '-'
    cpu = figures.median(tool, phase, 'cpu_s')
    return '%.2f s, %.1f cpu-s' % (wall, cpu) if cpu else '%.2f s' % wall


def times_x(value):
    return '-' if value is None else '%.2f' % value


class Verdicts:
    """Each floor with what was measured; `failed` says how many do not hold."""

    def __init__(self):
        self.lines, self.failed = [], 0

    def judge(self, what, good, measured):
        if good is None:
            self.lines.append('- not measured: %s' % what)
            return
        self.failed += not good
        self.lines.append('- %s: %s (%s)' % ('PASS' if good else 'FAIL', what, measured))


def phase_table(figures, peers):
    rows = []
    for phase in PHASES:
        row = [phase, cell(figures, OURS, phase)]
        for peer in peers:
            row += [cell(figures, peer, phase), times_x(ratio(figures, peer, phase))]
        rows.append(row + [cell(figures, 'plain', phase), times_x(ratio(figures, 'plain', phase))])
    ours = figures.median_size(OURS)
    row = ['size', '%.0f MB' % (ours / 1e6)]
    for tool in list(peers) + ['plain']:
        size = figures.median_size(tool)
        row += ['-', '-'] if size is None else ['%.0f MB' % (size / 1e6), '%.3f' % (size / ours)]
    rows.append(row)
    head = ['phase', OURS]
    for tool in list(peers) + ['plain tools']:
        head += [tool, '%s / ours' % tool]
    return table(head, rows)


def memory_table(figures, tools):
    rows = [[phase] + ['-' if figures.median(tool, phase) is None else
                       '%.0f MB' % (max(r.memory_bytes for r in figures.rows[(tool, phase)]) / 1e6)
                       for tool in tools] for phase in PHASES]
    return table(['phase'] + list(tools), rows)


def roofline_table(figures, least):
    rows = []
    for phase in PHASES:
        ours = figures.median(OURS, phase)
        rows.append([phase, '%.2f s' % least[phase], '%.2f s' % ours, '%.0f%%' % (100 * least[phase] / ours)])
    return table(['phase', 'least time of this machine', OURS, 'share reached'], rows)


def judge(figures, created_s):
    verdicts = Verdicts()
    for phase in PHASES:
        got = ratio(figures, 'restic', phase)
        creation = None if created_s is None else created_s / figures.median(OURS, phase)
        if phase == 'restore':
            good = None if got is None and creation is None else (
                (got or 0) >= FLOORS[phase] or (creation or 0) >= CREATION_SHARE)
            verdicts.judge('restore: restic / %.1f, or %.0f%% of the rate at which the bare program creates the tree' % (
                FLOORS[phase], 100 * CREATION_SHARE), good,
                           'restic / %s; %s' % (times_x(got), '-' if creation is None else '%.0f%%' % (100 * creation)))
        else:
            verdicts.judge('%s: restic / %.1f' % (phase, FLOORS[phase]), None if got is None else got >= FLOORS[phase],
                           'restic / %s' % times_x(got))
    plain = ratio(figures, 'plain', 'full')
    verdicts.judge('full: no slower than tar | zstd -1 -T2 with fsync', None if plain is None else plain >= 1,
                   'that / %s' % times_x(plain))
    theirs, ours = figures.median_size('restic'), figures.median_size(OURS)
    verdicts.judge("size: no larger than restic's", None if theirs is None else ours <= theirs,
                   '-' if theirs is None else '%.0f MB and %.0f MB' % (ours / 1e6, theirs / 1e6))
    peak = figures.peak(OURS)
    verdicts.judge('memory: all processes together under %.0f MB' % (MEMORY_BYTES / 1e6), peak < MEMORY_BYTES,
                   '%.0f MB' % (peak / 1e6))
    return verdicts


def aims(figures, least):
    lines = []
    for phase in PHASES:
        got = ratio(figures, 'restic', phase)
        share = least[phase] / figures.median(OURS, phase)
        lines.append('- %s: restic / %.1f %s; 80%% of the roofline %s' % (
            phase, AIMS[phase], 'not measured' if got is None else 'reached' if got >= AIMS[phase] else 'not reached',
            'reached' if share >= ROOFLINE_GOAL else 'not reached'))
    return lines


def rates_table(rates):
    def gb(name):
        return '%.2f GB/s' % (rates[name] / 1e9)
    rows = [['SHA-256, one core', gb('sha256_one')], ['SHA-256', gb('sha256')], ['HMAC-SHA-256 of the chunks', gb('hmac')],
            ['gear hash, less what need not be searched', gb('gear')],
            ['zstd -1, frames of 1 MiB (to %.0f%%)' % (100 * rates['zstd_share']), gb('zstd')],
            ['zstd -d', gb('unzstd')], ['AES-256-GCM', gb('gcm')],
            ['lstat of %d files' % rates['files'], '%.2f s' % rates['stat_s']],
            ['open, read, close of %d files, %.2f GB, from the page cache' % (rates['files'], rates['bytes'] / 1e9),
             '%.2f s' % rates['read_s']],
            ['disk, written with O_DIRECT and fsync', gb('disk_write')], ['disk, read with O_DIRECT', gb('disk_read')],
            ['large files read from the page cache', gb('cached_read')]]
    return table(['work, on %d cores' % rates['cores'], 'rate or time'], rows)
