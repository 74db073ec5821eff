"""Policies: how the keys of a zone are used, and the waits, margins and windows that follow from it.

Every time is an integer number of seconds since the epoch, every duration an integer number of seconds.
"""

from __future__ import annotations

import msgspec

HOUR = 3600
DAY = 24 * HOUR
MAXIMUM_SIGNED_TTL = 7 * DAY
"""TTLs above this are capped when signing, so that no wait of a rollover is longer than a week."""


class PolicyError(ValueError):
    """A policy that could not keep a zone valid: the name of the `field`, and what is wrong with it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the keys of one zone are used: every wait, margin and quantum, so that a test can scale a year to a minute.

    Raises `PolicyError` when made of values that could not keep a zone valid.
    """

    dnskey_ttl: int = HOUR
    """TTL of the DNSKEY RRset."""
    slot: int = 8 * HOUR
    """Length of the UTC slots for each of which the KMS signs the DNSKEY RRset once."""
    slots: int = 15
    """Slots signed at each refresh: the one that holds `now` and those that follow."""
    refresh: int = DAY
    """Time from one refresh of the slots to the next."""
    window: int = 8 * HOUR
    """Quantum of the inception of live RRSIGs."""
    margin: int = HOUR
    """Clock skew allowed for at either end of every RRSIG."""
    zsk_lifetime: int = 14 * DAY
    """Time from the publication of one ZSK to the start of the rollover to the next, before jitter."""
    zsk_jitter: int = 2 * DAY
    """A rollover starts up to this much later: a hash of zone and ZSK says how much."""
    propagation: int = 5 * 60
    """Bound on the time until the last server answers from a new state (Dprp of RFC 7583)."""
    earlier_ttl: int = 0
    """The highest TTL, negative answers included, with which another server answered the zone before it was first
    signed here: its DS waits for that, too. 0: no cache holds anything of another server.
    """
    retry: int = 5
    """Time until a call that the KMS did not answer as wished is tried again; twice as long after each failure."""
    retry_most: int = 5 * 60
    """The longest time from one such try to the next."""
    patience: int = 15 * 60
    """How long a KMS may be unavailable to an ACTIVE KSK before that becomes ACTION_NEEDED."""
    probe: int = HOUR
    """Time from one try to the next whether a KSK in ACTION_NEEDED can sign again."""
    parent_check: int = HOUR
    """Time from one look-up of the parent's DS to the next."""
    clock_tolerance: int = 10 * 60
    """The clock may lie this much before the newest stored event; further back, the keys are frozen."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) < 0:
                raise PolicyError(name, "must not be negative")
        for name in ("slot", "window", "refresh", "zsk_lifetime", "probe", "parent_check"):
            if not getattr(self, name):
                raise PolicyError(name, "must be greater than 0")
        if not self.retry:
            raise PolicyError("retry", "must be greater than 0")
        if self.retry_most < self.retry:
            raise PolicyError("retry_most", f"is {self.retry_most} s, less than retry, {self.retry} s")
        if self.dnskey_ttl > MAXIMUM_SIGNED_TTL:
            raise PolicyError("dnskey_ttl", f"is {self.dnskey_ttl} s; the maximum is {MAXIMUM_SIGNED_TTL} s, one week")
        needed = 1 + -(-2 * self.refresh // self.slot)
        if self.slots < needed:
            raise PolicyError(
                "slots",
                f"is {self.slots}, and must be at least {needed}: the slots after the first, of {self.slot} s each, "
                f"must last for two refreshes of {self.refresh} s, or one failed refresh would leave the zone without "
                "a valid DNSKEY signature",
            )
