"""What many zones cost: start, memory, a refresh of all of them. `docs/performance.md` tells the method.

`scripts/bench-zones` runs it. The server and the KMS emulator are two programs, each on a core of its own.

    fleet     the zones' files, the programs that run, what is asked of them
    many      from the first start to the refresh of all: what is measured
    bare      a program that only has a KMS sign: the rate that a refresh is held against
    figures   the table, and the limits that are wanted
"""
