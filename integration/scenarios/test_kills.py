"""kill -9 at random moments of every operation, with a power loss behind each: a sample; integration/torture kills N
is the whole of it."""
import os

from base import Scenario, main
from lab.rounds import Rounds

ROUNDS = int(os.environ.get('ORCHESTRATE_TORTURE_ROUNDS', '40'))
SEED = int(os.environ.get('ORCHESTRATE_TORTURE_SEED', '1'))


class Kills(Scenario):
    def test_killed_at_random_moments(self):
        system, _ = self.prepared(('settings', 'uploads', 'hot'), 20, key_file=True)
        rounds = Rounds(system, SEED)
        for number in range(ROUNDS):
            rounds.round(number)
        print(rounds.summary())
        self.assertGreater(sum(rounds.victims.values()), ROUNDS // 2)
        self.assertGreater(len(rounds.phases), ROUNDS // 8)
        if ROUNDS >= 40:
            self.assertEqual({'main', 'group', 'worker'}, set(rounds.victims))


if __name__ == '__main__':
    main()
