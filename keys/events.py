"""What a custodian may be told to do (actions), and what it tells afterwards (events); both are values.

`lifecycle.plan` names an action, the custodian performs it, and `lifecycle.evolve` turns the events into the next ring.
Every action says why, for the log and for whoever asks what comes next.
"""

from __future__ import annotations

import msgspec

from keys.keyset import SignedKeyset


class Action(msgspec.Struct, frozen=True, tag=True):
    """Something to do. One that is performed again finds its own earlier work."""

    why: str


class IntendKsk(Action, frozen=True):
    """Record that a KSK is to be made, or that the configuration names one, before anything is asked of the KMS."""

    name: str
    arn: str | None
    """The key that the configuration names; `None`: one is to be made."""


class CreateKsk(Action, frozen=True):
    """Find the KMS key tagged with the KSK's intent, or else have it made."""

    name: str


class LearnKsk(Action, frozen=True):
    """Ask the KMS for the KSK's public key, as the service that will sign with it."""

    name: str


class GenerateZsk(Action, frozen=True):
    """Make a ZSK, and store it sealed together with the ring that names it."""

    sequence: int


class SignKeyset(Action, frozen=True):
    """Have every ACTIVE KSK sign the wanted DNSKEY RRset for this slot and the next ones."""


class Event(msgspec.Struct, frozen=True, tag=True):
    """Something that has happened, at a time."""

    at: int


class KskIntended(Event, frozen=True):
    """A KSK was begun. One that was begun before and is not known to the KMS yet is replaced."""

    name: str
    token: str
    arn: str | None


class KskCreated(Event, frozen=True):
    """The KMS has made the KSK, now or in an earlier life of this process."""

    name: str
    arn: str


class KskLearned(Event, frozen=True):
    """The KSK's public key is known."""

    name: str
    public_key: bytes


class ZskGenerated(Event, frozen=True):
    """A ZSK was made; its private key is stored with the ring that this event leads to."""

    sequence: int
    public_key: bytes


class KeysetSigned(Event, frozen=True):
    """Every ACTIVE KSK has signed this DNSKEY RRset; each signature was verified."""

    keyset: SignedKeyset
    propagation: int
    """The policy's bound, in seconds, on the time until no server answers from the RRset before."""
    request_ids: tuple[str, ...] = ()


class KmsFailed(Event, frozen=True):
    """The KMS did not do what it was asked about a KSK."""

    name: str
    doing: str
    code: str
    message: str
    request_id: str
    refused: bool


class TriedAgain(Event, frozen=True):
    """Somebody asked to try again at once what waits for its next try."""


class Entry(msgspec.Struct, frozen=True):
    """A line of the event log."""

    at: int
    kind: str
    """The name of the event's class."""
    reason: str
    request_ids: tuple[str, ...] = ()
    """The KMS's names for the calls, by which its audit log can be searched."""


def entry(event: Event, reason: str) -> Entry:
    """The event as a line of the log; `reason` is its action's."""
    request_ids: tuple[str, ...] = ()
    match event:
        case KeysetSigned():
            request_ids = event.request_ids
        case KmsFailed():
            reason = f"{event.doing} for {event.name}: {event.code}: {event.message}"
            request_ids = (event.request_id,) if event.request_id else ()
        case KskCreated():
            reason = f"{reason}: {event.name} is {event.arn}"
        case _:
            pass
    return Entry(event.at, type(event).__name__, reason, request_ids)
