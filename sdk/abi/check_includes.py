#!/usr/bin/env python3
"""Checks that plugins see nothing of this project but the SDK.

check_includes.py ROOT FOLDER...: every #include in a source below FOLDER (a plugin, or plugins that
share sources) must be a header of the system, of the SDK's public include folders, or of that folder.
"""
import os
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
SOURCES = ('.c', '.h', '.cc', '.cpp', '.hpp', '.cxx')


def public_headers(root):
    """What `#include <orchestrate/...>` may name."""
    found = set()
    for folder, _, files in os.walk(os.path.join(root, 'sdk')):
        if os.path.basename(folder) == 'orchestrate':
            found.update('orchestrate/' + name for name in files if name.endswith('.h'))
    return found


def private_headers(root):
    """Names by which a header of the core could be included."""
    found = set()
    core = os.path.join(root, 'core')
    for folder, _, files in os.walk(core):
        for name in files:
            if name.endswith('.h'):
                path = os.path.relpath(os.path.join(folder, name), core)
                found.update({path, 'core/' + path})
    return found


def complaint(root, plugin, path, kind, name, public, private):
    if name.startswith('orchestrate/'):
        return None if name in public else 'is no header of the SDK'
    if kind == '<':
        return 'belongs to the core' if name in private else None
    # In quotes: beside the file, or anywhere in the plugin's own folder.
    for base in (os.path.dirname(path), plugin):
        target = os.path.realpath(os.path.join(base, name))
        if os.path.exists(target):
            inside = target.startswith(os.path.realpath(plugin) + os.sep)
            return None if inside else 'lies outside the plugin'
    return 'is not in the plugin\'s folder'


def check_plugin(root, plugin, public, private):
    bad = 0
    files = 0
    for folder, _, names in os.walk(plugin):
        for name in sorted(names):
            if not name.endswith(SOURCES):
                continue
            files += 1
            path = os.path.join(folder, name)
            with open(path, encoding='utf-8', errors='replace') as source:
                text = source.read()
            for kind, included in INCLUDE.findall(text):
                why = complaint(root, plugin, path, kind, included, public, private)
                if why:
                    print(f'{os.path.relpath(path, root)}: {included} {why}')
                    bad += 1
    return files, bad


def main():
    root = os.path.realpath(sys.argv[1])
    public, private = public_headers(root), private_headers(root)
    if 'orchestrate/plugin.h' not in public or 'base/buffer.h' not in private:
        print('check_includes: this is not the root of the project:', root)
        return 2
    files = bad = 0
    for plugin in sys.argv[2:]:
        one, wrong = check_plugin(root, os.path.join(root, plugin), public, private)
        files += one
        bad += wrong
    print(f'{files} files in {len(sys.argv) - 2} folders, {bad} includes that may not be')
    return 1 if bad or files == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
