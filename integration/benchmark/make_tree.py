"""make_tree.py DEST SCALE: about 85,000 * SCALE files and 2 GiB * SCALE: half in small files of text, markup and
code-like binaries, a quarter in two random files, a quarter in two logs. The same bytes for the same scale."""
import os
import random
import sys
import time

MATERIAL = 48 << 20


def material(rng):
    """Text-like, markup-like and binary-like material that compresses about as a system's files do."""
    words = [''.join(rng.choices('etaoinshrdlucmfwypvbgkjqxz', weights=range(26, 0, -1), k=rng.randint(2, 11)))
             for _ in range(6000)]
    weights = [1 / (i + 3) for i in range(len(words))]
    text = []
    size = 0
    while size < MATERIAL * 2 // 3:
        line = ' '.join(rng.choices(words, weights, k=2000))
        text.append('\n<section id="%d">\n' % size + line.replace(' the ', '.\n    '))
        size += len(text[-1])
    binary = bytearray()
    while len(binary) < MATERIAL // 3:
        block = rng.randbytes(48)
        binary += block + bytes(rng.randrange(40)) + block[:rng.randrange(48)] + rng.randbytes(16)
    return ''.join(text).encode(), bytes(binary)


def write(path, data):
    with open(path, 'wb') as file:
        file.write(data)


def small_files(dest, scale, rng):
    text, binary = material(rng)
    count, total = 0, 0
    wanted = int(scale * 85000)
    folders = max(1, wanted // 12)
    for folder in range(folders):
        path = os.path.join(dest, 'small', '%02d' % (folder % 60), 'pack-%d' % (folder // 60 % 90), 'd%d' % folder)
        os.makedirs(path)
        for n in range(wanted // folders + (folder < wanted % folders)):
            size = min(4 << 20, int(rng.lognormvariate(8.2, 1.55)))
            source = text if rng.random() < 0.75 else binary
            start = rng.randrange(max(1, len(source) - size))
            write(os.path.join(path, 'file-%d.%s' % (n, rng.choice(('txt', 'html', 'so', 'h', 'py')))),
                  source[start:start + size])
            count, total = count + 1, total + size
    return count, total


def large_files(dest, scale, rng):
    os.makedirs(os.path.join(dest, 'large'))
    each = int(scale * (256 << 20))
    words = ['GET', 'POST', '/api/v1/documents', '/api/v1/search', 'ok', 'cache miss', 'timeout', 'user', 'vector']
    for i in (1, 2):
        with open(os.path.join(dest, 'large', 'random%d.bin' % i), 'wb') as file:
            for _ in range(each >> 20):
                file.write(rng.randbytes(1 << 20))
        with open(os.path.join(dest, 'large', 'log%d.jsonl' % i), 'wb') as file:
            written = 0
            while written < each:
                lines = ''.join('{"time": %d.%06d, "level": "info", "request": "%032x", "what": "%s %s", "ms": %d}\n' % (
                    1700000000 + written // 1000 + k, rng.randrange(1000000), rng.getrandbits(128), rng.choice(words),
                    rng.choice(words), rng.randrange(900)) for k in range(4000)).encode()
                file.write(lines)
                written += len(lines)


def mutate(dest, seed):
    """Changes 5% of the small files, appends to one log, and overwrites 1 MiB in the middle of a random file."""
    rng = random.Random(seed)
    paths = []
    for folder, folders, files in os.walk(os.path.join(dest, 'small')):
        folders.sort()
        paths += [os.path.join(folder, n) for n in sorted(files)]
    for path in rng.sample(paths, len(paths) // 20):
        with open(path, 'r+b') as file:
            file.write(rng.randbytes(64))
    with open(os.path.join(dest, 'large', 'log1.jsonl'), 'ab') as file:
        file.write(b'{"appended": true}\n' * 50000)
    with open(os.path.join(dest, 'large', 'random1.bin'), 'r+b') as file:
        file.seek(os.path.getsize(file.name) // 2)
        file.write(rng.randbytes(1 << 20))


if __name__ == '__main__':
    start = time.monotonic()
    numbers = random.Random(20260131)
    files, size = small_files(sys.argv[1], float(sys.argv[2]), numbers)
    large_files(sys.argv[1], float(sys.argv[2]), numbers)
    print('%d small files, %.0f MB; made in %.0f s' % (files, size / 1e6, time.monotonic() - start), file=sys.stderr)
