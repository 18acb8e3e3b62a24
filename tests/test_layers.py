"""test_layers.py: the house rules that no compiler checks.

    imports   cli -> run -> {plan, graph, plugin, engine, report} -> storage -> base; plan may use graph and
              plugin; a plugin sees SDK headers, the L1 cache's, its own and those of plugins/files; the SDK
              sees itself
    opening   each source begins with a comment that says what it is for
    length    no source of core, plugins and SDK has more than 1,000 lines

Usage: test_layers.py ROOT. Prints each offence, and a count in libcheck's words.
"""
import os
import re
import sys

# Folder of core/ -> the folders of core/ that it may include from, itself left out.
MIDDLE = ('plan', 'graph', 'plugin', 'engine', 'report')
CORE = {
    'base': (),
    'storage': ('base',),
    'engine': ('storage', 'base'),
    'plugin': ('storage', 'base'),
    'graph': ('storage', 'base'),
    'report': ('storage', 'base'),
    'plan': ('graph', 'plugin/info.h', 'storage', 'base'),
    'run': MIDDLE + ('storage', 'base'),
    'cli': ('run',) + MIDDLE + ('storage', 'base'),
    '': ('cli', 'plugin/worker.h', 'base'),  # main.c
}
SOURCE = re.compile(r'\.(c|h|cc|cpp|hpp)$')
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
LINES_MAX = 1000


def sources(root, *folders):
    for folder in folders:
        for path, names, files in os.walk(os.path.join(root, folder)):
            names[:] = sorted(n for n in names if not n.startswith(('.', 'build')))
            for name in sorted(files):
                if SOURCE.search(name):
                    yield os.path.relpath(os.path.join(path, name), root)


def includes(root, path):
    """(line number, name, whether in quotes) of each include."""
    with open(os.path.join(root, path), encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            found = INCLUDE.match(line)
            if found:
                yield number, found.group(1) or found.group(2), found.group(1) is not None


def headers_in(root, folder):
    return {os.path.relpath(p, folder) for p in sources(root, folder) if p.endswith(('.h', '.hpp'))}


def check_core(root, path):
    parts = path.split('/')
    own = parts[1] if len(parts) > 2 else ''
    allowed = CORE.get(own)
    if allowed is None:
        yield 0, 'core/%s is no folder of the house (see test_layers.py)' % own
        return
    for number, name, quoted in includes(root, path):
        if not quoted:
            if name.startswith(tuple(f + '/' for f in CORE if f)):
                yield number, '<%s> is ours: write it in quotes' % name
            continue
        target = name.split('/')[0]
        if os.path.exists(os.path.join(root, 'sdk', 'include', name)):
            continue
        if not os.path.exists(os.path.join(root, 'core', name)):
            yield number, '"%s" is not below core/' % name
        elif target != own and target not in allowed and name not in allowed:
            yield number, '%s includes "%s": imports point the other way' % (own or 'main.c', name)


def check_plugin(root, path):
    folder = os.path.join(*path.split('/')[:2])
    own = headers_in(root, folder)
    shared = headers_in(root, 'plugins/files')
    for number, name, quoted in includes(root, path):
        local = os.path.normpath(os.path.join(os.path.dirname(path), name))
        if not quoted:
            if name.split('/')[0] in CORE and os.path.exists(os.path.join(root, 'core', name)):
                yield number, '<%s> is of the core' % name
        elif name in own or os.path.relpath(local, folder) in own:
            continue
        elif name.startswith('files/') and name[len('files/'):] in shared:
            continue
        else:
            yield number, '"%s" is not of this plugin, nor of plugins/files, nor of the SDK' % name


def check_sdk(root, path):
    own = {os.path.basename(p) for p in sources(root, 'sdk')}
    for number, name, quoted in includes(root, path):
        if os.path.exists(os.path.join(root, 'core', name)):
            yield number, '"%s" is of the core' % name
        elif quoted and os.path.basename(name) not in own:
            yield number, '"%s" is not of the SDK' % name


def check_opening(root, path):
    with open(os.path.join(root, path), encoding='utf-8') as file:
        start = file.read(4000)
    comment = re.match(r'/\*(.*?)\*/|((?://[^\n]*\n)+)', start, re.S)
    if comment is None or len(re.findall(r'\w+', comment.group(0))) < 2:
        yield 1, 'it does not begin with a comment that says what it is for'
    else:
        name = os.path.basename(path)
        named = re.match(r'[\s*/]*([\w.-]+\.(?:c|h|cc|cpp|hpp)):', comment.group(0))
        if named and named.group(1) != name:
            yield 1, 'its first comment calls it %s' % named.group(1)


def check_length(root, path):
    with open(os.path.join(root, path), encoding='utf-8') as file:
        count = sum(1 for _ in file)
    if count > LINES_MAX:
        yield count, '%d lines: more than %d' % (count, LINES_MAX)


def main():
    root = os.path.abspath(sys.argv[1])
    ours = ('core', 'plugins', 'sdk', 'tests', 'integration')
    rules = (
        ('core', check_core, ('core',)),
        ('plugins', check_plugin, ('plugins',)),
        ('sdk', check_sdk, ('sdk',)),
        ('opening', check_opening, ours),
        ('length', check_length, ours[:3]),
    )
    checks = failures = 0
    for rule, check, folders in rules:
        seen = 0
        for path in sources(root, *folders):
            seen += 1
            for number, offence in check(root, path):
                failures += 1
                print('%s:%d: %s: %s' % (path, number, rule, offence))
        if seen < 10:
            failures += 1
            print('%s: only %d files looked at in %s' % (rule, seen, ' '.join(folders)))
        checks += 1
    print('Checks: %d, Failures: %d, Errors: 0' % (max(checks, failures), failures))
    return 0 if failures == 0 else 1


if __name__ == '__main__':
    sys.exit(main())
