#!/usr/bin/python3
"""python_api.py DIRECTORY LIBRARY plain|duplicates: python3-lmdb through its whole documented interface.

Prints a transcript, a line a call, that must be the same whatever library the loader finds; LIBRARY is
the one expected, and the process's own memory map is asked. Page counts are left out, they are each
library's own.
"""
import os
import re
import sys
import threading

import lmdb

ROOT = sys.argv[1]
MAP_SIZE = 1 << 24
section = ""


def serving_library():
    with open("/proc/self/maps") as maps:
        names = {os.path.realpath(line.split()[-1]) for line in maps if "liblmdb" in line}
    return [name for name in names if os.path.basename(name).startswith("liblmdb")]


def plain_value(value):
    """What is the same on both libraries, in a form that is."""
    if isinstance(value, memoryview):
        return plain_value(bytes(value))
    if isinstance(value, (bytes, bytearray)):
        value = bytes(value)
        return value if len(value) <= 60 else f"<{len(value)} bytes, {hash_of(value):08x}>"
    if isinstance(value, dict):
        hidden = {"branch_pages", "leaf_pages", "overflow_pages", "last_pgno", "map_addr"}
        shown = {key: plain_value(value[key]) for key in value if key not in hidden}
        if "depth" in shown:
            shown["depth"] = min(shown["depth"], 1)
        return shown
    if isinstance(value, (list, tuple)):
        items = [plain_value(item) for item in value]
        return items if len(items) <= 40 else items[:5] + [f"... {len(items)} items"] + items[-5:]
    if isinstance(value, str):
        return re.sub(r"^ *\d+ +[0-9a-f]+ ", "READER ", value.replace(ROOT, "ROOT"), flags=re.M)
    return value


def hash_of(data):
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 % (1 << 32)
    return value


def show(label, call, *args, **kwargs):
    """Makes the call and prints what it gave, or how it failed."""
    try:
        value = call(*args, **kwargs)
        text = repr(plain_value(value))
    except Exception as error:
        value = None
        text = f"{type(error).__name__}: {plain_value(str(error))}"
    print(f"{section}: {label} -> {text}")
    return value


def begin_section(name):
    global section
    section = name


def directory(name):
    path = os.path.join(ROOT, name)
    os.makedirs(path, exist_ok=True)
    return path


def open_env(name, **kwargs):
    kwargs.setdefault("map_size", MAP_SIZE)
    kwargs.setdefault("max_dbs", 8)
    return lmdb.open(directory(name), **kwargs)


def key(number):
    return b"key%05d" % number


def everything(txn, db):
    return list(txn.cursor(db))


# ---- environments --------------------------------------------------------------------------------


def environments():
    begin_section("environment")
    show("version", lmdb.version)
    show("version subpatch", lmdb.version, subpatch=True)
    env = open_env("env", max_readers=17)
    for name in ("path", "flags", "info", "stat", "max_key_size", "max_readers", "readers"):
        show(name, getattr(env, name))
    show("reader_check", env.reader_check)
    show("sync", env.sync)
    show("sync forced", env.sync, True)
    show("set_mapsize", env.set_mapsize, MAP_SIZE * 2)
    show("info after set_mapsize", env.info)
    with env.begin(write=True) as txn:
        show("set_mapsize in a transaction", env.set_mapsize, MAP_SIZE)
        txn.put(b"a", b"1")
    show("info after a commit", env.info)
    show("stat after a commit", env.stat)
    with env.begin() as txn:
        txn.get(b"a")
        show("readers with one", env.readers)
    env.close()
    show("closed: begin", env.begin)
    show("closed: stat", env.stat)
    show("closed: close", env.close)
    with open_env("env") as other:
        show("with statement", other.stat)
    show("after with", env.info)


def environment_options():
    begin_section("options")
    show("missing", lmdb.open, os.path.join(ROOT, "nowhere"), create=False)
    show("missing, read-only", lmdb.open, os.path.join(ROOT, "nowhere"), readonly=True)
    options = (
        {"metasync": False},
        {"sync": False},
        {"map_async": True, "writemap": True},
        {"writemap": True},
        {"readahead": False},
        {"meminit": False},
        {"lock": False},
        {"subdir": False},
        {"max_spare_txns": 3},
        {"mode": 0o600},
    )
    for number, option in enumerate(options):
        path = os.path.join(ROOT, f"option{number}")
        if option.get("subdir", True):
            os.makedirs(path)
        env = lmdb.open(path, map_size=MAP_SIZE, **option)
        show(f"flags with {option}", env.flags)
        with env.begin(write=True) as txn:
            for n in range(50):
                txn.put(key(n), b"v" * n)
        show("count", lambda: env.stat()["entries"])
        show("readers", env.readers)
        env.close()
    env = lmdb.open(os.path.join(ROOT, "option0"), readonly=True, map_size=MAP_SIZE)
    show("read-only write", env.begin, write=True)
    show("read-only read", lambda: everything(env.begin(), None))
    show("read-only sync", env.sync)
    show("read-only open_db", env.open_db, b"new")
    env.close()


def copies():
    begin_section("copy")
    env = open_env("copied")
    db = env.open_db(b"one")
    with env.begin(write=True) as txn:
        for n in range(2000):
            txn.put(key(n), b"x" * (n % 90), db=db)
    with env.begin(write=True) as txn:
        for n in range(0, 2000, 2):
            txn.delete(key(n), db=db)
    for compact in (False, True):
        name = f"copy{compact}"
        show("copy", env.copy, directory(name), compact=compact)
        show("copy again", env.copy, directory(name), compact=compact)
        fd = os.open(os.path.join(ROOT, name + ".fd"), os.O_WRONLY | os.O_CREAT, 0o644)
        show("copyfd", env.copyfd, fd, compact=compact)
        os.close(fd)
        for path, subdir in ((directory(name), True), (os.path.join(ROOT, name + ".fd"), False)):
            other = lmdb.open(path, max_dbs=2, subdir=subdir, readonly=True, lock=False)
            one = other.open_db(b"one", create=False)
            with other.begin(db=one) as txn:
                show("content of the copy", lambda: everything(txn, one))
            other.close()
    show("copy to nowhere", env.copy, os.path.join(ROOT, "no", "where"))
    show("copyfd to -1", env.copyfd, 1 << 20)
    env.close()


def full_map():
    begin_section("map full")
    env = lmdb.open(directory("full"), map_size=1 << 18)

    def fill(count):
        with env.begin(write=True) as txn:
            for n in range(count):
                txn.put(key(n), b"f" * 500)

    show("too much", fill, 2000)
    show("nothing is left of it", lambda: env.stat()["entries"])
    show("set_mapsize", env.set_mapsize, 1 << 22)
    show("now it fits", fill, 2000)
    show("entries", lambda: env.stat()["entries"])
    env.close()


# ---- transactions --------------------------------------------------------------------------------


def transactions():
    begin_section("transaction")
    env = open_env("txn")
    txn = env.begin(write=True)
    show("id", txn.id)
    show("put", txn.put, b"a", b"1")
    show("put again", txn.put, b"a", b"2")
    show("put, overwrite=False", txn.put, b"a", b"3", overwrite=False)
    show("put, append", txn.put, b"b", b"1", append=True)
    show("put, append lower", txn.put, b"aa", b"1", append=True)
    show("put empty value", txn.put, b"c", b"")
    show("put empty key", txn.put, b"", b"x")
    show("put long key", txn.put, b"k" * 512, b"x")
    show("put longest key", txn.put, b"k" * 511, b"x")
    show("put buffer", txn.put, bytearray(b"buffer"), memoryview(b"view"))
    show("put text", txn.put, "text", b"x")
    show("get", txn.get, b"a")
    show("get missing", txn.get, b"none")
    show("get default", txn.get, b"none", b"default")
    show("get long key", txn.get, b"k" * 600)
    show("get empty key", txn.get, b"")
    show("replace", txn.replace, b"a", b"4")
    show("replace missing", txn.replace, b"new", b"5")
    show("pop", txn.pop, b"new")
    show("pop missing", txn.pop, b"new")
    show("delete", txn.delete, b"b")
    show("delete missing", txn.delete, b"b")
    show("delete with a value", txn.delete, b"a", b"another")
    show("stat", txn.stat, env.open_db(None, txn=txn))
    show("commit", txn.commit)
    show("get after commit", txn.get, b"a")
    txn = env.begin(write=True)
    txn.put(b"gone", b"1")
    show("abort", txn.abort)
    show("put after abort", txn.put, b"a", b"1")
    reader = env.begin()
    show("reader id", reader.id)
    show("reader put", reader.put, b"a", b"1")
    show("reader delete", reader.delete, b"a")
    show("reader drop", reader.drop, env.open_db(None, txn=reader))
    show("snapshot before", lambda: everything(reader, None))
    with env.begin(write=True) as other:
        other.put(b"later", b"1")
    show("snapshot after", lambda: everything(reader, None))
    reader.abort()
    show("content", lambda: everything(env.begin(), None))
    show("rolled back by an exception", roll_back, env)
    show("content", lambda: everything(env.begin(), None))
    threads(env)
    env.close()


def roll_back(env):
    with env.begin(write=True) as txn:
        txn.put(b"rolled", b"back")
        raise KeyError("on purpose")


def threads(env):
    results = []

    def read():
        with env.begin() as txn:
            results.append(txn.get(b"later"))

    workers = [threading.Thread(target=read) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    show("eight threads", lambda: results)


def nested():
    begin_section("nested")
    env = open_env("nested")
    with env.begin(write=True) as txn:
        txn.put(b"a", b"parent")
        with env.begin(write=True, parent=txn) as child:
            show("the parent's put", child.get, b"a")
            child.put(b"a", b"child")
            child.put(b"b", b"child")
        show("after the child's commit", txn.get, b"a")
        child = env.begin(write=True, parent=txn)
        child.delete(b"a")
        show("deleted in the child", child.get, b"a")
        show("parent is blocked", txn.get, b"a")
        child.abort()
        show("after the child's abort", txn.get, b"a")
    show("content", lambda: everything(env.begin(), None))
    show("read-only child", lambda: env.begin(parent=env.begin(), write=True))
    env.close()


def buffers():
    begin_section("buffers")
    env = open_env("buffers")
    with env.begin(write=True) as txn:
        for n in range(100):
            txn.put(key(n), bytes([n]) * n * 50)
    with env.begin(buffers=True) as txn:
        show("get", txn.get, key(7))
        show("kind", lambda: type(txn.get(key(7))).__name__)
        cursor = txn.cursor()
        show("first", cursor.first)
        show("item", cursor.item)
        show("iternext", lambda: [(bytes(k), len(v)) for k, v in cursor.iternext()])
        held = [txn.get(key(n)) for n in range(100)]
        with env.begin(write=True) as writer:
            for n in range(100):
                writer.put(key(n), b"other")
        show("kept", lambda: [bytes(value) == bytes([n]) * n * 50 for n, value in enumerate(held)])
    with env.begin(write=True, buffers=True) as txn:
        cursor = txn.cursor()
        cursor.set_key(key(3))
        show("put what was given", txn.put, bytes(cursor.key()) + b"x", cursor.value())
        show("pop", txn.pop, key(3))
        show("replace", txn.replace, key(4), b"new")
    env.close()


# ---- databases -----------------------------------------------------------------------------------


def databases():
    begin_section("database")
    env = open_env("dbs", max_dbs=3)
    show("open_db missing", env.open_db, b"none", create=False)
    one = env.open_db(b"one")
    two = env.open_db(b"two", reverse_key=True)
    three = env.open_db(b"three", integerkey=True)
    show("one too many", env.open_db, b"four")
    show("same again", lambda: env.open_db(b"one") is not None)
    with env.begin(write=True) as txn:
        for name, db in (("one", one), ("two", two), ("three", three)):
            show(f"flags of {name}", db.flags, txn)
        for n in (300, 2, 70000, 1, 256):
            txn.put(b"%d" % n, b"1", db=one)
            txn.put(b"%d" % n, b"2", db=two)
            txn.put(n.to_bytes(8, "little"), b"3", db=three)
        for name, db in (("one", one), ("two", two), ("three", three)):
            show(f"order of {name}", lambda: everything(txn, db))
            show(f"stat of {name}", txn.stat, db)
        show("names", lambda: [k for k, v in txn.cursor()])
        show("put on a name", txn.put, b"one", b"x")
    txn = env.begin(write=True)
    show("delete a name", txn.delete, b"one")
    show("after that", txn.get, b"x", db=one)
    show("commit of that", txn.commit)
    with env.begin(write=True) as txn:
        show("drop, delete=False", txn.drop, one, delete=False)
        show("empty", lambda: everything(txn, one))
        show("put", txn.put, b"again", b"1", db=one)
        show("drop", txn.drop, two)
    show("names", lambda: [k for k, v in env.begin().cursor()])
    show("dropped", env.open_db, b"two", create=False)
    show("created again", lambda: env.open_db(b"two") is not None)
    env.close()
    env = open_env("dbs", readonly=True)
    show("reopened", lambda: everything(env.begin(), env.open_db(b"one", create=False)))
    env.close()


# ---- cursors -------------------------------------------------------------------------------------

MOVES = ("first", "next", "next", "prev", "last", "next", "prev", "next_nodup", "prev_nodup")
DUP_MOVES = ("first_dup", "next_dup", "next_dup", "next_dup", "prev_dup", "last_dup", "prev_dup",
             "next_nodup", "first_dup", "prev_nodup", "last_dup", "next", "prev")


def walk(cursor, moves):
    for move in moves:
        show(move, getattr(cursor, move))
        show("item", cursor.item)


def cursors():
    begin_section("cursor")
    env = open_env("cursors")
    with env.begin(write=True) as txn:
        for n in range(0, 1000, 10):
            txn.put(key(n), b"%d" % n)
        cursor = txn.cursor()
        show("not positioned", cursor.item)
        show("key", cursor.key)
        show("value", cursor.value)
        walk(cursor, MOVES)
        for call in ("set_key", "set_range"):
            for wanted in (key(500), key(505), b"", b"zzz"):
                show(f"{call} {wanted}", getattr(cursor, call), wanted)
                show("item", cursor.item)
        show("get", cursor.get, key(20))
        show("get missing", cursor.get, key(21), b"default")
        iteration(cursor)
        show("delete", lambda: (cursor.set_key(key(30)), cursor.delete(), cursor.item()))
        show("delete to the end", delete_rest, cursor, key(950))
        show("put", cursor.put, key(33), b"33")
        show("item", cursor.item)
        show("put, overwrite=False", cursor.put, key(33), b"34", overwrite=False)
        show("put, append", cursor.put, key(1), b"x", append=True)
        show("replace", cursor.replace, key(33), b"35")
        show("pop", cursor.pop, key(33))
        show("pop missing", cursor.pop, key(33))
        show("count", lambda: (cursor.first(), cursor.count()))
        show("putmulti", cursor.putmulti, [(key(n), b"m") for n in range(0, 50, 5)])
        show("putmulti, overwrite=False", cursor.putmulti,
             [(key(n), b"M") for n in range(0, 50, 4)], overwrite=False)
        show("putmulti, append", cursor.putmulti, [(b"l%d" % n, b"") for n in range(5)], append=True)
        show("putmulti, append lower", cursor.putmulti, [(b"a", b"")], append=True)
        show("getmulti", cursor.getmulti, [key(0), key(4), key(3), b"none", key(940)])
        show("close", cursor.close)
        show("closed", cursor.first)
        show("everything", lambda: everything(txn, None))
    with env.begin() as txn:
        with txn.cursor() as cursor:
            show("reader's put", cursor.put, b"a", b"b")
            show("reader's delete", lambda: (cursor.first(), cursor.delete()))
            show("iterate over the cursor", lambda: list(cursor))
    env.close()


def delete_rest(cursor, start):
    count = 0
    cursor.set_range(start)
    while cursor.delete():
        count += 1
    return count


def iteration(cursor):
    for name in ("iternext", "iterprev", "iternext_nodup", "iterprev_nodup"):
        for keys, values in ((True, True), (True, False), (False, True), (False, False)):
            cursor.set_key(key(500))
            if name.startswith("iternext"):
                show(f"{name} {keys} {values}",
                     lambda: list(getattr(cursor, name)(keys=keys, values=values)))
            else:
                show(f"{name} {keys} {values}",
                     lambda: list(getattr(cursor, name)(keys=keys, values=values)))
    cursor.first()
    show("iterprev at the first", lambda: list(cursor.iterprev()))
    cursor.last()
    show("iternext at the last", lambda: list(cursor.iternext()))


# ---- duplicates ----------------------------------------------------------------------------------


def dup_cursor(txn, db, wanted):
    cursor = txn.cursor(db)
    walk(cursor, ("first",) + DUP_MOVES)
    for pair in ((wanted, b"3"), (wanted, b"35"), (wanted, b""), (b"none", b"3")):
        show(f"set_key_dup {pair}", cursor.set_key_dup, *pair)
        show(f"set_range_dup {pair}", cursor.set_range_dup, *pair)
    show("set_key", cursor.set_key, wanted)
    show("count", cursor.count)
    for name in ("iternext_dup", "iterprev_dup", "iternext_nodup", "iterprev_nodup", "iternext",
                 "iterprev"):
        for keys, values in ((False, True), (True, True), (True, False)):
            cursor.set_key(wanted)
            show(f"{name} {keys} {values}",
                 lambda: list(getattr(cursor, name)(keys=keys, values=values)))
    return cursor


def duplicates():
    begin_section("duplicates")
    env = open_env("dups")
    db = env.open_db(b"dups", dupsort=True)
    with env.begin(write=True) as txn:
        show("flags", db.flags, txn)
        for n in range(300):
            txn.put(b"k%d" % (n % 7), b"%d" % n, db=db)
        txn.put(b"single", b"1", db=db)
        show("put twice", txn.put, b"k1", b"1", db=db)
        show("put twice, dupdata=False", txn.put, b"k1", b"1", dupdata=False, db=db)
        show("put new, dupdata=False", txn.put, b"k1", b"1x", dupdata=False, db=db)
        show("put, overwrite=False", txn.put, b"k1", b"2", overwrite=False, db=db)
        show("put, append", txn.put, b"k1", b"zz", append=True, db=db)
        show("put, append lower", txn.put, b"k1", b"za", append=True, db=db)
        show("put long", txn.put, b"k1", b"v" * 512, db=db)
        show("put longest", txn.put, b"k1", b"v" * 511, db=db)
        show("get", txn.get, b"k1", db=db)
        show("stat", txn.stat, db)
        show("replace", txn.replace, b"single", b"2", db=db)
        show("replace several", txn.replace, b"k2", b"new", db=db)
        show("pop several", txn.pop, b"k2", db=db)
        show("delete one", txn.delete, b"k3", b"3", db=db)
        show("delete one that is not there", txn.delete, b"k3", b"3", db=db)
        show("delete all of a key", txn.delete, b"k4", db=db)
        cursor = dup_cursor(txn, db, b"k3")
        show("delete at cursor", lambda: (cursor.set_key(b"k3"), cursor.delete(), cursor.item()))
        show("delete dupdata", lambda: (cursor.set_key(b"k3"), cursor.delete(dupdata=True),
                                        cursor.key()))
        show("cursor put", cursor.put, b"k5", b"5x")
        show("item", cursor.item)
        show("cursor replace", cursor.replace, b"single", b"3")
        show("cursor pop", cursor.pop, b"single")
        show("putmulti", cursor.putmulti, [(b"m", b"%d" % n) for n in range(20)])
        show("putmulti, dupdata=False", cursor.putmulti, [(b"m", b"%d" % n) for n in range(15, 25)],
             dupdata=False)
        show("putmulti, append", cursor.putmulti, [(b"n", b"%02d" % n) for n in range(20)],
             append=True)
        show("getmulti", cursor.getmulti, [b"m", b"none", b"n"])
        show("getmulti, dupdata", cursor.getmulti, [b"m", b"none", b"n"], dupdata=True)
    with env.begin(db=db) as txn:
        show("everything", lambda: everything(txn, db))
        show("backwards", lambda: list(txn.cursor().iterprev()))
        show("keys", lambda: list(txn.cursor().iternext_nodup()))
    env.close()


def fixed_duplicates():
    begin_section("fixed")
    env = open_env("fixed")
    kinds = {
        b"fixed": {"dupfixed": True},
        b"integers": {"dupfixed": True, "integerdup": True},
        b"all": {"dupfixed": True, "integerdup": True, "integerkey": True},
        b"sorted": {"integerkey": True},
    }
    for name, kind in kinds.items():
        db = env.open_db(name, dupsort=True, **kind)
        width = 8 if "integerkey" in kind else 3
        with env.begin(write=True, db=db) as txn:
            show("flags", db.flags, txn)
            cursor = txn.cursor()
            for k in range(3):
                items = [(k.to_bytes(width, "little"), (n * 7919 % 1000).to_bytes(8, "little"))
                         for n in range(k * 600)]
                show("putmulti", cursor.putmulti, items)
            keys = [k.to_bytes(width, "little") for k in range(4)]
            show("getmulti", cursor.getmulti, keys)
            show("getmulti, dupdata", cursor.getmulti, keys, dupdata=True)
            if "dupfixed" in kind:
                show("getmulti, dupfixed_bytes", cursor.getmulti, keys, dupdata=True,
                     dupfixed_bytes=8)
                show("getmulti, keyfixed", lambda: bytes(
                    cursor.getmulti(keys, dupdata=True, dupfixed_bytes=8, keyfixed=True)))
            show("count", lambda: (cursor.set_key(keys[2]), cursor.count()))
            show("last_dup", lambda: (cursor.last_dup(), cursor.value()))
            show("set_range_dup", lambda: (
                cursor.set_range_dup(keys[1], (500).to_bytes(8, "little")), cursor.item()))
            show("iternext_dup", lambda: list(cursor.iternext_dup()))
            show("delete", lambda: (cursor.set_key(keys[1]), cursor.delete(), cursor.count()))
            # On the next key, whose many duplicates the real library has not set up: no item().
            show("delete dupdata", lambda: (cursor.delete(dupdata=True), cursor.key() != b"x"))
            show("everything", lambda: everything(txn, db))
            show("stat", txn.stat, db)
            show("drop", txn.drop, db, delete=False)
            show("stat", txn.stat, db)
    env.close()


def main():
    library = os.path.realpath(sys.argv[2])
    if sys.argv[3] == "plain":
        for part in (environments, environment_options, copies, full_map, transactions, nested,
                     buffers, databases, cursors):
            part()
    else:
        duplicates()
        fixed_duplicates()
    if serving_library() != [library]:
        sys.exit(f"FAILED: mapped is {serving_library()}, expected {library}")


main()
