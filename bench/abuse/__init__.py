"""Signwright under abuse, beside NSD, Knot and BIND: what honest clients notice, and what an attacker gets out of it.

`scripts/bench-abuse` runs it; `docs/security.md` tells the method. Each case is one server, started for it, under one
load, while hot queries come at a steady rate; at the end the server gets SIGTERM, still under load.

    packets       the octets of queries, and what varies in each
    datagrams     many of them in one system call, from any address of 127/8
    flood         a program: queries by schedule, whatever is answered
    prober        a program: hot queries by schedule, and the time until each is answered
    streams       a program: clients that abuse TCP, and honest ones
    requests      a program: clients that abuse HTTP
    programs      how the above are started, told to stop, and heard
    limits        the settings that rate limits, cookies and floods take, of each server
    stand         a server for one case: started, watched, ended under load
    cases         the measurement of each case
    rows          what is wanted: a table, one row each
    figures       tables for people, the JSON file, the part of docs/security.md
"""
