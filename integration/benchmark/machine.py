"""machine.py: what the machine itself can do: the programs beside this file, and the least time of each phase."""
import json
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARIES = {'roofline': ['-lcrypto', '-lzstd'], 'create': []}


def built(name, work):
    """The program, compiled with nothing special."""
    program = '%s/%s' % (work, name)
    subprocess.run(['gcc', '-O2', '%s/%s.c' % (HERE, name), '-o', program, '-pthread'] + LIBRARIES[name], check=True)
    return program


def measure_rates(work):
    program = built('roofline', work)
    return json.loads(subprocess.run([program, work + '/tree', work], check=True, stdout=subprocess.PIPE).stdout)


def merge_rates(all_rates):
    """Of several measurements the best of each: a neighbour can make the machine slower, never faster."""
    best = dict(all_rates[0])
    for rates in all_rates[1:]:
        for name, value in rates.items():
            best[name] = min(best[name], value) if name.endswith('_s') else max(best[name], value)
    return best


class Creator:
    """The bare program that creates the tree, with the number of threads and the way of writing that suit it best."""

    WAYS = ((1, 'buffered'), (2, 'buffered'), (4, 'buffered'), (2, 'direct'))

    def __init__(self, work):
        self.work, self.program, self.best = work, built('create', work), None

    def run(self, destination, way):
        words = [self.program, self.work + '/tree', destination, str(way[0]), way[1]]
        return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)

    def choose(self, new_place):
        """Tries the ways; the fastest is kept."""
        times = {}
        for way in self.WAYS:
            os.sync()
            times[way] = self.run(new_place(), way)['synced_s']
        self.best = min(times, key=times.get)
        return times


def least_seconds(rates, size_bytes, created_s, changed):
    """
    The least time of each phase in seconds, as docs/performance.md states it. size_bytes: of the repository; created_s:
    of the bare program; changed: the statistics of the backup after the change.
    """
    everything = rates['bytes']

    def read_files(count):
        return rates['read_s'] * count / everything

    def phase(cpu_s, disk_s):
        return max(cpu_s, disk_s)

    fresh, stored = changed['bytes_new'], changed['bytes_stored']
    return {
        'full': phase(read_files(everything) + everything / rates['gear'] + everything / rates['hmac'] +
                      everything / rates['zstd'] + size_bytes / rates['gcm'], size_bytes / rates['disk_write']),
        'unchanged': rates['stat_s'],
        'changed': phase(rates['stat_s'] + read_files(changed['bytes_read']) + changed['bytes_read'] / rates['gear'] +
                         changed['bytes_read'] / rates['hmac'] + fresh / rates['zstd'] + stored / rates['gcm'],
                         stored / rates['disk_write']),
        'restore': phase(size_bytes / rates['cached_read'] + size_bytes / rates['gcm'] + everything / rates['unzstd'] +
                         everything / rates['hmac'] + created_s,
                         size_bytes / rates['disk_read'] + everything / rates['disk_write']),
        'verify': phase(size_bytes / rates['cached_read'] + size_bytes / rates['gcm'] + everything / rates['unzstd'] +
                        everything / rates['hmac'], 0),
    }
