#!/usr/bin/python3
"""orchestrate_reader.py: lists, extracts and checks what is in a repository, without orchestrate.

It changes nothing in the repository and takes no lease: let no prune run meanwhile. See README.md.
"""
import argparse
import base64
import getpass
import hashlib
import itertools
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from repository import (CONTROL, HASH, ID, MANIFEST, MIB, PACK_NAME, Content, Index, Pack, Refused, Repository,  # noqa: E402
                        need)


def warn(error):
    print('warning: %s' % error, file=sys.stderr)


def escape(name):
    """Printable, on one line, and without loss."""
    return ''.join(c if c.isprintable() and c != '\\' else ''.join('\\x%02x' % b for b in c.encode('utf-8', 'surrogateescape'))
                   for c in name.decode('utf-8', 'surrogateescape'))


def find_set(repository, word):
    sets = repository.sets(warn)
    if word == 'latest':
        found = [s for s in sets if s['state'] == 'completed'][-1:]
    else:
        found = [s for s in sets if s['name'] == word] or [s for s in sets if s['id'].startswith(word)]
    if len(found) != 1:
        raise LookupError('%s sets are called %s' % (len(found) or 'no', word))
    return found[0]


def copy(content, item, file, sparse):
    """One object into a file; a hole is skipped where the file can have holes."""
    for piece, length in content.read(item.refs, item.size, escape(item.name)):
        if piece is not None:
            file.write(piece)
        elif sparse:
            file.seek(length, os.SEEK_CUR)
        else:
            for at in range(0, length, MIB):
                file.write(bytes(min(MIB, length - at)))
    if sparse:
        file.truncate()


def copy_to(content, item, path):
    """One object into a new file, which does not stay when it cannot be had whole."""
    with open(path, 'xb') as file:
        try:
            copy(content, item, file, True)
        except BaseException:
            os.unlink(path)
            raise


def below(folder, name):
    """A path for an object's name that never leaves the folder."""
    safe = [b'%2E' * len(e) if e in (b'.', b'..') else e.replace(b'\0', b'%00') for e in name.split(b'/') if e]
    return os.path.join(os.fsencode(folder), *(safe or [b'%2F']))


def extract(content, folder):
    """Every object that is a file, or has content, as a file of its own. The folder must be new."""
    os.mkdir(folder, 0o700)
    for item in content.objects():
        if item.flags & 2 or item.size:
            path = below(folder, item.name)
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            copy_to(content, item, path)


def record_line(content, record):
    """A line of JSON for one record; bytes in base64."""
    line = {'type': record.type, 'space': record.space, 'key': base64.b64encode(content.bytes(record.key)).decode(),
            'value': base64.b64encode(content.bytes(record.value)).decode()}
    if record.expiry is not None:
        line['expires_ms'] = record.expiry
    if record.extra is not None:
        line['extra'] = base64.b64encode(record.extra).decode()
    return json.dumps(line)


class Check:
    """Opens every file of a repository and reads all that its sets refer to."""

    def __init__(self, repository):
        self.repository, self.errors = repository, 0

    def damaged(self, error):
        self.errors += 1
        print('DAMAGED %s' % error)

    def attempt(self, call, *arguments):
        try:
            return call(*arguments)
        except (Refused, OSError) as error:
            self.damaged(error)
            return None

    def run(self):
        names = self.repository.store.list
        for name in names('parts', ID):
            self.attempt(self.repository.document, name, MANIFEST)
        for name in itertools.chain.from_iterable(names(f, ID) for f in ('leases', 'marks', 'lapsed', 'proofs')):
            self.attempt(self.repository.document, name, CONTROL)
        for run in sorted({name.split('/')[1] for name in names('runs', ID + r'/[1-9]\d*')}):
            self.attempt(self.events, run)
        for name in names('packs', PACK_NAME):
            self.attempt(self.pack, bytes.fromhex(name[9:]))
        index = self.attempt(Index, self.repository)
        sets = self.attempt(self.repository.sets, self.damaged) or []
        for fields, item in ((s, i) for s in sets for i in s['components'] if i['good'] and index):
            counts = self.attempt(self.component, index, item)
            if counts:
                print('good %s %s: %d objects, %d records' % ((fields['name'], item['name']) + counts))
        print('%d sets, %d chunks, %d errors' % (len(sets), len(index.places) if index else 0, self.errors))
        return 1 if self.errors else 0

    def events(self, run):
        """A run's events are a chain."""
        names, previous = self.repository.store.list('runs/' + run, r'[1-9]\d*'), ''
        for number in range(1, len(names) + 1):
            name = 'runs/%s/%d' % (run, number)
            need(name in names, name, 'it is missing')
            self.repository.document(name, CONTROL, run_id=run, number=number, previous=previous)
            previous = hashlib.sha256(self.repository.store.read(name, 257 * MIB)).hexdigest()

    def pack(self, pack_id):
        pack = Pack(self.repository, pack_id)
        with pack.file:
            for number, frame in enumerate(pack.frames):
                plain, at = pack.frame(number), 0
                for chunk, length in frame.chunks:
                    pack.chunk(plain[at:at + length], chunk)
                    at += length

    def component(self, index, item):
        return Content(index, self.repository.part(item)).check()


def first_line(path):
    with open(path, 'rb') as file:
        return file.read(MIB).split(b'\n')[0].rstrip(b'\r')


def open_repository(arguments):
    if arguments.key_file:
        key = first_line(arguments.key_file)
        need(re.fullmatch(HASH.encode(), key), arguments.key_file, 'not 64 hexadecimal digits')
        return Repository(arguments.repository, key=bytes.fromhex(key.decode()))
    if arguments.passphrase_file:
        return Repository(arguments.repository, first_line(arguments.passphrase_file))
    if arguments.ask:
        return Repository(arguments.repository, getpass.getpass('Passphrase: ').encode('utf-8', 'surrogateescape'))
    return Repository(arguments.repository)


def list_sets(repository):
    for fields in repository.sets(warn):
        print(fields['name'], fields['id'], fields['state'],
              ' '.join(c['name'] if c['good'] else c['name'] + '(failed)' for c in fields['components']))


def show(repository, fields):
    parts = {item['name']: repository.part(item) for item in fields['components'] if item['good']}
    print(json.dumps(dict(fields, parts=parts), indent=2, sort_keys=True))


def cat(content, name, output):
    item = next((i for i in content.objects(name) if i.name == name), None)
    if item is None:
        raise LookupError('the component has no object of this name')
    if output is None:
        copy(content, item, sys.stdout.buffer, False)
    else:
        copy_to(content, item, output)


def run(arguments):
    repository = open_repository(arguments)
    if arguments.command == 'check':
        return Check(repository).run()
    if arguments.command == 'sets':
        return list_sets(repository)
    fields = find_set(repository, arguments.set)
    if arguments.command == 'show':
        return show(repository, fields)
    item = next((c for c in fields['components'] if c['good'] and c['name'] == arguments.component), None)
    if item is None:
        raise LookupError('set %s holds no good component %s' % (fields['name'], arguments.component))
    content = Content(Index(repository, arguments.without_index), repository.part(item))
    if arguments.command == 'objects':
        for found in content.objects():
            print(chr(found.kind), found.size, found.mtime, escape(found.name))
    elif arguments.command == 'records':
        for record in content.records():
            print(record_line(content, record))
    elif arguments.command == 'extract':
        extract(content, arguments.folder)
    else:
        cat(content, os.fsencode(arguments.name), arguments.output)
    return 0


def options():
    parser = argparse.ArgumentParser(description='Reads a repository of orchestrate by docs/repository-format.md.')
    parser.add_argument('repository', help='its folder')
    unlock = parser.add_mutually_exclusive_group()
    unlock.add_argument('--passphrase-file', metavar='FILE', help='the passphrase is its first line')
    unlock.add_argument('--key-file', metavar='FILE', help='64 hexadecimal digits')
    unlock.add_argument('--ask', action='store_true', help='ask for the passphrase')
    parser.add_argument('--without-index', action='store_true', help='find chunks by the footers of all packs')
    commands = parser.add_subparsers(dest='command', required=True)
    commands.add_parser('sets', help='the sets, oldest first, and their components')
    commands.add_parser('check', help='reads and checks everything')
    for name, words, text in (('show', '', 'one set whole, with its parts, as JSON'),
                              ('objects', 'component', 'kind, size, mtime and name of a component\'s objects'),
                              ('cat', 'component name', 'one object to standard output or a file'),
                              ('extract', 'component folder', 'all objects of a component into a new folder'),
                              ('records', 'component', 'all records, a line of JSON each')):
        command = commands.add_parser(name, help=text)
        command.add_argument('set', help='a name, the beginning of an id, or "latest"')
        for word in words.split():
            command.add_argument(word)
        if name == 'cat':
            command.add_argument('-o', dest='output', metavar='FILE', help='a new file, with holes where it had some')
    return parser.parse_args()


def main():
    try:
        code = run(options()) or 0
        sys.stdout.flush()
        return code
    except (Refused, LookupError, OSError) as error:
        print('orchestrate_reader: %s' % error, file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
