#!/usr/bin/python3
"""python_job.py ENVIRONMENT LIBRARY: python3-lmdb reads and writes an environment.

The interpreter and its extension module are the system's, linked to the system's liblmdb.so.0;
which library really serves them is decided by the loader's search path. LIBRARY is the one expected,
and the process's own memory map is asked. Prints one line of figures a step, "step<TAB>value", that
must be the same whatever the library is, and times as "time step<TAB>milliseconds".
"""
import hashlib
import os
import random
import sys
import time

import lmdb

MAP_SIZE = 1 << 30
WRITES = 20000


def serving_library():
    with open("/proc/self/maps") as maps:
        return sorted({line.split()[-1] for line in maps if "liblmdb" in line})


class Timer:
    def __init__(self, step):
        self.step = step

    def __enter__(self):
        self.begin = time.perf_counter()

    def __exit__(self, *exception):
        print(f"time {self.step}\t{round((time.perf_counter() - self.begin) * 1000)}")


def open_environment(path):
    return lmdb.open(path, map_size=MAP_SIZE, max_dbs=8)


def read_all(env, name):
    digest, count, keys = hashlib.sha256(), 0, []
    with env.begin(db=env.open_db(name, create=False)) as txn:
        for key, value in txn.cursor():
            digest.update(len(key).to_bytes(4, "little") + key)
            digest.update(len(value).to_bytes(4, "little") + value)
            count += 1
            keys.append(key)
    print(f"{name.decode()}\t{count} {digest.hexdigest()}")
    return keys


def read_some(env, name, keys):
    total = 0
    with env.begin(db=env.open_db(name, create=False)) as txn:
        for key in random.Random(1).choices(keys, k=100000):
            total += len(txn.get(key))
    print(f"{name.decode()} picked\t{total}")


def write(env, keys):
    visits = env.open_db(b"visits")
    for start in range(0, WRITES, 1000):
        with env.begin(db=visits, write=True) as txn:
            for number in range(start, start + 1000):
                txn.put(b"%08d" % (number * 7919 % WRITES), keys[number % len(keys)] * 3)
    with env.begin(db=visits, write=True) as txn:
        for number in range(0, WRITES, 2):
            assert txn.delete(b"%08d" % number)
    try:
        with env.begin(db=visits, write=True) as txn:
            txn.put(b"never", b"committed")
            raise KeyError
    except KeyError:
        pass


def main():
    path, library = sys.argv[1], os.path.realpath(sys.argv[2])
    env = open_environment(path)
    mapped = [os.path.realpath(name) for name in serving_library()]
    mapped = [name for name in mapped if os.path.basename(name).startswith("liblmdb")]
    if mapped != [library]:
        sys.exit(f"FAILED: mapped is {mapped}, expected {library}")
    with Timer("python: read all"):
        keys = read_all(env, b"words")
        read_all(env, b"packages")
    with Timer("python: 100,000 gets"):
        read_some(env, b"words", keys)
    with Timer("python: 20 commits"):
        write(env, keys)
    env.close()
    env = open_environment(path)
    read_all(env, b"visits")
    read_all(env, b"words")
    env.close()


main()
