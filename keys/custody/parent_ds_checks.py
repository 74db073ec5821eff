"""What has to be asked of others before a command is carried out: of the parent its DS, of the KMS the key.

A KSK that a DS names, or that a cached DS may name, is what validators look for; without it the zone is bogus. Where no
parent is known, the last KSK that every cache knows may be the one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import trio

from keys.custody.action_executor import Services
from keys.custody.parent_interface import Parent, ParentUnavailable
from keys.dnssec.ds import names_key
from keys.dnssec.name_text import to_text
from keys.kms.kms_errors import KmsError, KmsUnavailable
from keys.rules.commands import (
    IN_PARENT,
    IN_USE,
    UNAVAILABLE,
    WRONG_ARN,
    ActivateKsk,
    Command,
    CreateKsk,
    DeactivateKsk,
    DisableSigning,
    EnableSigning,
    RequestRefusedError,
    WithdrawDs,
    leaving,
)
from keys.rules.events import Event, ParentSeen
from keys.rules.keyring import Keyring, Ksk, KskStatus
from keys.rules.moments import told
from keys.rules.transitions import evolve
from keys.rules.wanted_ds import ParentDs

SOON = 61
"""Seconds. A server of the parent that said a minute ago that a DS is gone can confirm it."""
_MOST_FOREIGN = 8
"""DS records that name no key here and are kept to be told: some are enough to see whose they are."""
_LONGEST_LOOK = 60.0
"""Seconds after which a look at the parent has failed, whatever it waits for."""


async def ask(keyring: Keyring, command: Command, services: Services, parent: Parent | None) -> ParentDs | None:
    """Ask the KMS and the parent what a command depends on; the parent's DS, if it depends on that.

    Raises `RequestRefusedError` where the KMS does not tell a key, or the parent can't be asked.
    """
    await _ask_kms(keyring, command, services)
    # What is about to be withdrawn is looked at once more, so that it is known what caches may hold.
    if parent is None or not (leaving(keyring, command) or isinstance(command, WithdrawDs)):
        return None
    try:
        return await look(parent, keyring.origin)
    except ParentUnavailable as error:
        if isinstance(command, WithdrawDs) and command.force:
            return None
        raise RequestRefusedError(UNAVAILABLE, f"The DS record can't be looked up at the parent: {error}") from None


async def look(parent: Parent, origin: bytes) -> ParentDs:
    """`Parent.look_up`, within a bound of time. Whatever else it raises is a failed look, too: `ParentUnavailable`.

    What it meets is made by others: no answer, and no way to give none, may stop the keys of a child.
    """
    try:
        with trio.move_on_after(_LONGEST_LOOK):
            return await parent.look_up(origin)
    except ParentUnavailable:
        raise
    except Exception as error:  # the peer's doing, as far as can be told
        raise ParentUnavailable(f"the look-up failed: {type(error).__name__}: {error}") from error
    raise ParentUnavailable(f"the look-up took longer than {_LONGEST_LOOK:.0f} s")


async def _ask_kms(keyring: Keyring, command: Command, services: Services) -> None:
    """Refuse a KSK whose key the KMS does not tell, and to enable signing with one. Raises `RequestRefusedError`.

    A KMS that can't be asked says nothing about the key: then the refusal's code is that of trying again.
    """
    match command:
        case CreateKsk(arn=arn):
            arns = [arn]
        case ActivateKsk(name=name):
            arns = [keyring.ksk(name).arn]
        case EnableSigning() if not keyring.signing:
            # Without its keys' signatures, a zone that was answered would be SERVFAIL.
            arns = [ksk.arn for ksk in keyring.ksks if ksk.status is KskStatus.ACTIVE]
        case _:
            arns = []
    for arn in filter(None, arns):
        try:
            await services.service.get_public_key(arn, keyring.hosted_zone_id)
        except KmsUnavailable as error:
            raise RequestRefusedError(UNAVAILABLE, f"The KMS can't be asked for {arn} now: {error}") from None
        except KmsError as error:
            raise RequestRefusedError(WRONG_ARN, f"The KMS key {arn} can't be used: {error}") from None


class Checked(NamedTuple):
    """What came of asking the parent."""

    events: list[Event]
    """What was seen there, if it is news: it counts, whatever becomes of the command."""
    refusal: RequestRefusedError | None = None


def check_parent(keyring: Keyring, command: Command, answer: ParentDs | None, now: float) -> Checked:
    """Whether a KSK may be taken away: not while a DS names it, nor while one may name it from a cache.

    Where no parent is known, not while no other KSK can stand in for it.

    `keyring` is as it is now: while the parent was asked, somebody else may have seen a DS that is gone since. `now` is
    the wall clock.
    """
    keys_too = isinstance(command, DisableSigning)
    events = seen_lately(keyring, answer) if answer is not None else []
    for event in events:
        keyring = evolve(keyring, event)
    if answer is None or not answer.known:
        # What was last known stays: a parent that can't be asked any more has not dropped its DS for that.
        refusals = (
            _left(keyring.ksk(k.name)) or _waiting(keyring, k, int(now), keys_too) for k in leaving(keyring, command)
        )
        refusal = _first(refusals) or _deleted(keyring, command, int(now)) or _unknown(keyring, command, int(now))
        return Checked([*events], refusal)
    event = seen(keyring, answer)
    after = evolve(keyring, event)
    # `seen_at` is rounded up, for waits that begin with it; whether one has ended is asked of the time rounded down.
    going = [after.ksk(ksk.name) for ksk in leaving(keyring, command)]
    refusals = (_named(keyring, k, answer) or _waiting(keyring, k, int(now), keys_too) for k in going)
    refusal = _first(refusals) or _deleted(after, command, int(now)) or _last_ds(after, command)
    return Checked([*events, event] if is_news(keyring, after) else [*events], refusal)


def _first(refusals: Iterable[RequestRefusedError | None]) -> RequestRefusedError | None:
    return next((one for one in refusals if one is not None), None)


def _named(keyring: Keyring, ksk: Ksk, answer: ParentDs) -> RequestRefusedError | None:
    """Whether the parent's DS names a KSK, or did when it was last looked at and has not been found gone twice."""
    if not ksk.ds_named:
        return None
    if _is_in(keyring, ksk, answer):
        said = f"The parent's DS record names Key Signing Key with name {ksk.name}: remove it there first."
    else:
        said = (
            f"The parent's DS record named Key Signing Key with name {ksk.name} until just now. It counts as removed "
            f"when all servers of the parent agree for a minute. Try again in {answer.settles_in or SOON} s."
        )
    return RequestRefusedError(IN_PARENT, said)


def _left(ksk: Ksk) -> RequestRefusedError | None:
    """Whether the DS named a KSK when it was last looked at, though no parent is known any more."""
    if not ksk.ds_named:
        return None
    return RequestRefusedError(
        IN_PARENT,
        f"The parent's DS record named Key Signing Key with name {ksk.name} at the last check, and this server no "
        "longer knows a parent to ask: name servers of the parent zone in the setting parent. If the DS record has "
        "been gone for longer than its TTL, use --force.",
    )


def _last_ds(keyring: Keyring, command: Command) -> RequestRefusedError | None:
    """Whether a withdrawal leaves the parent without a DS that names a KSK of the zone.

    One that another KSK could take the place of is not it: the parent's DS has to name that first. Nor is one that
    leads validators to no DNSKEY.
    """
    if not isinstance(command, WithdrawDs) or command.force:
        return None
    leading = [k.name for k in keyring.ksks if k.ds_named and k.published is not None]
    if leading != [command.name]:
        return None
    return RequestRefusedError(
        IN_USE,
        f"Key Signing Key with name {command.name} is the only one that the parent's DS record names: without it the "
        "zone becomes insecure. Wait until the DS record names another KSK too. To make the zone insecure on purpose: "
        f"signwright ksk withdraw-ds {to_text(keyring.origin)} {command.name} --force",
    )


def _waiting(keyring: Keyring, ksk: Ksk, now: int, keys_too: bool) -> RequestRefusedError | None:
    """Whether caches may hold a DS that named a KSK. `keys_too` is whether a DNSKEY RRset that was validated with the
    DS matters beside the DS itself.

    A validator may validate one with the last second of a DS, and takes the zone as signed as long as it holds that
    (RFC 4035 §5.3.3 bounds its TTL by its own and its RRSIGs'). What is unsigned then is bogus, and another KSK's RRSIG
    is not.
    """
    until, what = ksk.ds_until, "it"
    if until is not None and keys_too and keyring.keyset is not None:
        until += max(keyring.keyset_ttl, keyring.keyset.ttl)
        what = "it, or DNSKEY records that it led to,"
    if until is not None and until > now:
        return RequestRefusedError(
            IN_PARENT,
            f"The parent's DS record named Key Signing Key with name {ksk.name}, and caches may hold {what} until "
            f"{_moment(until, now)}.",
        )
    return None


def _deleted(keyring: Keyring, command: Command, now: int) -> RequestRefusedError | None:
    """Whether signing is to end while caches may hold DNSKEY RRsets that were validated with a DS of a KSK that was
    deleted since.
    """
    if not isinstance(command, DisableSigning) or command.force or keyring.keyset is None:
        return None
    until = keyring.deleted_ds_until
    if until == 0 or (until := until + max(keyring.keyset_ttl, keyring.keyset.ttl)) <= now:
        return None
    return RequestRefusedError(
        IN_PARENT,
        "The parent's DS record named a Key Signing Key that was deleted since, and caches may hold DNSKEY records "
        f"that it led to until {_moment(until, now)}.",
    )


def _unknown(keyring: Keyring, command: Command, now: int) -> RequestRefusedError | None:
    """Whether a KSK has to stay as long as no other one could be named: a DS that nobody here knows of may name it.

    Only what is in caches is known then, so nothing is said against a zone that is served unsigned from now on.
    """
    if not isinstance(command, DeactivateKsk) or keyring.served_unsigned:
        return None
    for ksk in leaving(keyring, command):
        others = [other for other in keyring.ksks if other.name != ksk.name and other.status is KskStatus.ACTIVE]
        if ksk.published is None or any(_stands_in(keyring, other, ksk, now) for other in others):
            continue
        ready = min((other.ready for other in others if other.ready is not None), default=None)
        when = f"before {_moment(ready, now)}" if ready is not None else "yet"
        return RequestRefusedError(
            IN_USE,
            f"Key Signing Key with name {ksk.name} cannot be deactivated: no other one with status ACTIVE is in every "
            f"cache {when}, and this server knows no parent whose DS record it could check. If no DS record names it: "
            f"signwright ksk deactivate {to_text(keyring.origin)} {ksk.name} --force",
        )
    return None


def _stands_in(keyring: Keyring, other: Ksk, ksk: Ksk, now: int) -> bool:
    """Whether each cache that knows this KSK knows the other one: all do, or the other one was published no later."""
    if keyring.is_in_every_cache(other, now):
        return True
    return other.published is not None and ksk.published is not None and other.published <= ksk.published


def _moment(at: int, now: int) -> str:
    return f"{told(at, '%Y-%m-%d %H:%M:%S UTC')} (in {at - now} s)"


def seen(keyring: Keyring, answer: ParentDs) -> ParentSeen:
    """What the parent's answer says of the zone's KSKs. One that was named still is until the answer is settled."""
    names = tuple(ksk.name for ksk in keyring.ksks if _is_in(keyring, ksk, answer) or _may_be(ksk, answer))
    # The TTL of a denial is none of the DS.
    ttl = answer.ttl if answer.rdatas or answer.settled else 0
    return ParentSeen(answer.seen_at, names, ttl, _foreign(keyring, answer))


def seen_lately(keyring: Keyring, answer: ParentDs) -> list[ParentSeen]:
    """What was there lately and is in caches for longer than is stored: a full disk may have kept it from being stored
    in its time.
    """
    events: list[ParentSeen] = []
    for lately in answer.lately:
        until = lately.seen_at + keyring.propagation + lately.ttl
        # Not what an event would make of it: that counts from what was stored last, and so would never be covered.
        if any(not k.ds_named and (k.ds_until or 0) < until and _is_in(keyring, k, lately) for k in keyring.ksks):
            events.append(seen(keyring, lately._replace(settled=False)))
            keyring = evolve(keyring, events[-1])
    return events


def _is_in(keyring: Keyring, ksk: Ksk, answer: ParentDs) -> bool:
    return ksk.public_key is not None and any(names_key(ds, keyring.origin, ksk.rdata) for ds in answer.rdatas)


def _foreign(keyring: Keyring, answer: ParentDs) -> tuple[bytes, ...]:
    """DS rdata that names none of the zone's KSKs."""
    ours = [ksk.rdata for ksk in keyring.ksks if ksk.public_key is not None]
    found = (ds for ds in answer.rdatas if not any(names_key(ds, keyring.origin, rdata) for rdata in ours))
    return tuple(sorted(found)[:_MOST_FOREIGN])


def _may_be(ksk: Ksk, answer: ParentDs) -> bool:
    return ksk.ds_named and not answer.settled


def is_going(keyring: Keyring, answer: ParentDs) -> bool:
    """Whether a DS that was there was not found any more, which has to be confirmed."""
    return any(_may_be(ksk, answer) and not _is_in(keyring, ksk, answer) for ksk in keyring.ksks)


def is_news(before: Keyring, after: Keyring) -> bool:
    """Whether what was seen has to be stored: as long as a DS goes on naming a KSK, its end is yet to come."""
    return before.foreign_ds != after.foreign_ds or [(k.ds_named, k.ds_ttl) for k in before.ksks] != [
        (k.ds_named, k.ds_ttl) for k in after.ksks
    ]
