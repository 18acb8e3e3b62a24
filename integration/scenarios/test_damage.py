"""One byte flipped at 200 places spread over every file of a repository: each is reported by verify with
what it hurts, and a restore never delivers wrong bytes."""
import os
import random
import shutil

from base import Scenario, main

PLACES = 200


class Damage(Scenario):
    def files(self, repository):
        found = []
        for folder, _, names in os.walk(repository):
            found += [os.path.join(folder, n) for n in names if os.path.getsize(os.path.join(folder, n)) > 0]
        return sorted(found)

    def places(self, repository):
        """Every region: first, last and random bytes of each kind of file, then random ones over all."""
        rng = random.Random(42)
        kinds = {}
        for path in self.files(repository):
            kinds.setdefault(os.path.relpath(path, repository).split('/')[0], []).append(path)
        chosen = []
        for paths in kinds.values():
            for path in rng.sample(paths, min(3, len(paths))):
                size = os.path.getsize(path)
                chosen += [(path, o) for o in {0, 1, 9, 17, size // 2, size - 1, size - 2, size - 30} if 0 <= o < size]
            while len([c for c in chosen if c[0] in paths]) < PLACES // len(kinds) + 1:
                path = rng.choice(paths)
                chosen.append((path, rng.randrange(os.path.getsize(path))))
        rng.shuffle(chosen)
        return chosen

    def flip(self, path, offset, mask):
        with open(path, 'r+b') as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ mask]))

    def test_every_flip_is_found(self):
        system, before = self.prepared(('settings', 'uploads', 'kb'), 120, key_file=True)
        repository = system.path('repository')
        for leftover in ('leases', 'tmp'):  # not part of any set; empty when nobody is at work
            self.assertEqual([], self.files(os.path.join(repository, leftover)))
        places = self.places(repository)
        self.assertGreaterEqual(len(places), PLACES)
        kinds = {os.path.relpath(p, repository).split('/')[0] for p, _ in places}
        self.assertTrue({'config', 'packs', 'index', 'parts', 'sets', 'runs'} <= kinds, kinds)
        rng = random.Random(1)
        hurt_named = 0
        for path, offset in places:
            name = os.path.relpath(path, repository)
            with self.subTest(file=name, offset=offset):
                mask = 1 << rng.randrange(8)
                offset = min(offset, os.path.getsize(path) - 1)  # a proof is written anew by each verification
                self.flip(path, offset, mask)
                with open(path, 'rb') as file:
                    flipped = file.read()
                result = system.command.run('--json', 'verify', '--level', 'data')
                with open(path, 'rb') as file:
                    replaced = file.read() != flipped
                if not replaced:
                    self.flip(path, offset, mask)
                self.assertIn(result.code, (1, 2, 4), str(result))
                text = result.out + result.err
                self.assertTrue(name in text or name == 'config' and 'config' in text, text)
                if name.startswith(('packs/', 'index/', 'parts/', 'sets/')):
                    hurt_named += '"component"' in result.out and '"set"' in result.out
        self.assertGreater(hurt_named, 0)
        self.expect(0, system.command.run('verify', '--level', 'data'))

    def test_status_tells_of_damage(self):
        """A set that was found hurt is not the newest good one, and a quick look does not make it good again."""
        system, _ = self.prepared(('settings',), 40)
        self.expect(0, system.command.run('status'), 'All is well')
        packs = [p for p in self.files(system.path('repository')) if '/packs/' in p]
        for path in packs:
            self.flip(path, os.path.getsize(path) // 2, 0x10)
        self.expect(1, system.command.run('verify'))
        self.expect(0, system.command.run('verify', '--level', 'manifest'))
        self.expect(1, system.command.run('status'), 'DAMAGED', 'settings is in no set without damage')
        self.expect(4, system.command.run('restore', 'latest', '--dry-run'), 'was found damaged')
        for path in packs:
            self.flip(path, os.path.getsize(path) // 2, 0x10)
        self.expect(0, system.command.run('verify'))
        self.expect(0, system.command.run('status'), 'All is well')

    def test_damage_elsewhere_does_not_stop_a_recovery(self):
        """Of three sets one manifest is damaged and the packs of another are gone: the third comes back."""
        system, before = self.prepared(('settings', 'uploads'), 40)
        good = os.listdir(system.path('repository/sets'))[0].split('.')[0]
        packs = {p for p in self.files(system.path('repository')) if '/packs/' in p}
        system.write('uploads/later.bin', os.urandom(3000).hex())
        self.expect(0, system.command.run('backup', 'uploads'))
        lost = {p for p in self.files(system.path('repository')) if '/packs/' in p} - packs
        self.assertTrue(lost)
        for path in lost:
            os.unlink(path)
        self.expect(4, system.command.run('restore', 'latest', 'uploads', '--yes'), 'is missing from the repository')
        os.unlink(system.path('uploads/later.bin'))
        there = set(self.files(system.path('repository/sets')))
        self.expect(0, system.command.run('backup', 'settings'), 'damage elsewhere')
        newest, = set(self.files(system.path('repository/sets'))) - there
        self.flip(newest, 100, 0x10)
        # "latest" for all is a set that holds all; it must not quietly be older than a damaged one
        self.expect(4, system.command.run('restore', 'latest', '--yes'), os.path.basename(newest).split('.')[0], good)
        system.wipe()
        self.expect(0, system.command.run('restore', good, '--yes'), 'missing')
        self.assertEqual(before, system.digests())
        self.expect(1, system.command.run('verify'), os.path.basename(newest))

    def test_restore_never_delivers_wrong_bytes(self):
        system, before = self.prepared(('settings', 'uploads', 'kb'), 120)
        repository = system.path('repository')
        rng = random.Random(3)
        copy = system.path('repository-whole')
        shutil.copytree(repository, copy)
        packs = [p for p in self.files(repository) if '/packs/' in p]
        refused = 0
        for _ in range(12):
            path = rng.choice(packs)
            self.flip(path, rng.randrange(os.path.getsize(path)), 0x10)
            result = system.command.run('restore', 'latest', '--yes', '--restart')
            if result.code == 0:
                self.assertEqual(before, system.digests())  # the flip hit nothing that was needed
            else:
                refused += 1
                self.assertIn(result.code, (1, 3, 4), str(result))
                self.assertEqual(before, system.digests())  # what was there is still there
            shutil.rmtree(repository)
            shutil.copytree(copy, repository)
        self.assertGreater(refused, 0)


if __name__ == '__main__':
    main()
