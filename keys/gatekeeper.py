"""What has to be asked of others before a command is carried out: of the parent its DS, of the KMS the key.

A KSK that a DS names, or that a cached DS may name, is what validators look for; without it the zone is bogus.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import trio

from keys.commands import IN_PARENT, WRONG_ARN, ActivateKsk, Command, CreateKsk, RequestRefusedError, leaving
from keys.ds import ds_rdata
from keys.events import Event, ParentSeen
from keys.kms.errors import KmsError
from keys.model import Policy
from keys.names import to_text
from keys.parent import Parent, ParentDs, ParentUnavailable
from keys.performer import Services
from keys.ring import Ring
from keys.transitions import evolve


class Keeper(Protocol):
    """A custodian, to whoever watches the parent."""

    @property
    def ring(self) -> Ring:
        """The keys as they are stored."""

    @property
    def policy(self) -> Policy:
        """The policy in force."""


async def check_key(ring: Ring, command: Command, services: Services) -> None:
    """Refuse a KSK whose key the KMS does not tell. Raises `RequestRefusedError`."""
    arn = None
    if isinstance(command, CreateKsk):
        arn = command.arn
    elif isinstance(command, ActivateKsk):
        arn = ring.ksk(command.name).arn
    if arn is None:
        return
    try:
        await services.service.get_public_key(arn, ring.hosted_zone_id)
    except KmsError as error:
        raise RequestRefusedError(WRONG_ARN, f"The KMS key {arn} can't be used: {error}") from None


async def check_parent(ring: Ring, command: Command, parent: Parent | None) -> list[Event]:
    """Refuse to take away a KSK that a DS names or may name from a cache; what was seen at the parent, if it is news.

    Raises `RequestRefusedError`.
    """
    ksks = leaving(ring, command)
    if parent is None or not ksks:
        return []
    try:
        answer = await parent.look_up(ring.origin)
    except ParentUnavailable as error:
        raise RequestRefusedError(IN_PARENT, f"The DS record can't be looked up at the parent: {error}") from None
    event = seen(ring, answer)
    after = evolve(ring, event)
    for ksk in ksks:
        now = after.ksk(ksk.name)
        if now.ds_named:
            raise RequestRefusedError(
                IN_PARENT, f"The parent's DS record names Key Signing Key with name {ksk.name}: remove it there first."
            )
        if now.ds_until is not None and now.ds_until > answer.seen_at:
            raise RequestRefusedError(
                IN_PARENT,
                f"The parent's DS record named Key Signing Key with name {ksk.name}, and caches may hold it until "
                f"{now.ds_until} (in {now.ds_until - answer.seen_at} s).",
            )
    return [event] if is_news(ring, after) else []


async def watch_parent(keeper: Keeper, parent: Parent | None, services: Services) -> AsyncIterator[ParentSeen]:
    """Look at the parent again and again; what is news of it. A look-up that fails is logged and made again."""
    while parent is not None:
        ring = keeper.ring
        if any(ksk.published is not None or ksk.ds_until is not None for ksk in ring.ksks):
            try:
                event = seen(ring, await parent.look_up(ring.origin))
            except ParentUnavailable as error:
                services.log.warning("the parent's DS can't be looked up", zone=to_text(ring.origin), error=str(error))
            else:
                if is_news(keeper.ring, evolve(keeper.ring, event)) or ring.parent_checked is None:
                    yield event
        await trio.sleep(keeper.policy.parent_check)


def seen(ring: Ring, answer: ParentDs) -> ParentSeen:
    """What the parent's answer says of the zone's KSKs."""
    known = [ksk for ksk in ring.ksks if ksk.public_key is not None]
    names = tuple(ksk.name for ksk in known if ds_rdata(ring.origin, ksk.rdata) in answer.rdatas)
    return ParentSeen(answer.seen_at, names, answer.ttl)


def is_news(before: Ring, after: Ring) -> bool:
    """Whether what was seen has to be stored: as long as a DS goes on naming a KSK, its end is yet to come."""
    return [(k.ds_named, k.ds_ttl) for k in before.ksks] != [(k.ds_named, k.ds_ttl) for k in after.ksks]
