#!/usr/bin/python3
"""live_python.py DIRECTORY SECONDS MAP_MIB: one process writes, others read and copy, through python3-lmdb.

Every transaction changes some records and the sum of a hash over all of them, which is one more record.
So whoever reads a snapshot, or a copy, can tell that it is one state and whole. Readers come and go as
processes of multiprocessing; a copy is made while the writer writes, and read in full, twice: it is the
state of one transaction, and not older than the one seen right before.
"""
import multiprocessing
import os
import random
import shutil
import struct
import sys
import time
import zlib

import lmdb

RECORDS = 2000
MAP_BYTES = int(sys.argv[3]) << 20
MASK = (1 << 64) - 1


def weight(key, value):
    return zlib.crc32(value, zlib.crc32(key)) * 2654435761 & MASK


def opened(directory, **options):
    return lmdb.open(directory, map_size=MAP_BYTES, max_dbs=2, **options)


def check(txn, db):
    """The number of the transaction that made this state, which must be whole."""
    total, count, number, wanted = 0, 0, 0, 0
    for key, value in txn.cursor(db):
        if key == b"state":
            number, wanted = struct.unpack("QQ", value)
        else:
            total = total + weight(key, value) & MASK
            count += 1
    if number and total != wanted:
        sys.exit(f"transaction {number}: {count} records, and not those it left")
    return number


def together(start, seconds):
    """When to stop: everybody begins when all are there, however long a process takes to come up."""
    start.wait()
    return time.time() + seconds


def write(directory, start, seconds, seed):
    draw = random.Random(seed)
    env = opened(directory, sync=False)
    db = env.open_db(b"records")
    total, number = 0, 0
    until = together(start, seconds)
    while time.time() < until:
        number += 1
        with env.begin(write=True, db=db) as txn:
            for _ in range(draw.choice((1, 3, 40))):
                key = b"%06d" % draw.randrange(RECORDS)
                value = b"%d " % number * draw.choice((1, 5, 900))
                old = txn.get(key)
                if old is not None:
                    total -= weight(key, old)
                if old is not None and draw.randrange(4) == 0:
                    txn.delete(key)
                else:
                    txn.put(key, value)
                    total += weight(key, value)
            total &= MASK
            txn.put(b"state", struct.pack("QQ", number, total))
    env.close()
    print("transactions", number)


def read(directory, start, seconds, number_seen):
    env = opened(directory, readonly=True)
    db = env.open_db(b"records", create=False)
    snapshots, last = 0, 0
    until = together(start, seconds)
    while snapshots == 0 or time.time() < until:
        with env.begin(db=db) as txn:
            now = check(txn, db)
            if check(txn, db) != now:
                sys.exit("a snapshot changed")
        if now < last:
            sys.exit(f"transaction {now} after {last}")
        last = now
        snapshots += 1
    env.close()
    with number_seen.get_lock():
        number_seen.value += snapshots


def copy(directory, start, seconds, copies_made):
    target = directory + "-copy"
    env = opened(directory, readonly=True)
    db = env.open_db(b"records", create=False)
    copies = 0
    until = together(start, seconds)
    while copies == 0 or time.time() < until:
        with env.begin(db=db) as txn:
            before = check(txn, db)
        shutil.rmtree(target, ignore_errors=True)
        os.mkdir(target)
        env.copy(target, compact=copies % 2 == 1)
        with env.begin(db=db) as txn:
            after = check(txn, db)
        with opened(target) as other:
            mine = other.open_db(b"records", create=False)
            for _ in range(2):
                with other.begin(db=mine) as txn:
                    number = check(txn, mine)
                if not before <= number <= after:
                    sys.exit(f"a copy of {number}, made between {before} and {after}")
        copies += 1
    env.close()
    with copies_made.get_lock():
        copies_made.value += copies


def main():
    directory, seconds = sys.argv[1], float(sys.argv[2])
    context = multiprocessing.get_context("spawn")
    snapshots, copies = context.Value("Q"), context.Value("Q")
    env = opened(directory)
    env.open_db(b"records")
    env.close()
    common = directory, context.Barrier(5), seconds
    workers = [context.Process(target=write, args=(*common, 1))]
    workers += [context.Process(target=read, args=(*common, snapshots)) for _ in range(3)]
    workers += [context.Process(target=copy, args=(*common, copies))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        sys.exit("exit codes " + " ".join(str(worker.exitcode) for worker in workers))
    if not snapshots.value or not copies.value:
        sys.exit("nothing was read, or nothing copied")
    print(f"{snapshots.value} snapshots, {copies.value} copies")


if __name__ == "__main__":
    main()
