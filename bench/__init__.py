"""Signwright beside NSD, Knot, BIND and PowerDNS: one zone, one load, one core each, rounds interleaved.

`scripts/bench` runs it; `docs/performance.md` tells the method. Nothing here is imported by the server.

    zone       the generated zone, and its pre-signed twin
    workloads  what is asked: a table, one row each
    servers    how each server is configured and started: a table, one row each
    process    children on one core, their CPU time, their end
    load       the generator (`generator/`, in C) and what it reports
    check      are the answers right: rcode, RRSIGs, denial
    limit      signatures a second in a bare loop
    rounds     the measurement
    run        all rounds of all workloads
    report     medians, ratios, the tables, the JSON file
    targets    what is to be reached: a table, one row each
    plot       the targets as a picture
    documents  tables and picture in docs/
    abuse/     floods, hostile TCP and HTTP (`scripts/bench-abuse`)
    api/       the Route 53 API: changes under load, listings, many zones (`scripts/api-speed`)
"""
