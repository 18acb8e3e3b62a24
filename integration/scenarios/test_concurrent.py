"""Many hosts on one repository at once: ten that back up, two that prune, one that reads; some die, some sleep longer
than their lease lives, and their clocks are up to an hour apart. integration/torture crowd SECONDS is the whole of it."""
import os
import shutil
import tempfile

from base import KEEP, Scenario, main
from lab.crowd import Crowd

SECONDS = int(os.environ.get('ORCHESTRATE_CROWD_SECONDS', '25'))
SEED = int(os.environ.get('ORCHESTRATE_TORTURE_SEED', '1'))
RUNS_ALONE = True  # leases are short: beside other work they would be lost


class Concurrent(Scenario):
    def test_crowd(self):
        folder = tempfile.mkdtemp(prefix='orchestrate-test-')
        if not KEEP:
            self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        crowd = Crowd(folder, 'the passphrase of the crowd\n', SEED)
        crowd.run(SECONDS)
        print(crowd.summary())
        worked = crowd.worked  # before the calm end
        self.assertGreaterEqual(worked['backups completed'], len(crowd.hosts))
        self.assertGreater(worked['prunes completed'] + worked['prunes marked'], 0)
        self.assertGreater(worked['sets removed'] + worked['packs removed'], 0)
        self.assertGreater(sum(n for what, n in worked.items() if what.endswith('beside it')), 0)


if __name__ == '__main__':
    main()
