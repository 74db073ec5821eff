"""What a key manager may be told to do (actions), and what it tells afterwards (events); both are values.

`lifecycle.plan` names an action, the key manager performs it, and `lifecycle.evolve` turns the events into the next
keyring. Every action gives its reason, for the log and for the plan.
"""

from __future__ import annotations

import msgspec

from keys.dnssec.dnskey_rrset import SignedDnskeyRRset
from keys.dnssec.ds import ds_text
from keys.rules import log_text
from keys.rules.moments import duration

_FORCED = "forced, without checking the parent's DS"


class Action(msgspec.Struct, frozen=True, tag=True):
    """Something to do. One that is performed again finds its own earlier work."""

    why: str


class IntendKsk(Action, frozen=True):
    """Record that a KSK is to be made, or that the configuration names one, before anything is asked of the KMS."""

    name: str
    arn: str | None
    """The key that the configuration names; `None`: one is to be made."""


class MakeKsk(Action, frozen=True):
    """Find the KMS key tagged with the KSK's intent, or else have it made."""

    name: str


class LearnKsk(Action, frozen=True):
    """Ask the KMS for the KSK's public key, as the service that will sign with it."""

    name: str


class GenerateZsk(Action, frozen=True):
    """Make a ZSK, and store it encrypted together with the keyring that names it."""

    sequence: int


class SignKeyset(Action, frozen=True):
    """Have every ACTIVE KSK sign the wanted DNSKEY RRset for this slot and the next ones."""


class ConfirmPublished(Action, frozen=True):
    """Record that what is stored is published: the waits that begin with it are counted from then on."""


class ActivateZsk(Action, frozen=True):
    """Have a ZSK sign the live windows that begin from now on, in the place of the one that did."""

    sequence: int


class ProbeKsk(Action, frozen=True):
    """Ask the KMS for one signature of a KSK in ACTION_NEEDED."""

    name: str


class ForgetKsk(Action, frozen=True):
    """Drop a KSK that is DELETING and in the DNSKEY RRset no more."""

    name: str


class ObservePolicy(Action, frozen=True):
    """Record live window and propagation: higher ones before they are in force, lower ones after it."""

    window: int
    propagation: int
    earlier_ttl: int = 0


class Event(msgspec.Struct, frozen=True, tag=True):
    """Something that has happened, at a time."""

    at: int


class KskIntended(Event, frozen=True):
    """A KSK was begun. One that was begun before and is not known to the KMS yet is replaced."""

    name: str
    token: str
    arn: str | None
    active: bool = True
    asked: bool = False
    """Whether it was asked for, and not planned: then it is not the configuration that names its ARN."""


class KskCreated(Event, frozen=True):
    """The KMS has made the KSK, now or in an earlier life of this process."""

    name: str
    arn: str


class KskLearned(Event, frozen=True):
    """The KSK's public key is known."""

    name: str
    public_key: bytes


class ZskGenerated(Event, frozen=True):
    """A ZSK was made; its private key is stored with the keyring that this event leads to."""

    sequence: int
    public_key: bytes


class KeysetSigned(Event, frozen=True):
    """Every ACTIVE KSK has signed this DNSKEY RRset; each signature was verified."""

    keyset: SignedDnskeyRRset
    request_ids: tuple[str, ...] = ()
    asked: int | None = None
    """When its slots were chosen, which a slow KMS or a machine that slept can put long before `at`."""


class KmsFailed(Event, frozen=True):
    """The KMS did not do what it was asked about a KSK."""

    name: str
    doing: str
    code: str
    message: str
    request_id: str
    refused: bool
    patience: int = 15 * 60
    """The policy's bound, in seconds, on how long the KMS may be unavailable."""


class KmsProbeFailed(Event, frozen=True):
    """Asked between two refreshes, the KMS would not sign with a KSK (`kms_probes`)."""

    name: str
    doing: str
    code: str
    message: str
    request_id: str
    refused: bool


class KmsProbeSucceeded(Event, frozen=True):
    """Asked after it would not, the KMS would sign with a KSK."""

    name: str


class KskRecovered(Event, frozen=True):
    """A KSK in ACTION_NEEDED has signed again; the signature was verified."""

    name: str
    request_id: str = ""


class KskActivated(Event, frozen=True):
    """A KSK is to sign."""

    name: str


class KskDeactivated(Event, frozen=True):
    """A KSK is to leave the DNSKEY RRset."""

    name: str
    forced: bool = False
    """Whether a person ordered it without a look at the parent's DS."""


class KskDeleting(Event, frozen=True):
    """A KSK is to be forgotten."""

    name: str
    forced: bool = False
    """As of `KskDeactivated`."""


class KskDeleted(Event, frozen=True):
    """A KSK is forgotten."""

    name: str


class DsWithdrawn(Event, frozen=True):
    """The DS of a parent that is served here is to name this KSK no more."""

    name: str


class DsOffered(Event, frozen=True):
    """The DS of a parent that is served here is to name this KSK again, once every cache knows it."""

    name: str


class Published(Event, frozen=True):
    """What is stored is published. What was before it may be served for a propagation from now on."""


class ZskActivated(Event, frozen=True):
    """This ZSK signs what begins from now on; the one that did is retired."""

    sequence: int


class ZskLost(Event, frozen=True):
    """A ZSK's private key is lost or known to others: it is to be replaced as fast as is safe."""

    sequence: int


class RolloverRequested(Event, frozen=True):
    """A ZSK rollover is to begin now."""


class SigningEnabled(Event, frozen=True):
    """The zone is to be signed."""


class SigningDisabled(Event, frozen=True):
    """The zone is served unsigned from now on."""

    forced: bool = False
    """As of `KskDeactivated`."""


class SigningConfigured(Event, frozen=True):
    """What the configuration says of the setting `signed` is carried out, or was in force already."""

    signed: bool | None
    """`None`: the zone is hosted now, and has no such setting any more."""


class ServedUnsigned(Event, frozen=True):
    """The zone is about to be served unsigned, with TTLs up to `ttl` seconds, negative answers included."""

    ttl: int
    propagation: int = 0
    """The bound on the time until no server answers from an older state, where that may be longer than was known."""


class Observed(Event, frozen=True):
    """From now on the zone is served with TTLs up to `ttl`, live windows of `window`, and within `propagation`.

    What is higher than before is recorded before it is in force; what is lower, once it is in force: see `settled`.
    """

    ttl: int
    window: int
    propagation: int
    settled: bool
    """Whether nothing higher is published any more."""
    earlier_ttl: int | None = None
    """The TTL of another server that counts when the zone is first signed (`Policy.earlier_ttl`)."""


class ParentSeen(Event, frozen=True):
    """The parent's DS RRset named these KSKs, and no others."""

    names: tuple[str, ...]
    ttl: int
    foreign: tuple[bytes, ...] = ()
    """DS rdata that names none of the zone's KSKs."""


class ClockJumped(Event, frozen=True):
    """The clock went forward by `by` seconds during which nothing is known to have been served."""

    by: int


class ClockTrusted(Event, frozen=True):
    """A person says that the clock is right now: what is stored with later times was stored by a wrong one."""


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


def entry(event: Event, reason: str) -> Entry:  # noqa: PLR0912 - a table of events
    """The event as a line of the log; `reason` is its action's."""
    request_ids: tuple[str, ...] = ()
    match event:
        case KeysetSigned():
            request_ids = event.request_ids
        case KmsFailed() | KmsProbeFailed():
            reason = f"{event.doing} for {event.name}: {event.code}: {event.message}"
            request_ids = (event.request_id,) if event.request_id else ()
        case KskCreated():
            reason = f"{reason}: {event.name} is {event.arn}"
        case KskRecovered():
            reason = f"{reason}: {event.name}"
            request_ids = (event.request_id,) if event.request_id else ()
        case KskDeactivated(forced=True) | KskDeleting(forced=True):
            reason = f"{reason}: {event.name}, {_FORCED}"
        case KskIntended(active=False):
            reason = f"{reason}: {event.name}, {log_text.INACTIVE}"
        case (
            KmsProbeSucceeded()
            | KskIntended()
            | KskLearned()
            | KskActivated()
            | KskDeactivated()
            | KskDeleting()
            | KskDeleted()
            | DsWithdrawn()
            | DsOffered()
        ):
            reason = f"{reason}: {event.name}"
        case SigningDisabled(forced=True):
            reason = f"{reason}: {_FORCED}"
        case SigningConfigured():
            said = {True: "signed = true", False: "signed = false", None: "it is now a hosted zone"}
            reason = f"{reason}: {said[event.signed]}"
        case ServedUnsigned():
            reason = f"{reason}: TTL {duration(event.ttl)}"
        case ZskGenerated() | ZskActivated() | ZskLost():
            reason = f"{reason}: ZSK {event.sequence}"
        case ParentSeen():
            reason = (
                f"{reason}: {log_text.ds_names(event.names, event.ttl, [ds_text(rdata) for rdata in event.foreign])}"
            )
        case Observed():
            reason = (
                f"{reason}: TTL {duration(event.ttl)}, live window {duration(event.window)}, "
                f"propagation {duration(event.propagation)}"
            )
        case ClockJumped():
            reason = f"{reason}: by {duration(event.by)}"
        case _:
            pass
    return Entry(event.at, type(event).__name__, reason, request_ids)
