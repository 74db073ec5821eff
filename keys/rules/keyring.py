"""The keyring: all that is durable of one zone's keys, as one value.

It holds facts and the times at which they became true; phases follow from them and from `now`. What a keyring may
become is said in one place, `lifecycle`. Private keys are not in it: a KSK's never leaves the KMS, a ZSK's is stored
encrypted beside the keyring, in the same transaction.

Every time is seconds since the epoch; `None` is "not yet".
"""

from __future__ import annotations

import enum
from hashlib import sha256

import msgspec

from keys.dnssec.dnskey_rrset import SignedDnskeyRRset
from keys.dnssec.registry_numbers import FLAG_KSK, FLAG_ZSK
from keys.dnssec.rrsig import dnskey_rdata, key_tag

KEYRING_VERSION = 5
"""Raised with every change to the classes below that an older program would misread."""


MOST_KSKS = 2
"""Key-signing keys that a zone may have: one, and the next one while they are rolled."""


class KskStatus(enum.Enum):
    """The status of a KSK, in Route 53's words."""

    ACTIVE = "ACTIVE"
    """It is in the DNSKEY RRset and signs it."""
    INACTIVE = "INACTIVE"
    DELETING = "DELETING"
    ACTION_NEEDED = "ACTION_NEEDED"
    """The KMS does not let it sign; its DNSKEY and the RRSIGs already made stay."""
    INTERNAL_FAILURE = "INTERNAL_FAILURE"


class Trouble(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a KMS last answered about a KSK instead of doing what it was asked."""

    doing: str
    """The call, as the KMS names it."""
    code: str
    message: str
    request_id: str
    refused: bool
    """Whether a person has to change something (`KmsRefused`); else another try may do (`KmsUnavailable`)."""
    since: int
    """The first failure of an unbroken row of them."""
    at: int
    """The last one."""
    attempts: int
    """Failures since the last success, or since somebody asked to try again at once."""


class Ksk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key-signing key: a key of the KMS with a role in this zone."""

    name: str
    """Unique in its zone: letters, digits and `_`."""
    intent: str
    """The random token under which its making was recorded beforehand, and with which its key in the KMS is tagged."""
    status: KskStatus
    intended: int
    brought: bool = False
    """Whether the configuration named its ARN, so that another one may take its place as long as nothing is signed."""
    arn: str | None = None
    created: int | None = None
    """When its ARN was known."""
    public_key: bytes | None = None
    """x‖y, 64 bytes; `None` until the KMS has told it."""
    changed: int | None = None
    """When its status last changed."""
    published: int | None = None
    """When a DNSKEY RRset with it was first stored signed; `None` again once one without it is."""
    ready: int | None = None
    """When every cache that held a DNSKEY RRset without it has dropped that: from then on a DS may name it."""
    out: int | None = None
    """When the first DNSKEY RRset with it was known to be published: every member answers with it from then on."""
    unseen: int = 0
    """Seconds after `out` for which a cache may hold or still be given something that knows nothing of it."""
    trouble: Trouble | None = None
    ds_named: bool = False
    """Whether the parent's DS RRset named it when last looked at."""
    ds_until: int | None = None
    """Once the parent's DS has named it: when the last cache drops the last DS RRset known to have named it."""
    ds_ttl: int = 0
    """The highest TTL of those DS RRsets."""
    withdrawn: int | None = None
    """Since when a parent that is served here is to name it in its DS no more."""
    forced: int | None = None
    """When a person last took it away without a look at the parent's DS (`--force`)."""

    @property
    def rdata(self) -> bytes:
        """Its DNSKEY rdata. Raises `ValueError` while its public key is not known."""
        if self.public_key is None:
            raise ValueError(f"the public key of {self.name} is not known yet")
        return dnskey_rdata(FLAG_KSK, self.public_key)

    @property
    def key_tag(self) -> int:
        """Its key tag. Raises `ValueError` while its public key is not known."""
        return key_tag(self.rdata)


class Zsk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A zone-signing key; the states of RFC 7583 §3.1 follow from its times."""

    sequence: int
    """Its number in the zone, from 1; never used again."""
    public_key: bytes
    """x‖y, 64 bytes."""
    generated: int
    published: int | None = None
    """When a DNSKEY RRset with it was first stored signed (Tpub)."""
    ready: int | None = None
    """When every cache that held a DNSKEY RRset without it has dropped that (Trdy): known from its publication on."""
    out: int | None = None
    """As of a KSK."""
    unseen: int = 0
    """As of a KSK."""
    activated: int | None = None
    """It signs the live windows that begin from here on (Tact)."""
    retired: int | None = None
    """It signs no live window that begins from here on (Tret)."""
    superseded: int | None = None
    """When the keys that retire it were out: published to all backends, which may be a while after `retired`."""
    removed: int | None = None
    """When a DNSKEY RRset without it was stored signed (Trem)."""
    lost: int | None = None
    """When a person said that its private key is lost or known to others."""

    @property
    def rdata(self) -> bytes:
        """Its DNSKEY rdata."""
        return dnskey_rdata(FLAG_ZSK, self.public_key)

    @property
    def key_tag(self) -> int:
        """Its key tag."""
        return key_tag(self.rdata)


class ZskPhase(enum.Enum):
    """The states of a ZSK (RFC 7583 §3.1)."""

    GENERATED = "generated"
    PUBLISHED = "published"
    READY = "ready"
    ACTIVE = "active"
    RETIRED = "retired"
    REMOVED = "removed"


def zsk_phase(zsk: Zsk, now: int) -> ZskPhase:
    """The state that follows from the ZSK's times and `now`."""
    if zsk.removed is not None:
        return ZskPhase.REMOVED
    if zsk.retired is not None and zsk.retired <= now:
        return ZskPhase.RETIRED
    if zsk.activated is not None and zsk.activated <= now:
        return ZskPhase.ACTIVE
    if zsk.published is None:
        return ZskPhase.GENERATED
    return ZskPhase.READY if zsk.ready is not None and zsk.ready <= now else ZskPhase.PUBLISHED


class Keyring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of one zone: replaced whole, stored whole, in one row with one revision."""

    origin: bytes
    """The apex in wire form, lower case."""
    hosted_zone_id: str
    version: int = KEYRING_VERSION
    """The form of this document."""
    revision: int = 0
    """How often it was stored; a store refuses a keyring that another one has overtaken."""
    ksks: tuple[Ksk, ...] = ()
    zsks: tuple[Zsk, ...] = ()
    ksks_intended: int = 0
    """How many KSKs were ever begun, so that no name is used twice."""
    zsks_generated: int = 0
    """How many ZSKs were ever made."""
    keyset: SignedDnskeyRRset | None = None
    refreshed: int | None = None
    """When the slots that the keyset is signed for were last chosen."""
    refresh_wanted: bool = False
    """Whether something about the KSKs has changed since."""
    signing: bool = True
    """Whether the zone is signed; if not, its keys wait."""
    enabled: bool = False
    """Only in keyrings before version 4: whether signing was asked for while the zone was served unsigned."""
    configured: bool | None = None
    """What the configuration last said of the setting `signed`, once that was carried out; `None` for a hosted zone,
    which has no such setting.
    """
    unsigned_since: int | None = None
    """When the zone was first served unsigned here; stored before the first unsigned answer, and never forgotten."""
    unsigned_ttl: int = 0
    """The highest TTL with which it was served unsigned, negative answers included; `data_cached_until` remembers what
    was lowered.
    """
    unsigned_by_force: int | None = None
    """When a person last had it served unsigned without a look at the parent's DS (`--force`)."""
    earlier_ttl: int = 0
    """The highest TTL with which another server is taken to have served the zone before it was first signed here."""
    foreign_ds: tuple[bytes, ...] = ()
    """DS rdata that the parent held when last looked at, and that names no KSK of this zone."""
    rollover_requested: int | None = None
    """When a person asked for a ZSK rollover that has not begun yet."""
    parent_checked: int | None = None
    """When the parent's DS was last looked at, with an answer."""
    newest: int = 0
    """The time of the newest event that led to this keyring; a clock that lies far before it is wrong."""
    behind: int = 0
    """By how many seconds the clock has jumped forward over slots that the keyset still has, as it was right before
    perhaps: until a clock that lies so far behind has passed them too, they are kept. 0: there are none.
    """
    landed: int = 0
    """When it last did: the slots that had ended by then are those that are kept."""
    unconfirmed: int | None = None
    """The highest TTL of the DNSKEY RRsets that were replaced and of which it is not known yet that they are served no
    more; `None` while what is stored is what is published. Published is what was stored, so an event tells of it later.
    """
    superseding: bool = False
    """Whether it is not known yet that a retired ZSK's successor is published."""
    cached_until: int = 0
    """High-water mark: when the last cache drops the last DNSKEY RRset that was served before the present one.

    It grows with each RRset that is replaced, by the TTL that that one was served with, so that lowering a TTL never
    shortens a wait that a higher one began (RFC 7583 §3.2.1).
    """
    deleted_ds_until: int = 0
    """High-water mark: when the last cache drops the last DS RRset known to have named a KSK that was deleted since."""
    keyset_ttl: int = 0
    """The largest TTL of any signed DNSKEY RRset that a cache may hold, the present one included."""
    data_ttl: int = 0
    """The largest TTL of any signed RRset that is served, negative answers included."""
    window: int = 0
    """The quantum of the live windows in which it is signed."""
    propagation: int = 0
    """The bound on the time until no server answers from an older state."""
    data_cached_until: int = 0
    """High-water mark: when the last cache drops what was served before the last time that TTL, live window or
    propagation went down (or the clock was found to have jumped).
    """

    @property
    def served_unsigned(self) -> bool:
        """Whether the zone is answered unsigned: signing is off, or it was served unsigned, and its first keyset is not
        out yet. A zone that was never served unsigned is SERVFAIL until then.
        """
        return not self.signing or (self.unsigned_since is not None and self.keyset is None)

    @property
    def was_unsigned(self) -> bool:
        """Whether a cache may ever have held unsigned answers of the zone, of this server or of another one."""
        return self.unsigned_since is not None or self.earlier_ttl > 0

    @property
    def waits(self) -> tuple[object, ...]:
        """Whatever holds a time that is waited for."""
        return self.cached_until, self.data_cached_until, self.deleted_ds_until, self.behind, self.ksks, self.zsks

    def delegation(self, now: int) -> tuple[Ksk, ...]:
        """The KSKs that the DS of a parent served here names: those that every cache knows, and that nobody withdrew.

        The very first KSK of a zone that was never served unsigned is named at once: no cache holds anything of the
        zone from before.
        """
        return tuple(ksk for ksk in self.ksks if ksk.withdrawn is None and self.is_in_every_cache(ksk, now))

    def is_in_every_cache(self, ksk: Ksk, now: int) -> bool:
        """Whether a cache that holds anything of the zone holds or finds a signed DNSKEY RRset with this KSK."""
        at = self.nameable_at(ksk)
        return at is not None and at <= now

    def nameable_at(self, ksk: Ksk) -> int | None:
        """From when on a DS at a parent served here may name this KSK: 0 for at once; `None` while it is not known."""
        if ksk.published is None:
            return None
        signing_began = next((z.activated for z in self.zsks if z.sequence == 1), None)
        if ksk.published == signing_began and not self.was_unsigned:
            return 0
        return ksk.ready

    def ksk(self, name: str) -> Ksk:
        """The KSK called `name`. Raises `KeyError`."""
        for ksk in self.ksks:
            if ksk.name == name:
                return ksk
        raise KeyError(name)

    @property
    def signing_ksks(self) -> tuple[Ksk, ...]:
        """The KSKs that are asked to sign the DNSKEY RRset: the ACTIVE ones whose public key is known.

        While the set can't change, one that is not in it waits: its signature would help nobody.
        """
        active = [k for k in self.ksks if k.status is KskStatus.ACTIVE and k.public_key is not None]
        if self.keyset is None or not self.is_set_bound:
            return tuple(active)
        return tuple(k for k in active if k.rdata in self.keyset.rdatas)

    @property
    def needing_action(self) -> tuple[Ksk, ...]:
        """The KSKs in ACTION_NEEDED: while there are any, ZSK rotation is suspended."""
        return tuple(k for k in self.ksks if k.status is KskStatus.ACTION_NEEDED)

    @property
    def is_set_bound(self) -> bool:
        """Whether the DNSKEY RRset can't change, since a KSK that can't sign now has signed the present one."""
        present = self.keyset.rdatas if self.keyset is not None else ()
        return any(k.public_key is not None and k.rdata in present for k in self.needing_action)

    def zsk(self, sequence: int) -> Zsk:
        """The ZSK with this number. Raises `KeyError`."""
        for zsk in self.zsks:
            if zsk.sequence == sequence:
                return zsk
        raise KeyError(sequence)

    @property
    def active_zsk(self) -> Zsk | None:
        """The ZSK that signs the live windows that begin now."""
        return next((z for z in self.zsks if z.activated is not None and z.retired is None), None)

    @property
    def successor(self) -> Zsk | None:
        """The ZSK that is to sign next: made, and not active yet."""
        return next((z for z in self.zsks if z.activated is None and z.removed is None), None)


def hosted_zone_id(token: str) -> str:
    """A hosted zone id as Route 53 makes them, `Z` and 20 upper-case letters and digits, out of a random token."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    number = int.from_bytes(sha256(b"hosted zone id/" + token.encode()).digest())
    letters = []
    for _ in range(20):
        number, digit = divmod(number, len(alphabet))
        letters.append(alphabet[digit])
    return "Z" + "".join(letters)
