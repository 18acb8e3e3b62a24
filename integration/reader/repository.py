"""repository.py: the repository format of orchestrate, read with nothing of orchestrate's own code.

Written from docs/repository-format.md alone, as the proof that the document is true. What the document tells a reader to
check is checked here; the sections have the document's order. Needs python3-cryptography and python3-zstandard.
"""
import collections
import hashlib
import hmac
import json
import os
import re
import stat
import struct
import zlib

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KIB, MIB = 1 << 10, 1 << 20
ID, HASH = '[0-9a-f]{32}', '[0-9a-f]{64}'
ELEMENT = re.compile(r'(?!\.\.?\Z)[a-z0-9_.-]{1,128}\Z')
PACK_NAME = r'([0-9a-f]{2})/\1[0-9a-f]{30}'
MANIFEST, CONTROL = 1, 2  # purposes of documents
CHUNK_MAX, FRAME_MAX, FOOTER_MAX, SEGMENT_MAX, TEXT_MAX = 3 * MIB // 2, 2 * MIB, 16 * MIB, 256 * MIB, 256 * MIB


class Refused(Exception):
    """What was read is damaged, hostile, or newer than this program."""


def need(truth, what, *why):
    if not truth:
        raise Refused('%s: %s' % (what, ''.join(str(w) for w in why)))


class Cursor:
    """Takes a run of bytes apart, and never reads past its end."""

    def __init__(self, data, what):
        self.data, self.at, self.what = data, 0, what

    def take(self, count):
        need(count <= len(self.data) - self.at, self.what, 'it ends too early')
        self.at += count
        return self.data[self.at - count:self.at]

    def unpack(self, form):
        return struct.unpack('<' + form, self.take(struct.calcsize('<' + form)))

    def varint(self, most=(1 << 64) - 1):
        value = 0
        for i in range(10):
            byte = self.take(1)[0]
            value |= (byte & 127) << 7 * i
            if byte < 128:
                need((byte or not i) and value <= most, self.what, 'a number is out of bounds')
                return value
        raise Refused(self.what + ': a number has no end')

    def zigzag(self):
        n = self.varint()
        return -(n >> 1) - 1 if n & 1 else n >> 1

    def bytes(self, most):
        return self.take(self.varint(most))

    def end(self):
        need(self.at == len(self.data), self.what, 'bytes are left over')


# ---- files ----

class Store:
    """A repository in a directory."""

    def __init__(self, folder):
        self.folder = folder

    def open(self, name):
        """(file, size)"""
        fd = os.open(os.path.join(self.folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        file, st = os.fdopen(fd, 'rb'), os.fstat(fd)
        need(stat.S_ISREG(st.st_mode), name, 'not a file')
        return file, st.st_size

    def read(self, name, limit):
        file, size = self.open(name)
        with file:
            need(size <= limit, name, 'larger than any may be')
            data = file.read(limit + 1)
        need(len(data) == size, name, 'it changed while it was read')
        return data

    def list(self, prefix, form):
        """The names below prefix/ that follow `form`; others belong to somebody else."""
        found = []
        for folder, folders, files in os.walk(os.path.join(self.folder, prefix)):
            folders[:] = [f for f in folders if ELEMENT.match(f)]
            found += [os.path.relpath(os.path.join(folder, f), self.folder) for f in files if ELEMENT.match(f)]
        return sorted(name for name in found if re.fullmatch(form, name[len(prefix) + 1:]))


# ---- sealing and keys ----

def unseal(algorithm, key, nonce, ad, sealed, what):
    need(len(sealed) >= 16, what, 'too short for a seal')
    if algorithm == 1:
        try:
            return AESGCM(key).decrypt(nonce, sealed, ad)
        except InvalidTag:
            raise Refused(what + ': its seal does not open: it is damaged, or not what its name says') from None
    tag = hashlib.sha256(key + struct.pack('<Q', len(ad)) + ad + sealed[:-16]).digest()[:16]
    need(hmac.compare_digest(tag, sealed[-16:]), what, 'its checksum is wrong: it is damaged, or not what its name says')
    return sealed[:-16]


def derive(key, salt, label):
    """HKDF-SHA-256 (RFC 5869) for 32 bytes."""
    return hmac.digest(hmac.digest(salt, key, 'sha256'), label.encode() + b'\1', 'sha256')


class Keys:
    def __init__(self, master, repository):
        self.chunk_id, self.gear, self.index, self.data, self.manifest, self.control = (
            derive(master, repository.encode(), 'orchestrate 1 ' + purpose)
            for purpose in ('chunk-id', 'gear', 'index', 'data', 'manifest', 'control'))


def unwrap(slot, encrypted, passphrase, key, repository):
    """The master key in one slot; None when it is not for what we have, or does not open."""
    kind, what = slot.get('type'), 'config, a key slot'
    if kind == 'clear' and not encrypted:
        return bytes.fromhex(text(slot, 'key', what, HASH))
    if not encrypted or (passphrase if kind == 'scrypt' else key if kind == 'keyfile' else None) is None:
        return None
    salt, nonce, wrapped = (bytes.fromhex(text(slot, name, what, '[0-9a-f]{%d}' % digits))
                            for name, digits in (('salt', 64), ('nonce', 24), ('wrapped', 96)))
    log_n = r = p = 0
    if kind == 'scrypt':
        log_n, r, p = integer(slot, 'log_n', what, 20), integer(slot, 'r', what, 32), integer(slot, 'p', what, 16)
        need(log_n and r and p and 128 * r << log_n <= 1 << 30, what, 'it asks scrypt for too much or nothing')
        wrapping = hashlib.scrypt(passphrase, salt=salt, n=1 << log_n, r=r, p=p, dklen=32, maxmem=(1 << 30) + 64 * MIB)
    else:
        wrapping = derive(Keys(key, repository).control, salt, 'key file slot')
    ad = 'orchestrate key slot 1 %s %d %d %d %s' % (kind, log_n, r, p, repository)
    try:
        return unseal(1, wrapping, nonce, ad.encode(), wrapped, what)
    except Refused:
        return None


# ---- config and sealed documents ----

def integer(fields, name, what, most=(1 << 63) - 1):
    value = fields.get(name)
    need(type(value) is int and 0 <= value <= most, what, 'no proper ', name)
    return value


TEXT_LIMITS = {'label': 127, 'host': 255, 'source_identity': 255, 'error': 1023}  # in bytes; else 63


def text(fields, name, what, form=None):
    value = fields.get(name)
    need(isinstance(value, str) and (re.fullmatch(form, value) if form else
                                     len(value.encode('utf-8', 'replace')) <= TEXT_LIMITS.get(name, 63)), what, 'no proper ', name)
    return value


def array(fields, name, what, most):
    value = fields.get(name)
    need(isinstance(value, list) and len(value) <= most, what, 'no proper ', name)
    return value


def ids(fields, name, what):
    """The ids that one text holds, 32 digits each."""
    digits = text(fields, name, what, '(%s)*' % ID)
    return {digits[i:i + 32] for i in range(0, len(digits), 32)}


def parse_object(data, what):
    def no_duplicates(pairs):
        need(len({name for name, _ in pairs}) == len(pairs), what, 'a name stands twice in one object')
        return dict(pairs)
    try:
        value = json.loads(data.decode(), object_pairs_hook=no_duplicates)
    except (ValueError, RecursionError) as error:
        raise Refused('%s: not JSON: %s' % (what, error)) from error
    need(isinstance(value, dict), what, 'not a JSON object')
    return value


def unzstd(data, limit, what):
    """One zstd frame that states its content size, and nothing behind it."""
    try:
        size = zstandard.frame_content_size(data)
        need(0 <= size <= limit, what, 'a zstd frame of ', size, ' bytes')
        run = zstandard.ZstdDecompressor().decompressobj()
        plain = run.decompress(data)
    except zstandard.ZstdError as error:
        raise Refused('%s: %s' % (what, error)) from error
    need(run.eof and not run.unused_data and len(plain) == size, what, 'not one whole zstd frame')
    return plain


def gunzip(data, limit, what):
    run = zlib.decompressobj(31)
    try:
        plain = run.decompress(data, limit + 1)
    except zlib.error as error:
        raise Refused('%s: %s' % (what, error)) from error
    need(run.eof and not run.unused_data, what, 'not one whole gzip stream')
    return plain


class Repository:
    """Opened by passphrase (bytes) or key (32 bytes); neither for one without encryption."""

    def __init__(self, folder, passphrase=None, key=None):
        self.store = Store(folder)
        data = self.store.read('config', 256 * KIB)
        start, middle, close = b'"sealed": "', b'",\n  "checksum": "', b'"\n}\n'
        body, checksum = data[:-68], data[-68:-4]
        need(data.endswith(close) and body.endswith(middle) and start in body, 'config', 'it is damaged')
        need(hashlib.sha256(body).hexdigest().encode() == checksum, 'config', 'its checksum is wrong: it is damaged')
        head = body[:body.index(start) + len(start)]
        fields = parse_object(data, 'config')
        need(integer(fields, 'format', 'config') == 1, 'config', 'a format that this program does not know')
        need(integer(fields, 'required_features', 'config') == 0, 'config', 'it needs what this program does not know')
        self.id = text(fields, 'id', 'config', ID)
        self.algorithm = 1 if text(fields, 'encryption', 'config', 'aes-256-gcm|none') == 'aes-256-gcm' else 0
        masters = (unwrap(slot, self.algorithm, passphrase, key, self.id)
                   for slot in array(fields, 'key_slots', 'config', 8) if isinstance(slot, dict))
        master = next((m for m in masters if m is not None), None)
        need(master is not None, 'config', 'no key slot opens: a wrong passphrase or key, or none was given')
        self.keys = Keys(master, self.id)
        self.check_copy(fields, head, body[len(head):-len(middle)])

    def check_copy(self, fields, head, sealed):
        """The sealed copy is the authority: what stands in the clear must be equal to it."""
        need(re.fullmatch(b'([0-9a-f]{2}){48,}', sealed), 'config', 'no proper sealed copy')
        sealed = bytes.fromhex(sealed.decode())
        copy = parse_object(unseal(self.algorithm, derive(self.keys.control, sealed[:32], 'config copy'), bytes(12),
                                   self.id.encode(), sealed[32:], 'config'), 'config')
        plain = {k: v for k, v in fields.items() if k not in ('sealed', 'checksum')}
        plain['head_sha256'] = hashlib.sha256(head).hexdigest()
        need(copy == plain, 'config', 'it differs from its sealed copy: somebody changed it')

    def document(self, name, purpose, /, **same):
        """A sealed document; `same` are fields with the values that they must have."""
        data = self.store.read(name, TEXT_MAX + MIB)
        magic, version, stated, algorithm, zero, salt = Cursor(data, name).unpack('8s4I32s')
        need(magic == b'ORCHDOC1', name, 'not a sealed document')
        need(version == 1, name, 'version ', version, ' of sealed documents is not known')
        need((stated, algorithm, zero) == (purpose, self.algorithm, 0), name, 'a wrong header')
        subkey = self.keys.manifest if purpose == MANIFEST else self.keys.control
        plain = unseal(algorithm, derive(subkey, salt, name), bytes(12), data[:56] + self.id.encode() + name.encode(),
                       data[56:], name)
        fields = parse_object(unzstd(plain, TEXT_MAX, name), name)
        need(integer(fields, 'document', name) == 1, name, 'version ', fields['document'], ' is not known')
        for field, value in same.items():
            need(fields.get(field) == value, name, 'not what its name says (', field, ')')
        return fields

    # ---- sets and parts ----

    def sets(self, damaged=None):
        """The valid sets, oldest first. sets/ is listed before lapsed/."""
        names = self.store.list('sets', r'\d{8}_\d{6}(-[1-9]\d*)?\.' + ID)
        lapsed = {name[7:] for name in self.store.list('lapsed', ID)}
        found = []
        for name in sorted(names, key=lambda n: (n[5:20], int(n[21:-33] or 1), n[-32:])):
            try:
                fields = self.manifest(name)
                lease = fields.get('lease', '')
                if lease not in lapsed or fields['id'] in ids(
                        self.document('lapsed/' + lease, CONTROL, lease=lease), 'kept', 'lapsed/' + lease):
                    found.append(fields)
            except Refused as error:
                if damaged is None:
                    raise
                damaged(error)
        return found

    def manifest(self, name):
        fields = self.document(name, MANIFEST, name=name[5:-33], id=name[-32:])
        text(fields, 'state', name, 'completed|partial')
        text(fields, 'label', name), text(fields, 'host', name)
        text({'lease': '', **fields}, 'lease', name, '(%s)?' % ID)
        names = set()
        for item in array(fields, 'components', name, 4096):
            need(isinstance(item, dict) and item.get('good') in (True, False), name, 'no proper component')
            text(item, 'part', name, ID if item['good'] else '')
            need(item['good'] or fields['state'] == 'partial', name, 'completed, with a component that failed')
            text(item, 'plugin', name), text(item, 'error', name), array(item, 'depends_on', name, 4096)
            names.add(text(item, 'name', name))
        need(len(names) == len(fields['components']), name, 'a component stands twice')
        return fields

    def part(self, item):
        """The part of a good one of a manifest's components."""
        name = 'parts/' + item['part']
        fields = self.document(name, MANIFEST, id=item['part'], component=item['name'])
        need(isinstance(fields.get('content'), dict), name, 'no proper content')
        text(fields, 'plugin', name), text(fields, 'source_identity', name)
        for layer in array(fields['content'], 'layers', name, 64):
            need(isinstance(layer, dict), name, 'no proper layer')
        return fields


# ---- packs and the index ----

Frame = collections.namedtuple('Frame', 'offset sealed_len plain_len codec chunks')  # chunks: [(id, length)]
Place = collections.namedtuple('Place', 'pack frame offset length')


def pack_table(cursor):
    """(frames, where they end): frames lie side by side from byte 112 on."""
    frames, end = [], 112
    for _ in range(cursor.varint()):
        sealed_len, plain_len, codec = cursor.varint(FRAME_MAX + 16), cursor.varint(FRAME_MAX), cursor.take(1)[0]
        chunks = [(cursor.take(32), cursor.varint(CHUNK_MAX)) for _ in range(cursor.varint(4096))]
        need(sealed_len > 16 and codec <= 2 and chunks and all(n for _, n in chunks), cursor.what, 'a frame that cannot be')
        need(sum(n for _, n in chunks) == plain_len, cursor.what, 'the chunks of a frame do not sum up to it')
        frames.append(Frame(end, sealed_len, plain_len, codec, chunks))
        end += sealed_len
    return frames, end


class Pack:
    """One pack: header, footer and trailer are checked when it is opened, each frame when it is read."""

    def __init__(self, repository, pack_id):
        self.id, self.name = pack_id, 'packs/%s/%s' % (pack_id.hex()[:2], pack_id.hex())
        self.repository, self.algorithm = repository, repository.algorithm
        self.file, self.size = repository.store.open(self.name)
        header = self.file.read(112)
        magic, version, self.kind, algorithm, wrapping, zero, length, own, salt = Cursor(header, self.name).unpack('8sH4BH16s32s')
        need(magic == b'ORCHPACK', self.name, 'not a pack')
        need((version, wrapping) == (1, 1), self.name, 'version ', version, ' with wrapping ', wrapping, ' is not known')
        need(self.kind in (1, 2) and (algorithm, zero, length, own) == (self.algorithm, 0, 48, pack_id), self.name,
             'a wrong header')
        self.key = unseal(algorithm, derive(repository.keys.data, salt, 'pack key'), bytes(12), header[:64], header[64:],
                          self.name)
        self.frames = self.footer(*self.trailer())

    def trailer(self):
        """Where the footer lies and how long it is."""
        need(self.size >= 112 + 16 + 56, self.name, 'too short')
        self.file.seek(self.size - 56)
        data = self.file.read(56)
        magic, version, flags, kind, zero, offset, length, zero2, parity = Cursor(data, self.name).unpack('8sHHB3sQIIQ')
        unseal(self.algorithm, self.key, b'\2' + bytes(11), data[:40], data[40:], self.name)
        need(magic == b'ORCHTAIL' and version == 1 and flags == 0 and parity == 0, self.name, 'a trailer that is not known')
        need(kind == self.kind and not any(zero) and zero2 == 0 and offset >= 112 and length <= FOOTER_MAX and
             offset + length + 56 == self.size, self.name, 'a wrong trailer')
        return offset, length

    def footer(self, offset, length):
        self.file.seek(offset)
        ad = struct.pack('<8s16sBBHQI', b'ORCHFTR1', self.id, self.kind, self.algorithm, 0, offset, length)
        cursor = Cursor(unseal(self.algorithm, self.key, b'\1' + bytes(11), ad, self.file.read(length), self.name), self.name)
        frames, end = pack_table(cursor)
        cursor.end()
        need(end == offset, self.name, 'its footer does not account for every byte')
        return frames

    def frame(self, number):
        """The plain bytes of one frame."""
        frame, what = self.frames[number], '%s, frame %d' % (self.name, number)
        self.file.seek(frame.offset)
        ad = struct.pack('<8s16sIBBBBQII', b'ORCHFRM1', self.id, number, self.kind, frame.codec, self.algorithm, 0,
                         frame.offset, frame.plain_len, frame.sealed_len)
        plain = unseal(self.algorithm, self.key, bytes(4) + struct.pack('<Q', number), ad, self.file.read(frame.sealed_len), what)
        if frame.codec:
            plain = (unzstd, gunzip)[frame.codec - 1](plain, frame.plain_len, what)
        need(len(plain) == frame.plain_len, what, 'another length than the footer says')
        return plain

    def chunk(self, plain, chunk_id):
        """The last word on a chunk: its bytes give its id."""
        need(hmac.compare_digest(hmac.digest(self.repository.keys.chunk_id, plain, 'sha256'), chunk_id), self.name,
             'it holds chunk ', chunk_id.hex(), ' with wrong bytes')
        return plain


class Index:
    """Where each chunk lies. All of it is in memory: about 400 bytes for a chunk."""

    def __init__(self, repository, from_packs=False):
        self.repository, self.places = repository, {}
        self.packs, self.frames = collections.OrderedDict(), collections.OrderedDict()  # opened lately
        store = repository.store
        condemned = self.condemned()
        tables = dict(self.footers() if from_packs else self.segments())
        there = {bytes.fromhex(name[9:]) for name in store.list('packs', PACK_NAME)}
        # Of several places of a chunk the first counts: one in a pack that is there, and not condemned.
        for pack in sorted(tables, key=lambda p: (p not in there, p in condemned)):
            for number, frame in enumerate(tables[pack]):
                offset = 0
                for chunk, length in frame.chunks:
                    self.places.setdefault(chunk, Place(pack, number, offset, length))
                    offset += length

    def close(self):
        while self.packs:
            self.packs.popitem()[1].file.close()

    def condemned(self):
        """The packs that marks name. A mark that does not open is as good as none for who only reads."""
        found = set()
        for name in self.repository.store.list('marks', ID):
            try:
                found |= {bytes.fromhex(p) for p in ids(self.repository.document(name, CONTROL, id=name[6:]), 'packs', name)}
            except (Refused, FileNotFoundError):
                continue
        return found

    def footers(self):
        for name in self.repository.store.list('packs', PACK_NAME):
            pack = Pack(self.repository, bytes.fromhex(name[9:]))
            pack.file.close()
            yield pack.id, pack.frames

    def segments(self):
        superseded = set()
        found = {name: self.segment(name, superseded) for name in self.repository.store.list('index', HASH)}
        return [table for name, tables in found.items() if name[6:] not in superseded for table in tables]

    def segment(self, name, superseded):
        """[(pack id, frames)]"""
        data = self.repository.store.read(name, SEGMENT_MAX)
        need(hashlib.sha256(data).hexdigest() == name[6:], name, 'its bytes do not fit its name: it is damaged')
        magic, version, algorithm, zero, salt = Cursor(data, name).unpack('8sHB5s32s')
        need(magic == b'ORCHINDX' and version == 1, name, 'not an index segment that this program knows')
        need(algorithm == self.repository.algorithm and not any(zero), name, 'a wrong header')
        key = derive(self.repository.keys.index, salt, 'index segment')
        cursor = Cursor(unseal(algorithm, key, bytes(12), data[:48], data[48:], name), name)
        superseded |= {cursor.take(32).hex() for _ in range(cursor.varint())}
        found = []
        for _ in range(cursor.varint()):
            pack, kind = cursor.unpack('16sB')
            length = cursor.varint()
            frames, end = pack_table(cursor)
            need(kind in (1, 2) and end + 16 + 56 <= length, name, 'a pack that cannot be')
            found.append((pack, frames))
        cursor.end()
        return found

    def pack(self, pack_id):
        if pack_id not in self.packs:
            while len(self.packs) >= 64:
                self.packs.popitem(last=False)[1].file.close()
            self.packs[pack_id] = Pack(self.repository, pack_id)
        return self.packs[pack_id]

    def chunk(self, chunk_id, length=None):
        place = self.places.get(chunk_id)
        need(place is not None, 'chunk ' + chunk_id.hex(), 'no pack holds it')
        need(length in (None, place.length), 'chunk ' + chunk_id.hex(), 'another length than its reference says')
        pack = self.pack(place.pack)
        need(place.frame < len(pack.frames), pack.name, 'it lacks a frame that the index names')
        if (place.pack, place.frame) not in self.frames:
            while len(self.frames) >= 32:
                self.frames.popitem(last=False)
            self.frames[place.pack, place.frame] = pack.frame(place.frame)
        return pack.chunk(self.frames[place.pack, place.frame][place.offset:place.offset + place.length], chunk_id)


# ---- block indexes, lists of chunks, catalogue, records ----

Child = collections.namedtuple('Child', 'key id length items bytes')
Refs = collections.namedtuple('Refs', 'count inline root')  # inline: [(id, or None for a hole; length)]
Object = collections.namedtuple('Object', 'name kind flags size mtime metadata profile refs')
Record = collections.namedtuple('Record', 'type space key expiry extra value')  # key, value: (length, bytes or Refs)


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def block(data, what, kind):
    """(cursor, the two bytes before the number, number of items) of a node, leaf or block."""
    cursor = Cursor(data, what)
    letter, version, more, count = cursor.unpack('cB2sI')
    need(letter == kind and version == 1, what, 'not one that this program knows')
    need(kind == b'T' or more == b'\0\0', what, 'a header that this program does not know')
    return cursor, more, count


def references(cursor, count):
    found = []
    for _ in range(count):
        n = cursor.varint()
        need(0 < n >> 1 <= ((1 << 62) - 1 if n & 1 else CHUNK_MAX), cursor.what, 'a reference that cannot be')
        found.append((None if n & 1 else cursor.take(32), n >> 1))
    return found


def list_of_chunks(cursor):
    n = cursor.varint()
    if n & 1:
        return Refs(n >> 1, None, cursor.take(32))
    need(n >> 1 <= 1024, cursor.what, 'a list that is too long')
    return Refs(n >> 1, references(cursor, n >> 1), None)


def catalogue_block(cursor, count):
    name = b''
    for _ in range(count):
        shared = cursor.varint(len(name))
        last, name = name, name[:shared] + cursor.bytes(65535)
        need(len(name) <= 65535 and name > last, cursor.what, 'its names do not ascend')
        kind, flags, size, mtime = cursor.varint((1 << 32) - 1), cursor.varint((1 << 32) - 1), cursor.varint(), cursor.zigzag()
        metadata, profile = cursor.bytes(MIB), (cursor.varint(2), 0, 0)
        if profile[0]:
            profile = (profile[0], cursor.varint((1 << 32) - 1), cursor.varint())
        if flags & 1:  # the token of incremental backups: of no use for reading
            cursor.varint(), cursor.zigzag(), cursor.zigzag(), cursor.varint()
        yield Object(name, kind, flags, size, mtime, metadata, profile, list_of_chunks(cursor))
    cursor.end()


def records_block(cursor, count):
    for _ in range(count):
        kind, space, bits = cursor.varint((1 << 32) - 1), cursor.varint((1 << 32) - 1), cursor.take(1)[0]
        need(bits < 16, cursor.what, 'bits that are not known')
        length = cursor.varint(512 * MIB)
        key = (length, list_of_chunks(cursor) if bits & 1 else cursor.take(length))
        expiry = cursor.unpack('q')[0] if bits & 4 else None
        extra = cursor.bytes(64 * KIB) if bits & 8 else None
        length = cursor.varint()
        value = (length, list_of_chunks(cursor) if bits & 2 else cursor.take(length))
        yield Record(kind, space, key, expiry, extra, value)
    cursor.end()


class Content:
    """The content of one part."""

    def __init__(self, index, part):
        self.index, self.part, self.name = index, part['content'], 'parts/' + part['id']

    def node(self, chunk_id, length, keyed, level):
        """(level, children) of one node; level None: the root."""
        what = 'node ' + chunk_id.hex()
        cursor, (own, own_keyed), count = block(self.index.chunk(chunk_id, length), what, b'T')
        need(own_keyed == keyed and 1 <= own <= 12 and level in (None, own), what, 'a wrong header')
        children, key = [], b''
        for i in range(count):
            if keyed:
                shared = cursor.varint(len(key))
                last, key = key, key[:shared] + cursor.bytes(65535)
                need(len(key) <= 65535 and key > last, what, 'its keys do not ascend')
            children.append(Child(key, cursor.take(32), cursor.varint(CHUNK_MAX), cursor.varint(), cursor.varint()))
        cursor.end()
        need(children or length is None and own == 1, what, 'it is empty')
        return own, children

    def blocks(self, root, keyed, name=None):
        """(child, its bytes) of each block below a root, in order; with `name`: of the one that may hold it."""
        def below(chunk_id, length, level):
            level, children = self.node(chunk_id, length, keyed, level)
            if name is not None:
                children = [c for c in children if c.key <= name][-1:]
            for child in children:
                if level == 1:
                    yield child, self.index.chunk(child.id, child.length)
                    continue
                first, items, total = None, 0, 0
                for found in below(child.id, child.length, level - 1):
                    first = found[0].key if first is None else first
                    items, total = items + found[0].items, total + found[0].bytes
                    yield found
                need(name is not None or (first, items, total) == (child.key, child.items, child.bytes),
                     'node ' + chunk_id.hex(), 'the nodes below it say otherwise')
        return below(root, None, None)

    def pieces(self, refs):
        """(id, or None for a hole; length) of each reference."""
        if refs.root is None:
            yield from refs.inline
            return
        total = 0
        for child, data in self.blocks(refs.root, 0):
            cursor, _, count = block(data, 'leaf ' + child.id.hex(), b'L')
            found = references(cursor, count)
            cursor.end()
            need(count and (child.items, child.bytes) == (count, sum(n for _, n in found)), cursor.what, 'its node says otherwise')
            total += count
            yield from found
        need(total == refs.count, 'list ' + refs.root.hex(), 'another number of references than stated')

    def read(self, refs, size, what):
        """(bytes, or None for a hole; length) of each piece of a list."""
        at = 0
        for chunk_id, length in self.pieces(refs):
            at += length
            yield None if chunk_id is None else self.index.chunk(chunk_id, length), length
        need(at == size, what, 'its list of chunks has another length than it')

    def bytes(self, value):
        """A key or a value of a record, whole."""
        length, refs = value
        if isinstance(refs, bytes):
            return refs
        pieces = [piece for piece, _ in self.read(refs, length, self.name)]
        need(None not in pieces, self.name, 'a key or value of a record has a hole')
        return b''.join(pieces)

    def root(self, fields, name):
        return bytes.fromhex(text(fields, name, self.name, HASH))

    def objects(self, name=None):
        """All objects in order; with `name`: those of the block that may hold it."""
        last, objects, total = b'', 0, 0
        for child, data in self.blocks(self.root(self.part, 'catalogue_root'), 1, name):
            cursor, _, count = block(data, 'catalogue block ' + child.id.hex(), b'C')
            found = list(catalogue_block(cursor, count))
            need(found and last < found[0].name == child.key and (child.items, child.bytes) ==
                 (count, sum(o.size for o in found)), cursor.what, 'its node says otherwise')
            last, objects, total = found[-1].name, objects + count, total + child.bytes
            yield from found
        need(name is not None or (objects, total) == (self.part.get('objects'), self.part.get('object_bytes')), self.name,
             'its catalogue has another number of objects or bytes')

    def records(self):
        for layer in self.part['layers']:
            records = total = 0
            for child, data in self.blocks(self.root(layer, 'root'), 0):
                cursor, _, count = block(data, 'block of records ' + child.id.hex(), b'R')
                found = list(records_block(cursor, count))
                need(found and (child.items, child.bytes) == (count, sum(r.key[0] + r.value[0] for r in found)), cursor.what,
                     'its node says otherwise')
                records, total = records + count, total + child.bytes
                yield from found
            need((records, total) == (layer.get('records'), layer.get('bytes')), self.name,
                 'a layer has another number of records or bytes')

    def check(self):
        """Reads every byte and compares the digest of the part. Gives (objects, records)."""
        digest, objects, records = hashlib.sha256(), 0, 0
        for item in self.objects():
            refs = item.refs
            digest.update(b'O' + struct.pack('<I', len(item.name)) + item.name)
            digest.update(struct.pack('<IQBQ', item.kind, item.size, refs.root is not None, refs.count))
            digest.update(refs.root or b''.join(varint(2 * n + (c is None)) + (c or b'') for c, n in refs.inline))
            for _ in self.read(refs, item.size, repr(item.name)):
                pass
            objects += 1
        for layer in self.part['layers']:
            digest.update(b'R' + self.root(layer, 'root') + struct.pack('<QQ', layer['records'], layer['bytes']))
        for record in self.records():
            self.bytes(record.key), self.bytes(record.value)
            records += 1
        need(digest.hexdigest() == self.part.get('digest'), self.name, 'its digest is wrong')
        return objects, records
