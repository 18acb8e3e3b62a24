#!/usr/bin/env python3
"""test_includes.py CHECKER: the checker of includes finds what it is there to find."""
import os
import subprocess
import sys
import tempfile

CASES = [
    ('#include <stdio.h>\n', 0),
    ('#include <orchestrate/plugin.h>\n', 0),
    ('#include "own.h"\n', 0),
    ('#include "sub/own.h"\n', 0),
    ('#include "base/buffer.h"\n', 1),
    ('#include <base/buffer.h>\n', 1),
    ('#include <core/base/buffer.h>\n', 1),
    ('#include "../../core/base/buffer.h"\n', 1),
    ('  #  include   "../../core/base/buffer.h"\n', 1),
    ('#include "../other/other.h"\n', 1),
    ('#include <orchestrate/secret.h>\n', 1),
    ('#include "orchestrate/harness.h"\n', 1),
    ('#include "missing.h"\n', 1),
]


def write(root, path, text=''):
    path = os.path.join(root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as out:
        out.write(text)


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as root:
        for path in ('sdk/include/orchestrate/plugin.h', 'core/base/buffer.h',
                     'plugins/other/other.h', 'plugins/one/own.h', 'plugins/one/sub/own.h'):
            write(root, path)
        for text, expected in CASES:
            write(root, 'plugins/one/one.c', text)
            run = subprocess.run([sys.executable, sys.argv[1], root, 'plugins/one'],
                                 stdout=subprocess.PIPE, text=True, check=False)
            if run.returncode != expected:
                print(f'{text.strip()}: exit {run.returncode}, not {expected}\n{run.stdout}')
                failed += 1
        empty = subprocess.run([sys.executable, sys.argv[1], root, 'plugins/none'],
                               stdout=subprocess.DEVNULL, check=False)
        failed += empty.returncode == 0
    print(f'{len(CASES) + 1 - failed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
