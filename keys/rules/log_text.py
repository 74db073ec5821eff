"""The reasons in the event log that are read back: what writes one stands here beside what reads it.

The log stores text for people. The timeline needs from it which keys a signed DNSKEY RRset added and removed, which KSK
a line is about, and which DS records the parent had; lines of earlier versions lack some of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from keys.rules.keyring import Keyring

INACTIVE: Final = "not to sign yet"
"""Said of a KSK that is requested INACTIVE."""
_ADDED, _REMOVED = "adds", "removes"
_ZSK = re.compile(rf"\b({_ADDED}|{_REMOVED}) ((?:[KZ]SK \w+(?: and )?)+)")
_DS = re.compile(r"the DS names (.*), TTL \d+(?:; foreign DS: (.*))?$")
_NO_KSK = "no KSK"


class Changed(NamedTuple):
    """What a signed DNSKEY RRset added and removed; sequence numbers of ZSKs."""

    added: tuple[int, ...]
    removed: tuple[int, ...]


def changed_keys(earlier: Keyring, later: Keyring) -> str:
    """What to add to the reason of a signed DNSKEY RRset: "; adds ZSK 2; removes ZSK 1", or nothing."""
    was, now = _in_rrset(earlier), _in_rrset(later)
    parts = (_part(_ADDED, (key for key in now if key not in was)), _part(_REMOVED, (k for k in was if k not in now)))
    return "".join(parts)


def _in_rrset(keyring: Keyring) -> list[str]:
    if keyring.keyset is None:
        return []
    present = set(keyring.keyset.rdatas)
    ksks = [f"KSK {ksk.name}" for ksk in keyring.ksks if ksk.public_key is not None and ksk.rdata in present]
    return ksks + [f"ZSK {zsk.sequence}" for zsk in keyring.zsks if zsk.rdata in present]


def _part(verb: str, keys: Iterable[str]) -> str:
    named = " and ".join(keys)
    return f"; {verb} {named}" if named else ""


def changed_zsks(reason: str) -> Changed | None:
    """The ZSKs that `changed_keys` told; `None` where the reason tells of no key."""
    found = {verb: tuple(int(n) for n in re.findall(r"ZSK (\d+)", keys)) for verb, keys in _ZSK.findall(reason)}
    return Changed(found.get(_ADDED, ()), found.get(_REMOVED, ())) if found else None


def ksk_of(kind: str, reason: str) -> str:
    """The KSK that a line of the log is about, given the event's class name; of a `KmsFailed` too."""
    match kind:
        case "KskNeedsAction":
            return reason.partition(" ")[0]
        case "KskCreated":
            return reason.rpartition(" is ")[0].rpartition(": ")[2]
        case "KmsFailed":
            return reason.partition(": ")[0].rpartition(" for ")[2]
        case _:
            before, forced, _ = reason.partition(", forced")
            return (before if forced else reason.removesuffix(f", {INACTIVE}")).rpartition(": ")[2]


def error_code(reason: str) -> str:
    """The KMS's error code in the reason of a `KmsFailed`."""
    return reason.partition(": ")[2].partition(": ")[0]


class DsSeen(NamedTuple):
    """The DS RRset of the parent, as it was found."""

    ksks: tuple[str, ...]
    """The KSKs that it names."""
    foreign: bool
    """Whether it holds DS records of no key of the zone."""


def ds_names(ksks: Sequence[str], ttl: int, foreign: Sequence[str]) -> str:
    """How a reason tells of the parent's DS; `foreign` are records of no key of the zone."""
    text = f"the DS names {', '.join(ksks) or _NO_KSK}, TTL {ttl}"
    return f"{text}; foreign DS: {', '.join(foreign)}" if foreign else text


def ds_seen(reason: str) -> DsSeen | None:
    """What `ds_names` told; `None` where the reason tells of no DS."""
    found = _DS.search(reason)
    if found is None:
        return None
    return DsSeen(tuple(found[1].split(", ")) if found[1] != _NO_KSK else (), found[2] is not None)
