"""memory.py: the peak memory of a command: of all its processes together, 50 times a second.

Counted is what the kernel charges as private (Pss_Anon) and as shared memory (Pss_Shmem): a ring that two processes
share counts once, pages that only stand for a file do not count.
"""
import os
import threading

EVERY_S = 0.02


def _tree(root):
    """The process and all that descend from it, now."""
    pids, found = [root], []
    while pids:
        pid = pids.pop()
        found.append(pid)
        try:
            for task in os.listdir('/proc/%d/task' % pid):
                with open('/proc/%d/task/%s/children' % (pid, task)) as file:
                    pids += [int(word) for word in file.read().split()]
        except OSError:
            pass  # it has ended meanwhile
    return found


def _bytes_of(pid):
    total = 0
    try:
        with open('/proc/%d/smaps_rollup' % pid) as file:
            for line in file:
                if line.startswith(('Pss_Anon:', 'Pss_Shmem:')):
                    total += int(line.split()[1]) * 1024
    except OSError:
        pass  # it has ended
    return total


class Sampler(threading.Thread):
    """Started with a process, stopped when that has ended; `peak` is in bytes."""

    def __init__(self, root):
        super().__init__(daemon=True)
        self.root, self.peak, self.samples = root, 0, 0
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(EVERY_S):
            self.peak = max(self.peak, sum(_bytes_of(pid) for pid in _tree(self.root)))
            self.samples += 1

    def stop(self):
        self.over.set()
        self.join()
        return self.peak
