#!/usr/bin/env python3
"""make_corpus.py: writes the hand-made seeds below corpus/. Run it again after a format changed.

The seeds get the fuzzers past magic numbers and seals; they are checked in. What comes from
elsewhere (real index files, regressions) lies beside them and is left alone.
"""
import gzip
import json
import os
import struct

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'corpus')
ID = '00112233445566778899aabbccddeeff'
HEX32 = 'ab' * 32


def put(target, name, data):
    folder = os.path.join(ROOT, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), 'wb') as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def varint(value):
    out = b''
    while value >= 0x80:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def counted(data):
    return varint(len(data)) + data


# ---- configuration and plans

put('config', 'sample', '''state_dir = "/s"; cache_dir = "/c";
repositories: { main: { url = "/r"; encryption = "none"; compression = "zstd:3"; }; };
defaults: { retries = 1; stall_timeout = "10m"; };
components: {
  a: { plugin = "p"; text = "t"; count = 5; ratio = 1.5; flag = true; room = "1GiB"; wait = "1h30m";
       words = [ "a", "b" ]; place = "/p"; places = [ "/q" ]; deep: { er = "x"; }; };
  b: { plugin = "p"; key_env = "KEY"; depends_on = [ "a" ]; rto = "30m"; rpo = "1h"; };
};
''')
put('config', 'list', 'components: { a: { plugin = "p"; words = ( "a", ( 1, 2L ), { x = 0x1F; } ); }; };')
put('config', 'retention', '''repositories: { main: { url = "/r"; encryption = "none"; jobs = 2;
  retention: ( { label = "nightly"; keep_daily = 14; keep_weekly = 8; max_age = "90d"; },
               { components = [ "a" ]; keep_last = 3; keep_hourly = 2; max_size = "10GB"; },
               { keep_monthly = 12; keep_yearly = 3; max_count = 50; } ); }; };
components: { a: { plugin = "p"; }; };
''')
put('plan', 'prune', 'plan: { name = "n"; steps = ( { prune: { keep_last = 7; max_age = "1y"; wait = "5m"; '
    'repack_above = 30; } } ); };')
put('plan', 'restore', '''plan: { name = "recover"; set = "latest"; steps = (
  { restore: { components = [ "a", "b" ]; strategy = "replace"; } },
  { check: { command = "/bin/true"; timeout = "5m"; } },
  { restore: { components = [ "c", "d" ]; } } ); };
''')
put('plan', 'backup', 'plan: { name = "n"; steps = ( { backup: { type = "incremental"; label = "l"; } },'
    ' { verify: { level = "data"; } } ); };')
put('plan', 'size', '10GiB')
put('plan', 'duration', '1h30m')

# ---- plugin


def frame(kind, payload=b'', flags=0, stream=0, credit=0, call=1, slot=0, size=0):
    return struct.pack('<IBBHIIII', len(payload), kind, flags, stream, credit, call, slot, size) + payload


error = json.dumps({'code': -5, 'errno': 2, 'message': 'no', 'raw': {'hex': 'ff00'}}).encode()
put('wire', 'control', b'\x20\x00' + frame(3, error) + frame(6, b'{"level":1,"text":"x"}', flags=1))
put('wire', 'bulk', b'\x05\x00' + frame(9, b'I' * 40, stream=1) + frame(10, stream=2, credit=3)
    + frame(11, b'{"items":1}', stream=1) + frame(12) + frame(13))

name, meta = b'/a/b', b'meta'


def item(tag, flags=0, size=5):
    return tag + struct.pack('<IIIIIIQQqQqqQ', flags, ord('f'), len(name), len(meta), 0, 0, 0, size,
                             7, 0, 0, 0, 0) + name + meta


data = b'D' + struct.pack('<I', 5) + b'hello'
hole = b'H' + struct.pack('<Q', 4096)
record = b'R' + struct.pack('<IIIIQq', 1, 0, 3, 2, 5, 99) + b'key' + b'xx' + data + b'I'


def items(body, count, unchanged, size):
    return body + b'E' + struct.pack('<QQQ', count, unchanged, size)


put('items', 'objects', b'\x06' + items(item(b'O') + data + hole + b'I', 1, 0, 4101))
put('items', 'unchanged', b'\x00' + items(item(b'U', flags=1), 1, 1, 0))
put('items', 'records', b'\x2f' + items(record + record, 2, 0, 10))

stream = items(record + item(b'O') + data + hole + b'I', 2, 0, 4106)
# The digest is XXH3-64 of `stream`, by xxhsum -H3.
totals = json.dumps({'items': 2, 'unchanged': 0, 'bytes': 4106,
                     'digest': '99bb1dab394b49d4'}).encode()
good = b'{"code":0}'
put('worker', 'backup', b'\x00' + frame(9, stream[:50], stream=1) + frame(9, stream[50:], stream=1)
    + frame(11, totals, stream=1) + frame(3, good))
put('worker', 'check', b'\x01' + frame(13) + frame(6, b'{"level":1,"text":"x"}')
    + frame(7, b'{"name":"f","value":{"a":[1]}}')
    + frame(8, b'{"severity":1,"flags":0,"code":"c","subject":"s","message":"m"}')
    + frame(4, b'{"request":"intent","action":"replace","target":"t","aside":"a"}')
    + frame(4, b'{"request":"done","action":"xx","target":"t"}')
    + frame(4, b'{"request":"future_file","path":"/p"}') + frame(3, good))
put('worker', 'states', b'\x02' + frame(3, b'{"code":0,"flags":1,"items":5,"version":"15","identity":"i"}')
    + frame(3, b'{"code":0,"consistency":2,"flags":1,"cost":"c"}', call=2))
put('worker', 'deep', b'\x02' + frame(7, b'{"name":"f","value":' + b'[' * 1900 + b']' * 1900 + b'}')
    + frame(3, good))
put('worker', 'failed', b'\x02' + frame(3, error))

put('info', 'descriptor', json.dumps({
    'name': 'redis', 'version': '1.0', 'summary': 's', 'path': '/p.so', 'abi_major': 1,
    'abi_minor': 0, 'capabilities': 7, 'callbacks': 3, 'data_format': 2, 'data_format_oldest': 1,
    'options': [{'name': 'a.b', 'type': 1, 'flags': 2, 'default': 'd', 'help': 'h'},
                {'name': 'c', 'type': 2, 'flags': 0, 'help': {'hex': 'ff'}}]}))
put('info', 'options', json.dumps({
    'component': 'c', 'work_dir': '/w', 'values': [
        {'name': 'x', 'type': 1, 'default': 0, 'string': 's', 'integer': 1, 'number': 1.5},
        {'name': 'y', 'type': 7, 'default': 1, 'integer': 0, 'number': 0.0,
         'strings': ['a', {'hex': 'fe'}]}]}))
put('info', 'restore', json.dumps({
    'strategy': 1, 'attempt': 1, 'data_format': 1, 'run_id': ID, 'items': 1, 'size_bytes': 2,
    'facts': {'f': 1}, 'selects': ['*']}))

# ---- engine: packs and index

chunk = b'\x01' * 32


def table(frames):
    out = varint(len(frames))
    for sealed, codec, lengths in frames:
        out += varint(sealed) + varint(sum(lengths)) + bytes([codec]) + varint(len(lengths))
        out += b''.join(chunk + varint(length) for length in lengths)
    return out


sound = table([(500, 1, [300, 700]), (40, 0, [24])])
footer = struct.pack('<IH', 612 - 112, len(sound)) + sound
plain = b'the quick brown fox ' * 5
packed = gzip.compress(plain, mtime=0)
frames = (bytes([2, 0]) + struct.pack('<HH', len(plain), len(plain)) + plain
          + bytes([2]) + struct.pack('<HH', len(plain), len(packed)) + packed)
trailer = b'ORCHTAIL' + struct.pack('<HHB3xQIIQ', 1, 0, 1, 612, 150, 0, 0)
put('pack', 'header', b'\x00\x00')
put('pack', 'header-changed', b'\x00\x08\x00\x00\x01')
put('pack', 'trailer', b'\x01' + struct.pack('<Q', 612 + 150 + 56) + trailer)
put('pack', 'file', b'\x02' + frames)
put('pack', 'file-changed', b'\x02' + frames + struct.pack('<H', 120) + b'\x01')
put('pack', 'footer', b'\x03' + footer)
put('pack', 'footer-empty', b'\x03' + struct.pack('<IH', 0, 1) + table([]))
put('pack', 'footer-parity', b'\x03' + footer + b'\0' * 32 + b'\x01')
put('pack_table', 'two-frames', sound)
put('pack_table', 'empty', table([]))
put('pack_table', 'behind', table([(2 << 20, 1, [1536 << 10, 512 << 10])]) + b'rest')
put('pack_table', 'many', table([(17, 0, [1])] * 20))
body = (varint(1) + b'\x02' * 32 + varint(2)
        + (b'\x03' * 16 + b'\x01' + varint(5000) + sound) + (b'\x04' * 16 + b'\x02' + varint(112) + table([])))
put('segment', 'body', b'\x02' + body)
put('segment', 'empty', b'\x02\0\0')
put('segment', 'file', b'\x00' + b'\0' * 16 + body)
put('segment', 'file-newer', b'\x00' + b'\0' * 8 + b'\x03' + b'\0' * 7 + body)
put('segment', 'raw', b'\x01ORCHINDX\x01' + b'\0' * 80)



def step(table, which, action, data=b''):
    return bytes([table, which, action, len(data)]) + data


CHUNKS, PACKS, FRAMES, IDS, SEGMENTS, META = range(6)
put('index_cache', 'sound', b'')
put('index_cache', 'row', step(CHUNKS, 1, 0, b'\x03\xff') + step(CHUNKS, 2, 0, b'\0\xff\xff\xff\xff'))
put('index_cache', 'row-pack', step(CHUNKS, 0, 3, b'\0' * 32 + b'\0\0\0\x02'))
put('index_cache', 'pack', step(PACKS, 0, 0, b'\x20' + b'\xff' * 16) + step(PACKS, 1, 0, b'\x14\xff\xff'))
put('index_cache', 'pack-number', step(PACKS, 0, 3, b'\0\0\0\x03'))
put('index_cache', 'pack-gone', step(PACKS, 1, 2) + step(FRAMES, 0, 2))
put('index_cache', 'frames', step(FRAMES, 0, 1, b'\x14') + step(FRAMES, 1, 0, b'\x08\xff\xff'))
put('index_cache', 'ids', step(IDS, 1, 0, b'\0\x07') + step(IDS, 0, 1, b'\x13'))
put('index_cache', 'segment', step(SEGMENTS, 0, 0, b'\x04\x10') + step(SEGMENTS, 1, 0, b'\x0c\x40'))
put('index_cache', 'segment-short', step(SEGMENTS, 1, 1, b'\x08'))
put('index_cache', 'meta', step(META, 0, 0, b'\x04\0\0\0\0\xff\xff'))
put('index_cache', 'meta-other', step(META, 0, 0, b'\x28\x01'))
text = b'the quick brown fox ' * 20
size = struct.pack('<I', len(text))[:3]
zstd_raw = bytes.fromhex('28b52ffd2005290000') + b'hello'
put('frame', 'none', b'\x00' + size + text)
put('frame', 'gzip', b'\x02' + size + gzip.compress(text, mtime=0))
put('frame', 'zstd-raw', b'\x01' + b'\x05\x00\x00' + zstd_raw)
put('frame', 'zstd-rle', b'\x01' + b'\x64\x00\x00' + bytes.fromhex('28b52ffd206423030041'))
put('frame', 'sealed-none', b'\x04' + size + text)
put('frame', 'sealed-zstd', b'\x05' + b'\x05\x00\x00' + zstd_raw)
put('frame', 'sealed-gzip', b'\x06' + size + gzip.compress(text, mtime=0))
put('frame', 'round-none', b'\x08' + size + text)
put('frame', 'round-zstd', b'\x09' + size + text)
put('frame', 'round-gzip', b'\x0a' + size + text)

# ---- engine: catalogues, lists of chunks, records


def chunks(*list_of):
    return b''.join(struct.pack('<H', len(one)) + one for one in list_of)


def ident(number):
    return bytes([number]) + b'\x09' * 31


def reflist(*refs):
    out = varint(len(refs) << 1)
    for length, number in refs:
        out += varint(length << 1 | (number is None)) + (b'' if number is None else ident(number))
    return out


def entry(shared, suffix, refs, token=False, rows=False):
    out = varint(shared) + counted(suffix) + varint(ord('f')) + varint(1 if token else 0)
    out += varint(10) + varint(14) + counted(b'meta')
    out += varint(1) + varint(16) + varint(0) if rows else varint(0)
    out += varint(10) + varint(2) + varint(2) + varint(77) if token else b''
    return out + refs


def block(*entries):
    return b'C\x01\0\0' + struct.pack('<I', len(entries)) + b''.join(entries)


def node(level, keyed, *children):
    out = b'T\x01' + bytes([level, keyed]) + struct.pack('<I', len(children))
    for key, number in children:
        out += (varint(0) + counted(key) if keyed else b'') + ident(number)
        out += varint(100) + varint(2) + varint(20)
    return out


first = block(entry(0, b'/a', reflist((10, 1)), token=True),
              entry(1, b'b', reflist((5, 1), (4096, None)), rows=True))
tree_refs = varint(3 << 1 | 1) + ident(4)
second = block(entry(0, b'/c', tree_refs))
leaf = b'L\x01\0\0' + struct.pack('<I', 3) + b''.join(varint(8 << 1) + ident(0) for _ in range(3))
leaf_node = node(1, 0, (b'', 3))
put('tree', 'keyed', chunks(node(1, 1, (b'/a', 2), (b'/b', 2)), node(2, 1, (b'/a', 0), (b'/b', 0)), b'/aa'))
put('tree', 'plain', chunks(leaf_node, node(2, 0, (b'', 0), (b'', 0)), node(3, 0, (b'', 1)), b''))
put('tree', 'build', b'\xff\xff' + b'key')
put('reflist', 'short', chunks(b'\0' + reflist((10, 1), (4096, None), (1, None), (5, 2))))
put('reflist', 'grown', chunks(b'\xff' + reflist((10, 1), (4096, None), (5, 2))))
put('reflist', 'tree', chunks(b'\0' + tree_refs, leaf, leaf, leaf, leaf_node, b'x'))
put('reflist', 'levels', chunks(b'\0' + varint(6 << 1 | 1) + ident(5), leaf, leaf, leaf, leaf_node,
                                node(2, 0, (b'', 4), (b'', 4))))
put('catalogue', 'block', chunks(first))
put('catalogue', 'rows', chunks(block(entry(0, b'x' * 40, reflist((1 << 20, 1)), rows=True),
                                      entry(40, b'y', reflist())),
                                node(1, 1, (b'x' * 40, 0)), b'x' * 40))
put('catalogue', 'tree', chunks(first, second, node(1, 1, (b'/a', 0), (b'/c', 1)), b'/b'))
put('catalogue', 'levels', chunks(second, node(2, 1, (b'/c', 2)), node(1, 1, (b'/c', 0)), leaf,
                                  node(1, 0, (b'', 3)), b'/c'))


def plain(key, value, extra=b'', expires=None):
    bits = (4 if expires is not None else 0) | (8 if extra else 0)
    out = varint(1) + varint(0) + bytes([bits]) + counted(key)
    out += struct.pack('<q', expires) if expires is not None else b''
    return out + (counted(extra) if extra else b'') + counted(value)


huge = varint(1) + varint(0) + b'\x03' + varint(1000) + reflist((1000, 1)) + varint(2000) + tree_refs
records = b'R\x01\0\0' + struct.pack('<I', 3) + plain(b'k', b'v') + plain(b'kk', b'vv', b'x', 5) + huge
put('records', 'block', chunks(records, b'', b'', leaf, node(1, 0, (b'', 3))))

# ---- engine: documents

layer = {'root': HEX32, 'records': 1, 'bytes': 2}
part = {
    'document': 1, 'id': ID, 'component': 'app-db', 'plugin': 'postgres', 'plugin_version': '1',
    'data_format': 1, 'type': 'full', 'earlier': '', 'consistency': 1, 'frozen_ns': 1,
    'started_ns': 1, 'finished_ns': 2, 'source_version': '15', 'source_identity': 'x',
    'facts': {'rows': 1},
    'content': {'catalogue_root': HEX32, 'objects': 1, 'object_bytes': 2, 'records': 1,
                'record_bytes': 2, 'digest': HEX32, 'layers': [layer]},
    'stats': {'items_read': 1, 'items_unchanged': 0, 'bytes_read': 2, 'bytes_reused': 0,
              'bytes_new': 2, 'bytes_stored': 2}}
component = {'name': 'a', 'plugin': 'p', 'good': True, 'part': ID, 'consistency': 1, 'items': 1,
             'size_bytes': 2, 'error': '', 'depends_on': ['b']}
manifest = {
    'document': 1, 'id': ID, 'name': '20260131_120000', 'type': 'full', 'label': 'l',
    'state': 'partial', 'run_id': ID, 'base': '', 'host': 'h', 'program_version': '0.1',
    'started_ns': 1, 'finished_ns': 2, 'first_freeze_ns': 1, 'skew_ns': 0,
    'components': [component, dict(component, name='b', good=False, part='', error='e')]}
put('part', 'part', json.dumps(part))
put('set', 'partial', json.dumps(manifest))
put('set', 'completed', json.dumps(dict(manifest, state='completed', name='20260131_120000-2', lease=ID,
    base=ID, components=[component, dict(component, name='b')])))
raw = bytes.fromhex('28b52ffd20') + bytes([7]) + bytes.fromhex('390000') + b'{"a":1}'
put('document', 'raw', b'\x00' + raw)
put('document', 'rle', b'\x00' + bytes.fromhex('28b52ffd20031b000031'))
put('document', 'header', b'\x01' + b'\0' * 24 + raw)
put('document', 'header-newer', b'\x01' + b'\0' * 8 + b'\x03' + b'\0' * 15 + raw)
put('document', 'changed', b'\x02' + struct.pack('<H', 60) + b'\x01\0')
put('document', 'same', b'\x02' + struct.pack('<H', 0) + b'\0\0')
lease = {
    'document': 1, 'id': ID, 'run_id': ID, 'work': 'backup', 'host': 'h', 'pid': 1, 'start_ticks': 1,
    'boot_id': 'b', 'pid_namespace': 'n', 'started_ns': 1, 'ttl_ms': 1000, 'renewals': 1,
    'acknowledged': [ID]}
put('lease', 'lease', json.dumps(lease))
put('lease', 'obeys-none', json.dumps(dict(lease, acknowledged=[], ttl_ms=120000)))
put('lease', 'gone', json.dumps(dict(lease, acknowledged=[ID[::-1]], pid=(1 << 22) + 1)))
mark = {'document': 1, 'id': ID, 'lease': ID, 'packs': '01' * 16 + '02' * 16, 'parts': ID}
put('mark', 'mark', json.dumps(mark))
put('mark', 'empty', json.dumps(dict(mark, packs='', parts='')))
put('mark', 'odd', json.dumps(dict(mark, packs='01' * 17)))
put('lapsed', 'kept', json.dumps({'document': 1, 'lease': '0a' * 16, 'kept': 'ab' * 16 + ID}))
put('lapsed', 'none', json.dumps({'document': 1, 'lease': '0a' * 16, 'kept': ''}))
proof = {'document': 1, 'set': ID, 'good': True, 'level': 'data', 'own': False, 'at_ns': 5, 'run_id': ID,
         'host': 'h'}
put('proof', 'full', json.dumps(proof))
put('proof', 'own', json.dumps(dict(proof, own=True, run_id='')))
put('proof', 'bad', json.dumps(dict(proof, good=False, level='manifest')))
put('names', 'ours', '\n'.join([
    'packs/01/' + '01' * 16, 'sets/20260131_120000.' + ID, 'runs/%s/1' % ID, 'leases/' + ID, 'lapsed/' + ID,
    'proofs/' + ID, 'parts/' + ID, 'index/' + HEX32]))
put('names', 'nearly', '\n'.join([
    'packs/02/' + '01' * 16, 'packs/01/' + '01' * 17, 'sets/x', 'sets/20260131_120000-2', 'runs/%s/0' % ID,
    'runs/%s/01' % ID, 'leases/' + ID[1:], 'lapsed/' + ID + '0', 'streams/x/1', 'tmp/1-1-1']))
put('names', 'mark', 'marks/' + ID + '\nmarks/readme.txt')
RUN = '0102030405060708090a0b0c0d0e0f10'


def event(number, name, details=None, **more):
    fields = {'document': 1, 'run_id': RUN, 'number': number, 'previous': True, 'at_ns': number,
              'event': name, 'details': details or {}}
    return dict(fields, **more)


start = event(1, 'start', {'state': 'in-progress', 'kind': 'backup', 'host': 'h', 'pid': 1})
end = {'state': 'completed', 'sets': ['20260131_120000']}
put('runlog', 'whole', json.dumps([start, event(2, 'frozen', component='db'), event(3, 'end', end)]))
put('runlog', 'open', json.dumps([start, event(2, 'frozen', component='db')]))
put('runlog', 'broken', json.dumps([start, event(3, 'end', end, previous=HEX32)]))
put('runlog', 'none', '[]')

clear = {'type': 'clear', 'key': '07' * 32}
scrypt = {'type': 'scrypt', 'log_n': 15, 'r': 8, 'p': 1, 'salt': '01' * 32, 'nonce': '02' * 12,
          'wrapped': '03' * 48}
keyfile = {'type': 'keyfile', 'salt': '01' * 32, 'nonce': '02' * 12, 'wrapped': '03' * 48}


def head(encryption, slots):
    return {'format': 1, 'required_features': 0, 'id': ID, 'encryption': encryption, 'key_slots': slots}


def head_text(fields):
    return json.dumps(fields, indent=2)[:-2] + ',\n  '


later = {'type': 'later'}
put('keyslot', 'clear', json.dumps(clear))
put('keyslot', 'scrypt', json.dumps(scrypt))
put('keyslot', 'scrypt-small', json.dumps(dict(scrypt, log_n=4, r=1)))
put('keyslot', 'keyfile', json.dumps(keyfile))
put('keyslot', 'later', json.dumps(later))
put('keyslot', 'same', b'\0' * 92)
put('keyslot', 'changed', b'\0' * 40 + b'\x01')
put('config_repo', 'clear-text', head_text(head('none', [clear])))
put('config_repo', 'sealed-text', head_text(head('aes-256-gcm', [scrypt, keyfile, later])))
put('config_repo', 'clear', json.dumps(head('none', [clear])))
put('config_repo', 'key-file', json.dumps(head('aes-256-gcm', [keyfile, later, 'key file'])))
put('config_repo', 'scrypt', json.dumps(head('aes-256-gcm', [scrypt, 'key file'])))
put('config_repo', 'feature', json.dumps(dict(head('none', [clear]), required_features=4)))
put('config_repo', 'copy', json.dumps(dict(head('none', [clear]), copy=head('aes-256-gcm', [keyfile]))))
put('config_repo', 'copy-empty', json.dumps(dict(head('none', [clear]), copy={'head_sha256': HEX32})))

# ---- run: what a client keeps

planned = {'run': RUN, 'started_ns': 5, 'request': {'set': 'latest'}, 'event': 'planned',
           'time': '2026-01-31T12:00:00Z', 'resolved': {'components': {'a': {'attempt': 1}, 'b': {}}}}


def line(name, component=None, **more):
    return dict({'event': name, 'time': '2026-01-31T12:00:01Z'},
                **(dict(more, component=component) if component else more))


begun = [planned, line('begun', 'a'), line('intent', 'a', target='/t', aside='/t.old'), line('done', 'a')]
put('journal', 'begun', json.dumps(begun))
put('journal', 'verified', json.dumps(begun + [line('verified', 'a'), line('settled', 'a'),
                                               line('step-passed', step=1)]))
put('journal', 'torn', json.dumps(begun + ['{"event":"ver']))
put('journal', 'finished', json.dumps(begun + [line('finished', state='completed')]))
put('journal', 'damaged', json.dumps([planned, '{"event":', line('begun', 'a')]))
put('journal', 'empty', '[]')
entry_text = json.dumps({'what': 'restore', 'set': ID, 'time': '2026-01-31T12:00:00Z', 'user': 0})
put('ledger', 'entries', entry_text + '\n' + entry_text + '\n')
put('ledger', 'torn', entry_text + '\n{"what":')
put('ledger', 'strange', '[1]\n\n{}\nnonsense\n' + entry_text)
put('known', 'same', json.dumps({'id': ID, 'encrypted': False}))
put('known', 'stronger', json.dumps({'id': ID, 'encrypted': True}))
put('known', 'other', json.dumps({'id': ID[::-1], 'encrypted': False}))

# ---- plugins


def entry_meta(mode, link=b'', hard=b'', xattrs=b''):
    return b'\x01' + struct.pack('<IIIqIIIIII', mode, 0, 0, 5, 6, 0, 0, len(link), len(hard),
                                 len(xattrs)) + link + hard + xattrs


xattr = struct.pack('<HI', 6, 1) + b'user.av'
put('meta', 'file', b'f' + entry_meta(0o100644, xattrs=xattr + xattr))
put('meta', 'symlink', b'l' + entry_meta(0o120777, link=b'to'))
put('meta', 'hard', b'h' + entry_meta(0o100644, hard=b'/a'))
put('meta', 'name', b'?/a/b\xff"\x01')
put('vector_meta', 'file', '644 0 0 1700000000000000000 ')
put('vector_meta', 'link', '777 1 2 -5 612f62')

rdb = b'REDIS0010\xfa\x09redis-ver\x057.0.0\xfe\x00\xfb\x03\x01'
rdb += b'\x00\x01a\x03abc' + b'\xfc' + struct.pack('<Q', 1 << 41) + b'\x04\x01h\x01\x01f\x01v'
rdb += b'\x00\x01z\xc3\x05\x0a\x01ab\xc0\x01' + b'\x02\x01s\x02\x01m\xc0\x05' + b'\xff' + b'\0' * 8
put('rdb', 'small', b'\xff' + rdb)
put('rdb', 'pieces', b'\x02' + rdb.replace(b'0010', b'0011'))
