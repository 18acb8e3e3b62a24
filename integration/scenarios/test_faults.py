"""Storage faults on the real command: each kind of fault at a sample of the calls that each operation makes. The full
sweep is integration/torture faults."""
import os

from base import Scenario, main
from lab.sweep import Sweep

SAMPLE = int(os.environ.get('ORCHESTRATE_TORTURE_SAMPLE', '8'))
SEED = int(os.environ.get('ORCHESTRATE_TORTURE_SEED', '1'))


class Faults(Scenario):
    def sweep(self, operation):
        system, _ = self.prepared(('settings', 'uploads', 'kb', 'hot'), 20, key_file=True)
        sweep = Sweep(system, SEED)
        for rule in sweep.sample(operation, SAMPLE):
            with self.subTest(rule=rule):
                sweep.attempt(operation, rule)
        self.assertGreater(sweep.count['failed'], SAMPLE // 4, sweep.count)

    def test_backup(self):
        self.sweep('backup')

    def test_incremental_backup(self):
        self.sweep('incremental')

    def test_restore(self):
        self.sweep('restore')

    def test_verify(self):
        self.sweep('verify')

    def test_prune(self):
        self.sweep('prune')

    def test_delete(self):
        self.sweep('delete')


if __name__ == '__main__':
    main()
