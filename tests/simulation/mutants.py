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
    '    """Compare a keyring with the one that is to follow. Raises `UnsafeTransitionError`."""',
    "    return",
)

MUTANTS = (
    Mutant(
        "slot: inception",
        "keys.dnssec.signature_validity",
        "return Window(start, end, start - policy.margin, end + policy.dnskey_ttl",
        "return Window(start, end, start - policy.margin + 1, end + policy.dnskey_ttl",
    ),
    Mutant(
        "slot: expiration",
        "keys.dnssec.signature_validity",
        "end + policy.dnskey_ttl + policy.margin",
        "end + policy.dnskey_ttl + policy.margin - 1",
    ),
    Mutant(
        "live window: inception",
        "keys.dnssec.signature_validity",
        "return start, end, start - policy.margin, end + lasting",
        "return start, end, start - policy.margin + 1, end + lasting",
    ),
    Mutant(
        "live window: expiration",
        "keys.dnssec.signature_validity",
        "end + lasting + policy.margin",
        "end + lasting + policy.margin - 1",
    ),
    Mutant(
        "publication: wait for every cache",
        "keys.rules.transitions",
        "gone = cached_until = max(cached_until, at + keyring.propagation + keyring.unconfirmed)",
        "gone = cached_until = max(cached_until, at + keyring.propagation + keyring.unconfirmed - 1)",
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
        "gone = cached_until = max(cached_until, at + keyring.propagation + keyring.unconfirmed)",
        "gone = cached_until = at + keyring.propagation + keyring.unconfirmed",
        seed=59,
    ),
    Mutant(
        "publication: counted from when it is out",
        "keys.rules.transitions",
        "        # Until `gone` a cache",
        "        at = keyring.refreshed or at\n        # Until `gone` a cache",
    ),
    Mutant(
        "activation",
        "keys.rules.zsk_rollover_times",
        "else successor.ready",
        "else successor.ready and successor.ready - 1",
    ),
    Mutant("activation: the first window", "keys.dnssec.zone_keys", "if since <= start:", "if since - 1 <= start:"),
    Mutant(
        "removal",
        "keys.rules.zsk_rollover_times",
        "max(zsk.superseded + keyring.propagation + signing + keyring.data_ttl, keyring.data_cached_until)",
        "max(zsk.superseded + keyring.propagation + signing + keyring.data_ttl - min(keyring.propagation, signing) - 2,"
        " keyring.data_cached_until)",
        why="old windows are used up while the new state spreads, so the shorter of the two waits is slack; "
        "and the last window of the old ZSK begins a second before the first of the new one",
        seed=1,
    ),
    Mutant(
        "removal of a lost ZSK",
        "keys.rules.zsk_rollover_times",
        "signing = 0 if zsk.lost",
        "signing = -1 if zsk.lost",
        seed=7,
    ),
    Mutant(
        "removal: the mark of lowered TTLs",
        "keys.rules.zsk_rollover_times",
        "+ keyring.data_ttl, keyring.data_cached_until)",
        "+ keyring.data_ttl, 0)",
        seed=2,
    ),
    Mutant(
        "removal: the TTL before a reload",
        "keys.rules.transitions",
        "max(event.at, keyring.newest) + keyring.propagation + keyring.data_ttl)",
        "max(event.at, keyring.newest) + keyring.propagation + event.ttl)",
        seed=6,
    ),
    Mutant(
        "removal: a TTL that rises",
        "keys.rules.transitions",
        "data_ttl=max(keyring.data_ttl, event.ttl),",
        "data_ttl=keyring.data_ttl,",
        seed=1,
    ),
    Mutant(
        "removal: counted from when it is out",
        "keys.rules.zsk_rollover_times",
        "max(zsk.superseded +",
        "max((zsk.retired or 0) - min(keyring.propagation, signing) +",
        seed=6,
    ),
    Mutant(
        "signing starts: unsigned data in caches",
        "keys.rules.transitions",
        "unconfirmed = max(unconfirmed or 0, keyring.unsigned_ttl, ",
        "unconfirmed = max(unconfirmed or 0, keyring.unsigned_ttl - 1, ",
        seed=1,
    ),
    Mutant(
        "signing ends: a DS in caches",
        "keys.custody.parent_ds_checks",
        "until is not None and until > now:",
        "until is not None and until - 1 > now:",
        seed=7,
    ),
    Mutant(
        "signing ends: DNSKEYs that a DS led to",
        "keys.custody.parent_ds_checks",
        "until += max(keyring.keyset_ttl, keyring.keyset.ttl)",
        "until += max(keyring.keyset_ttl, keyring.keyset.ttl) - 1",
        seed=7,
    ),
    Mutant(
        "signing ends: DNSKEYs that the DS of a KSK led to that was deleted",
        "keys.rules.transitions",
        "deleted_ds_until=max(keyring.deleted_ds_until, ksk.ds_until or 0, named)",
        "deleted_ds_until=0",
        seed=504,
    ),
    Mutant(
        "DS withdrawn: the parent's servers",
        "keys.rules.transitions",
        "at + propagation + ttl)",
        "at + ttl)",
        seed=9,
    ),
    Mutant(
        "DS withdrawn: its TTL",
        "keys.rules.transitions",
        "at + propagation + ttl)",
        "at + propagation + ttl - 1)",
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
        "keys.dnssec.dnskey_rrset",
        "min(ttl, chosen.expiration - now)",
        "min(ttl, chosen.expiration - now + 1)",
        seed=1,
    ),
    Mutant(
        "the last RRSIG: its end",
        "keys.dnssec.dnskey_rrset",
        "s.inception <= now < s.expiration",
        "s.inception <= now < s.expiration - 1",
        seed=1,
    ),
    Mutant(
        "runway foretold",
        "keys.dnssec.dnskey_rrset",
        "return next((until for since, until in spans if",
        "return next((until - 1 for since, until in spans if",
        seed=1,
    ),
    Mutant(
        "clock jump: activation",
        "keys.rules.transitions",
        "replace(z, ready=later(z.ready), out=out(z))",
        "z",
    ),
    Mutant(
        "clock jump: removal", "keys.rules.transitions", "removing = [at + event.by for", "removing = [at for", seed=2
    ),
    Mutant(
        "clock jump: a command before the next look", "keys.custody.key_manager", "self._jumps.ahead()", "0", seed=22022
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
        "keys.rules.next_action",
        "or successor is None or suspended(keyring) or",
        "or successor is None or",
        seed=65,
    ),
    Mutant(
        "suspended: the set stays",
        "keys.rules.dnskey_refresh",
        "    if keyring.keyset is not None and keyring.is_set_bound:\n        return keyring.keyset.rdatas\n",
        "",
        seed=16,
    ),
    Mutant(
        "runway: one slot too few",
        "keys.rules.dnskey_refresh",
        "in range(policy.slots)",
        "in range(policy.slots - 1)",
        seed=1,
    ),
    Mutant(
        "clock: no hold",
        "keys.timekeeping.clock_rules",
        "elif reading.boot < held.since + hold:",
        "elif reading.boot < held.since:",
        seed=3,
    ),
    Mutant(
        "clock: a hold without end",
        "keys.timekeeping.clock_rules",
        "elif reading.boot < held.since + hold:",
        "elif True:",
        seed=3,
    ),
    Mutant("clock: a sleep taken for a step", "keys.timekeeping.clock", "clocks.boot", "clocks.awake", seed=3),
    Mutant(
        "clock: a boot without the time",
        "keys.timekeeping.clock_rules",
        "elif state.synchronised is False and reading.synchronised:",
        "elif False:",
        seed=3,
    ),
    Mutant(
        "unsigned: its TTL is forgotten",
        "keys.rules.transitions",
        "        unsigned_ttl=max(keyring.unsigned_ttl, highest),\n",
        "",
        seed=123,
        days=60,
    ),
    Mutant(
        "unsigned: a TTL that rises",
        "keys.rules.signedness",
        "known = keyring.unsigned_since is not None and keyring.unsigned_ttl >= ttl",
        "known = keyring.unsigned_since is not None",
        seed=389,
        days=60,
    ),
    Mutant(
        "unsigned: propagation",
        "keys.rules.transitions",
        "keyring = replace(keyring, propagation=max(keyring.propagation, event.propagation))",
        "keyring = replace(keyring)",
        seed=389,
        days=60,
    ),
    Mutant(
        "unsigned: the mark of lowered TTLs",
        "keys.rules.transitions",
        "            cached_until = max(cached_until, keyring.data_cached_until)",
        "            cached_until = max(cached_until, 0)",
        seed=389,
        days=60,
    ),
    Mutant(
        "unsigned: a first KSK is named at once all the same",
        "keys.rules.keyring",
        "return self.unsigned_since is not None or self.earlier_ttl > 0",
        "return False",
        seed=338,
        days=60,
    ),
    Mutant(
        "unsigned: signing that was disabled for a while",
        "keys.rules.transitions",
        "    keyring = _served_unsigned(keyring, event.at, keyring.data_ttl)\n",
        "",
        seed=269,
        days=60,
    ),
    Mutant(
        "another server: what it answered",
        "keys.rules.transitions",
        "keyring.unsigned_ttl, _of_another_server(keyring))",
        "keyring.unsigned_ttl)",
        seed=99,
        days=60,
    ),
    Mutant(
        "signed = false: without a look at the parent",
        "keys.custody.key_manager",
        "self.request(DisableSigning(), configured=False)",
        "self.request(DisableSigning(force=True), configured=False)",
        seed=348,
        days=60,
    ),
    Mutant(
        "a parent that is known no more: its DS counts as gone",
        "keys.custody.parent_ds_checks",
        "if answer is None or not answer.known:",
        "if answer is None:",
        seed=128,
        days=60,
    ),
    Mutant(
        "parent: a failure of its own freezes",
        "keys.custody.parent_ds_checks",
        "    except Exception as error:  # the peer's doing, as far as can be told\n",
        "    except ZeroDivisionError as error:\n",
        seed=5,
        days=90,
    ),
    Mutant(
        "parent: a look without a bound",
        "keys.custody.parent_ds_checks",
        "trio.move_on_after(_LONGEST_LOOK)",
        "trio.move_on_after(60 * _LONGEST_LOOK)",
        seed=5,
        days=90,
    ),
    Mutant(
        "full disk: a copy without its WAL",
        "keys.custody.state_in_memory",
        'for name in (database.name, f"{database.name}-wal"):',
        "for name in (database.name,):",
        seed=5,
        days=90,
    ),
    Mutant(
        "full disk: no start",
        "keys.custody.state_database",
        "            return cls._reading_only(path, error, entropy, clock)\n",
        "            raise\n",
        seed=5,
        days=90,
    ),
    Mutant(
        "full disk: a start waits for what may be stored later",
        "keys.custody.key_manager",
        "if not all(_can_wait(event) for event in events):",
        "if events:",
        seed=15,
        days=90,
    ),
    Mutant(
        "DS of a child: a withdrawn KSK, at a start",
        "keys.rules.zone_standing",
        "ksk.withdrawn is not None or ksk.public_key is None",
        "ksk.public_key is None",
        seed=4,
        days=120,
    ),
    Mutant(
        "DS of a child: none until its keys are loaded",
        "server.hosting.durable_keys",
        "return DurableKeys(unsigned=False, ds=ChildDs(ds), has_keys=True",
        "return DurableKeys(unsigned=False, ds=NO_DS, has_keys=True",
        seed=4,
        days=120,
    ),
    Mutant(
        "DS of a child: unknown is none", "zones.parent_child", "if not child.known:", "if False:", seed=4, days=120
    ),
    Mutant(
        "a middle zone takes a delegation away",
        "zones.parent_child",
        "        if parent.nodes[owner].is_cut:\n            return owner\n",
        "        if False:\n            return owner\n",
        seed=4,
        days=120,
    ),
    Mutant(
        "a middle zone that is delegated by now is not answered",
        "zones.zoneset",
        "turned = turned_points(current.loaded.nodes, replaced) if loaded.signed else []",
        "turned: list[bytes] = []",
        seed=4,
        days=120,
    ),
    Mutant(
        "a zone above that is answered again has the DS of then",
        "zones.zoneset",
        "        return made._relinked({*affected, *changed})\n",
        "        return made\n",
        seed=4,
        days=120,
    ),
    Mutant(
        "a parent that leaves: its DS counts as gone",
        "server.hosting.parent_lookup",
        "known=False, lately=lately)",
        "lately=lately)",
        seed=4,
        days=120,
    ),
)
