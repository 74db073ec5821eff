"""What people and programs may ask of a zone's keys, as values, and what is refused.

`decide` answers with the events that a command is, or refuses it; it is pure, and looks at the keyring alone. Whether
the parent's DS allows a key to go is asked before, by the key manager: `leaving` says which keys that is about.

The codes are Route 53's names of errors, so that its API can hand them on.
"""

from __future__ import annotations

import re

import msgspec

from keys.rules.events import (
    ClockTrusted,
    DsOffered,
    DsWithdrawn,
    Event,
    KskActivated,
    KskDeactivated,
    KskDeleting,
    KskIntended,
    RolloverRequested,
    SigningDisabled,
    SigningEnabled,
    ZskLost,
)
from keys.rules.keyring import MOST_KSKS, Keyring, Ksk, KskStatus

_NAME = re.compile(r"[A-Za-z0-9_]{3,128}")
_ARN = re.compile(r"arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:key/\S+")


class Command(msgspec.Struct, frozen=True, tag=True):
    """Something that a person or a program asks for."""


class CreateKsk(Command, frozen=True):
    """A further KSK: the KMS key with this ARN, or one that is to be made."""

    name: str
    """3 to 128 letters, digits and `_`; unique in the zone."""
    arn: str | None = None
    active: bool = True


class ActivateKsk(Command, frozen=True):
    """Have a KSK sign. One in ACTION_NEEDED is tried at once."""

    name: str


class DeactivateKsk(Command, frozen=True):
    """Take a KSK out of the DNSKEY RRset. `force` passes over what the parent's DS says, and what caches hold."""

    name: str
    force: bool = False


class DeleteKsk(Command, frozen=True):
    """Forget an INACTIVE KSK. Its key in the KMS stays."""

    name: str
    force: bool = False


class WithdrawDs(Command, frozen=True):
    """Have a parent that is served here name this KSK in its DS no more: the step before it can be deactivated.

    Refused for the last KSK that the DS names, which leaves the zone insecure; `force` does it all the same.
    """

    name: str
    force: bool = False


class OfferDs(Command, frozen=True):
    """Take a withdrawal back: a parent that is served here names this KSK as soon as every cache knows it."""

    name: str


class StartRollover(Command, frozen=True):
    """Begin a ZSK rollover now."""


class EmergencyRollover(Command, frozen=True):
    """Replace a ZSK whose private key is lost or known to others, as fast as is safe.

    The successor is published at once and signs as soon as every cache knows it: a propagation and a DNSKEY TTL later.
    """


class EnableSigning(Command, frozen=True):
    """Sign the zone with its ACTIVE KSKs."""


class DisableSigning(Command, frozen=True):
    """Serve the zone unsigned. Its KSKs stay as they are. `force` passes over what the parent's DS says."""

    force: bool = False


class TrustClock(Command, frozen=True):
    """Go on by the present time, which lies before what is stored: an earlier time was wrong, and this one is right.

    Refused unless the keys are frozen for it.
    """


class RequestRefusedError(Exception):
    """A command that is not carried out. Nothing was changed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        """Route 53's name for the error."""
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


NO_SUCH_KSK = "NoSuchKeySigningKey"
IN_USE = "KeySigningKeyInUse"
IN_PARENT = "KeySigningKeyInParentDSRecord"
WRONG_STATUS = "InvalidKeySigningKeyStatus"
EXISTS = "KeySigningKeyAlreadyExists"
TOO_MANY = "TooManyKeySigningKeys"
WRONG_NAME = "InvalidKeySigningKeyName"
WRONG_ARN = "InvalidKMSArn"
WRONG_SIGNING = "InvalidSigningStatus"
NO_ACTIVE = "KeySigningKeyWithActiveStatusNotFound"
NOT_SIGNING = "DNSSECNotFound"
BUSY = "ConcurrentModification"
UNAVAILABLE = "ServiceUnavailable"
"""The KMS or the parent can't be asked now: the same command may succeed later."""


def leaving(keyring: Keyring, command: Command) -> tuple[Ksk, ...]:
    """The KSKs that this command takes away from validators, so that no DS may name them any more.

    None for a command with `force`, and none for keys that no DS can name, since they are not published, and no DS was
    seen to.
    """
    match command:
        case DeactivateKsk(name=name, force=False) | DeleteKsk(name=name, force=False):
            named = [ksk for ksk in keyring.ksks if ksk.name == name]
        case DisableSigning(force=False):
            # One that was taken away by force may be named by a DS still.
            named = [ksk for ksk in keyring.ksks if ksk.published is not None or ksk.ds_until is not None]
        case _:
            named = []
    return tuple(ksk for ksk in named if ksk.public_key is not None)


def decide(  # noqa: PLR0912 - a table of commands
    keyring: Keyring, command: Command, now: int, token: str
) -> tuple[Event, ...]:
    """The events that the command is; none where there is nothing to do. Raises `RequestRefusedError`.

    `token` is unpredictable, for a key that is to be made.
    """
    match command:
        case CreateKsk():
            return (_create(keyring, command, now, token),)
        case ActivateKsk():
            return _activate(_named(keyring, command.name), now)
        case DeactivateKsk():
            return _deactivate(keyring, _named(keyring, command.name), now, forced=command.force)
        case DeleteKsk():
            return _delete(_named(keyring, command.name), now, forced=command.force)
        case WithdrawDs():
            return (DsWithdrawn(now, command.name),) if _named(keyring, command.name).withdrawn is None else ()
        case OfferDs():
            return (DsOffered(now, command.name),) if _named(keyring, command.name).withdrawn is not None else ()
        case StartRollover():
            return _start_rollover(keyring, now)
        case EmergencyRollover():
            return _emergency(keyring, now)
        case TrustClock():
            return (ClockTrusted(now),)
        case EnableSigning():
            return _enable(keyring, now)
        case DisableSigning():
            if not keyring.signing:
                raise RequestRefusedError(NOT_SIGNING, "The hosted zone is not signed.")
            return (SigningDisabled(now, command.force),)
        case _:
            raise TypeError(f"no decision for {type(command).__name__}")


def _named(keyring: Keyring, name: str) -> Ksk:
    try:
        return keyring.ksk(name)
    except KeyError:
        raise RequestRefusedError(NO_SUCH_KSK, f"There is no Key Signing Key with name {name}.") from None


def _create(keyring: Keyring, command: CreateKsk, now: int, token: str) -> Event:
    name = command.name
    if not _NAME.fullmatch(name):
        raise RequestRefusedError(
            WRONG_NAME, f"Invalid Key Signing Key name {name!r}: use 3 to 128 letters, digits and underscores."
        )
    if command.arn is not None and not _ARN.fullmatch(command.arn):
        raise RequestRefusedError(WRONG_ARN, f"{command.arn!r} is not the ARN of a KMS key.")
    if any(ksk.name == name for ksk in keyring.ksks):
        raise RequestRefusedError(EXISTS, f"A Key Signing Key with name {name} exists already.")
    if command.arn is not None and any(ksk.arn == command.arn for ksk in keyring.ksks):
        raise RequestRefusedError(EXISTS, f"Another Key Signing Key of this zone already uses {command.arn}.")
    if len(keyring.ksks) >= MOST_KSKS:
        raise RequestRefusedError(TOO_MANY, f"The hosted zone has {MOST_KSKS} Key Signing Keys already.")
    return KskIntended(now, name, token, command.arn, command.active, asked=True)


def _activate(ksk: Ksk, now: int) -> tuple[Event, ...]:
    if ksk.status is KskStatus.DELETING:
        raise RequestRefusedError(WRONG_STATUS, f"Key Signing Key with name {ksk.name} is being deleted.")
    return (KskActivated(now, ksk.name),) if ksk.status is KskStatus.INACTIVE else ()


def _deactivate(keyring: Keyring, ksk: Ksk, now: int, *, forced: bool) -> tuple[Event, ...]:
    if ksk.status is KskStatus.INACTIVE:
        return ()
    if ksk.status is KskStatus.DELETING:
        raise RequestRefusedError(WRONG_STATUS, f"Key Signing Key with name {ksk.name} is being deleted.")
    others = [
        k for k in keyring.ksks if k.name != ksk.name and k.status is KskStatus.ACTIVE and k.public_key is not None
    ]
    if keyring.signing and not others:
        raise RequestRefusedError(
            IN_USE,
            f"Key Signing Key with name {ksk.name} cannot be deactivated: the hosted zone is signed, and has no other "
            "Key Signing Key with status ACTIVE.",
        )
    return (KskDeactivated(now, ksk.name, forced),)


def _delete(ksk: Ksk, now: int, *, forced: bool) -> tuple[Event, ...]:
    if ksk.status is KskStatus.DELETING:
        return ()
    if ksk.status is not KskStatus.INACTIVE:
        raise RequestRefusedError(
            WRONG_STATUS,
            f"Key Signing Key with name {ksk.name} cannot be deleted because current status is not INACTIVE.",
        )
    return (KskDeleting(now, ksk.name, forced),)


def _start_rollover(keyring: Keyring, now: int) -> tuple[Event, ...]:
    if not keyring.signing or keyring.active_zsk is None:
        raise RequestRefusedError(WRONG_SIGNING, "The hosted zone is not signed.")
    if keyring.rollover_requested is not None or sum(zsk.removed is None for zsk in keyring.zsks) > 1:
        raise RequestRefusedError(BUSY, "A rollover of the zone-signing key is under way.")
    return (RolloverRequested(now),)


def _emergency(keyring: Keyring, now: int) -> tuple[Event, ...]:
    active = keyring.active_zsk
    if active is None:
        raise RequestRefusedError(WRONG_SIGNING, "The hosted zone has no active zone-signing key.")
    return () if active.lost is not None else (ZskLost(now, active.sequence),)


def _enable(keyring: Keyring, now: int) -> tuple[Event, ...]:
    if keyring.signing:
        return ()
    if keyring.configured is False:
        raise RequestRefusedError(
            WRONG_SIGNING, "The configuration serves this zone unsigned: set signed = true, then run signwright reload."
        )
    if not any(ksk.status is KskStatus.ACTIVE for ksk in keyring.ksks):
        raise RequestRefusedError(NO_ACTIVE, "The hosted zone has no Key Signing Key with status ACTIVE.")
    return (SigningEnabled(now),)
