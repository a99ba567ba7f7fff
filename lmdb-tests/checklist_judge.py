#!/usr/bin/python3
"""checklist_judge.py REAL OURS EXCUSES [REAL2 OURS2]: what two libraries answered to the checklist.

Each file holds rows [number, area, text, answer, note]. The second pair, of rows asked again, counts
instead of the first. Prints the rows that differ without an excuse and the excuses that are not
needed; exits 1 when there are any. With --differing REAL OURS it prints the numbers that differ.
"""
import json
import re
import sys


def read_answers(path):
    with open(path) as file:
        return {row[0]: row for row in json.load(file)}


def read_excuses(path):
    """A line: a number or first-last, then the reason. Lines that begin with # are headings."""
    excuses = {}
    with open(path) as file:
        for line in file:
            if line.startswith("#") or not line.strip():
                continue
            match = re.match(r"(\d+)(?:-(\d+))?\s+(\S.*)$", line)
            if match is None:
                sys.exit(f"checklist.excuses: not a number and a reason: {line.rstrip()}")
            first, last = int(match[1]), int(match[2] or match[1])
            for number in range(first, last + 1):
                if number in excuses:
                    sys.exit(f"checklist.excuses: row {number} is excused twice")
                excuses[number] = match[3]
    return excuses


def differing(real, ours):
    if real.keys() != ours.keys():
        sys.exit("the libraries were asked different rows")
    return [number for number in sorted(real) if real[number][3] != ours[number][3]]


def main():
    if sys.argv[1] == "--differing":
        print(*differing(read_answers(sys.argv[2]), read_answers(sys.argv[3])))
        return 0
    real, ours = read_answers(sys.argv[1]), read_answers(sys.argv[2])
    excuses = read_excuses(sys.argv[3])
    if len(sys.argv) > 4:
        real.update(read_answers(sys.argv[4]))
        ours.update(read_answers(sys.argv[5]))
    different = differing(real, ours)
    faults = 0
    for number in different:
        if number not in excuses:
            faults += 1
            _, area, text, answer, note = real[number]
            print(f"row {number} [{area}] {text}\n    real: {answer[:300]}")
            print(f"    ours: {ours[number][3][:300]}" + (f"\n    note: {note}" if note else ""))
    for number in sorted(set(excuses) - set(different)):
        faults += 1
        print(f"row {number} is excused ({excuses[number]}) and does not differ")
    print(f"{len(real)} rows: {len(real) - len(different)} the same, "
          f"{len(set(different) & set(excuses))} excused, {faults} faults")
    return 1 if faults else 0


sys.exit(main())
