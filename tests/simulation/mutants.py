"""Is the judge awake? Each wait and margin, made a second shorter than is safe, has to be found by it.

A mutant is a change of source, made while the module is imported (`mutation`). The second opinion of the keys,
`assert_safe`, is silenced meanwhile: what is asked is whether a resolver would have noticed.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One change of source, and a run that finds it."""

    name: str
    module: str
    old: str
    new: str
    seed: int = 0
    days: int = 365
    why: str = ""
    """Where more than one second is taken away: how much longer the wait is than it must be."""


SILENCED = Mutant(
    "no second opinion",
    "keys.rules.safety",
    '    """Compare a ring with the one that is to follow. Raises `UnsafeTransitionError`."""',
    "    return",
)

MUTANTS = (
    Mutant(
        "slot: inception",
        "keys.dnssec.windows",
        "return Window(start, end, start - policy.margin, end + policy.dnskey_ttl",
        "return Window(start, end, start - policy.margin + 1, end + policy.dnskey_ttl",
    ),
    Mutant(
        "slot: expiration",
        "keys.dnssec.windows",
        "end + policy.dnskey_ttl + policy.margin",
        "end + policy.dnskey_ttl + policy.margin - 1",
    ),
    Mutant(
        "live window: inception",
        "keys.dnssec.windows",
        "return Window(start, end, start - policy.margin, end + lasting",
        "return Window(start, end, start - policy.margin + 1, end + lasting",
    ),
    Mutant(
        "live window: expiration",
        "keys.dnssec.windows",
        "end + lasting + policy.margin",
        "end + lasting + policy.margin - 1",
    ),
    Mutant(
        "publication: wait for every cache",
        "keys.rules.transitions",
        "gone = cached_until = max(cached_until, at + ring.propagation + ring.unconfirmed)",
        "gone = cached_until = max(cached_until, at + ring.propagation + ring.unconfirmed - 1)",
    ),
    Mutant(
        "publication: the TTL served before",
        "keys.rules.transitions",
        "unconfirmed = max(unconfirmed or 0, old.ttl)",
        "unconfirmed = max(unconfirmed or 0, new.ttl)",
        seed=14,
    ),
    Mutant(
        "publication: the mark of earlier TTLs",
        "keys.rules.transitions",
        "gone = cached_until = max(cached_until, at + ring.propagation + ring.unconfirmed)",
        "gone = cached_until = at + ring.propagation + ring.unconfirmed",
        seed=23,
    ),
    Mutant(
        "publication: counted from when it is out",
        "keys.rules.transitions",
        "        # Until `gone` a cache",
        "        at = ring.refreshed or at\n        # Until `gone` a cache",
    ),
    Mutant("activation", "keys.rules.rollover", "else successor.ready", "else successor.ready and successor.ready - 1"),
    Mutant("activation: the first window", "keys.dnssec.keyset", "if since <= start:", "if since - 1 <= start:"),
    Mutant(
        "removal",
        "keys.rules.rollover",
        "max(zsk.superseded + ring.propagation + signing + ring.data_ttl, ring.data_cached_until)",
        "max(zsk.superseded + ring.propagation + signing + ring.data_ttl - min(ring.propagation, signing) - 2,"
        " ring.data_cached_until)",
        why="old windows are used up while the new state spreads, so the shorter of the two waits is slack; "
        "and the last window of the old ZSK begins a second before the first of the new one",
        seed=1,
    ),
    Mutant(
        "removal of a lost ZSK", "keys.rules.rollover", "signing = 0 if zsk.lost", "signing = -1 if zsk.lost", seed=7
    ),
    Mutant(
        "removal: the mark of lowered TTLs",
        "keys.rules.rollover",
        "+ ring.data_ttl, ring.data_cached_until)",
        "+ ring.data_ttl, 0)",
        seed=2,
    ),
    Mutant(
        "removal: the TTL before a reload",
        "keys.rules.transitions",
        "max(event.at, ring.newest) + ring.propagation + ring.data_ttl)",
        "max(event.at, ring.newest) + ring.propagation + event.ttl)",
        seed=6,
    ),
    Mutant(
        "removal: a TTL that rises",
        "keys.rules.transitions",
        "data_ttl=max(ring.data_ttl, event.ttl),",
        "data_ttl=ring.data_ttl,",
        seed=1,
    ),
    Mutant(
        "removal: counted from when it is out",
        "keys.rules.rollover",
        "max(zsk.superseded +",
        "max((zsk.retired or 0) - min(ring.propagation, signing) +",
        seed=6,
    ),
    Mutant(
        "signing starts: unsigned data in caches",
        "keys.rules.transitions",
        "unconfirmed = max(unconfirmed or 0, ring.data_ttl)",
        "unconfirmed = max(unconfirmed or 0, ring.data_ttl - 1)",
        seed=1,
    ),
    Mutant(
        "signing ends: a DS in caches",
        "keys.custody.gatekeeper",
        "until is not None and until > now:",
        "until is not None and until - 1 > now:",
        seed=7,
    ),
    Mutant(
        "signing ends: DNSKEYs that a DS led to",
        "keys.custody.gatekeeper",
        "until += max(ring.keyset_ttl, ring.keyset.ttl)",
        "until += max(ring.keyset_ttl, ring.keyset.ttl) - 1",
        seed=7,
    ),
    Mutant(
        "DS withdrawn: the parent's servers",
        "keys.rules.transitions",
        "event.at + propagation + ttl)",
        "event.at + ttl)",
    ),
    Mutant(
        "DS withdrawn: its TTL",
        "keys.rules.transitions",
        "event.at + propagation + ttl)",
        "event.at + propagation + ttl - 1)",
        seed=7,
    ),
    Mutant(
        "DS withdrawn: never asked again",
        "keys.rules.transitions",
        "    if not named and not ksk.ds_named:\n",
        "    if not named:\n",
        seed=7,
    ),
    Mutant(
        "the last RRSIG: TTL",
        "keys.dnssec.keyset",
        "min(ttl, chosen.expiration - now)",
        "min(ttl, chosen.expiration - now + 1)",
        seed=1,
    ),
    Mutant(
        "the last RRSIG: its end",
        "keys.dnssec.keyset",
        "s.inception <= now < s.expiration",
        "s.inception <= now < s.expiration - 1",
        seed=1,
    ),
    Mutant(
        "runway foretold",
        "keys.dnssec.keyset",
        "return max((s.expiration for s in self.signatures), default=0)",
        "return max((s.expiration - 1 for s in self.signatures), default=0)",
        seed=1,
    ),
    Mutant(
        "clock jump: activation",
        "keys.rules.transitions",
        "zsks=tuple(replace(z, ready=later(z.ready))",
        "zsks=tuple(replace(z, ready=z.ready)",
    ),
    Mutant(
        "clock jump: removal", "keys.rules.transitions", "removing = [at + event.by for", "removing = [at for", seed=2
    ),
    Mutant(
        "clock jump: a command before the next look", "keys.custody.custodian", "self._jumps.ahead()", "0", seed=22022
    ),
    Mutant(
        "clock jump: DNSKEYs that a DS led to",
        "keys.rules.transitions",
        "until + led_to > before",
        "until > before",
        seed=22022,
    ),
    Mutant(
        "suspended: no activation",
        "keys.rules.lifecycle",
        "or successor is None or suspended(ring) or",
        "or successor is None or",
        seed=65,
    ),
    Mutant(
        "suspended: the set stays",
        "keys.rules.refresh",
        "    if ring.keyset is not None and ring.is_set_bound:\n        return ring.keyset.rdatas\n",
        "",
        seed=16,
    ),
    Mutant(
        "runway: one slot too few", "keys.rules.refresh", "in range(policy.slots)", "in range(policy.slots - 1)", seed=1
    ),
)
