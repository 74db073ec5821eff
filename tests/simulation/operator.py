"""A person who runs the zone by what the status says, and never waits longer than it asks for."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable

import trio

from keys.custody.zsk_encryption import StateError
from keys.rules.commands import (
    Command,
    CreateKsk,
    DeactivateKsk,
    DeleteKsk,
    DisableSigning,
    EnableSigning,
    OfferDs,
    RequestRefusedError,
    WithdrawDs,
)
from keys.rules.keyring import Ksk, KskStatus
from tests.simulation.world import Killed, World

_POLL = 3600.0


class Operator:
    """Does one thing at a time."""

    def __init__(self, world: World) -> None:
        self.jobs: list[Callable[[], Awaitable[None]]] = []
        self._world = world
        self._names = itertools.count(2)

    async def run(self) -> None:
        """Keep the DS in order, and do the jobs that come up."""
        while True:
            await trio.sleep(6 * _POLL)
            if self.jobs:
                await self.jobs.pop(0)()
            await self._have_ds()

    async def ask(self, command: Command) -> bool:
        """Whether a command was accepted."""
        life = self._world.life
        if life.key_manager is None or life.dead:
            return False
        try:
            await life.key_manager.request(command)
        except (RequestRefusedError, StateError):
            return False
        except Killed:
            return False
        return not life.dead

    async def roll_ksk(self) -> None:
        """Double-Signature (RFC 6781 §4.1.2): both sign, the DS is changed, the old one goes."""
        old = [ksk for ksk in self._ksks() if ksk.status in {KskStatus.ACTIVE, KskStatus.ACTION_NEEDED}]
        is_delegated = bool(self._world.named) or self._world.above is not None
        if len(old) != 1 or not is_delegated or not self._signing():
            return
        name = f"ksk_{next(self._names)}"
        if not await self._until_accepted(CreateKsk(name)):
            return
        new = await self._until_ready(name)
        if new is None:
            await self._until_accepted(DeactivateKsk(name))
            await self._until_accepted(DeleteKsk(name))
            return
        if self._world.above is not None:
            # The zones above have both by themselves, as soon as they may.
            await self._until_accepted(WithdrawDs(old[0].name))
        else:
            await self._until_parent_is_known()
            self._world.set_ds(self._world.named | {new.rdata})
            await self._until_seen(name)
            self._world.set_ds(frozenset({new.rdata}))
        # As early as it is let go.
        await self._until_accepted(DeactivateKsk(old[0].name), 24 * 40)
        await self._until_accepted(DeleteKsk(old[0].name), 24 * 40)

    async def unsign(self, seconds: float) -> None:
        """Withdraw the DS, have the zone served unsigned as soon as that is let, and sign it again."""
        if not self._signing():
            return
        withdrawn = await self._withdraw_ds()
        if await self._until_accepted(DisableSigning(), 24 * 20):
            await trio.sleep(seconds)
        await self._until_accepted(EnableSigning(), 24 * 40)
        for name in withdrawn:
            await self._until_accepted(OfferDs(name))

    async def _withdraw_ds(self) -> list[str]:
        """Have no DS any more; the KSKs that are to be offered again, where the zones above follow the keys."""
        if self._world.above is None:
            self._world.set_ds(frozenset())
            return []
        names = [ksk.name for ksk in self._ksks() if ksk.withdrawn is None]
        for name in names:
            await self._until_accepted(WithdrawDs(name, force=True))
        return names

    async def configure_unsigned(self, seconds: float, *, withdrawn: bool) -> None:
        """Have the configuration say `signed = false` for a while, with the DS withdrawn or in spite of it."""
        if withdrawn and self._signing():
            self._world.set_ds(frozenset())
        self._world.configure(signed=False)
        await trio.sleep(seconds)
        self._world.configure(signed=True)

    async def _have_ds(self) -> None:
        """A signed zone with no DS gets one, at the second from which the status says that it may."""
        if self._world.named or not self._signing() or self._world.above is not None:
            return
        for ksk in self._ksks():
            at = self._nameable_at(ksk)
            if at is None or ksk.status is not KskStatus.ACTIVE:
                continue
            await trio.sleep(max(0.0, at - self._world.now()))
            await self._until_parent_is_known()
            now = [other for other in self._ksks() if other.name == ksk.name]
            if now and self._nameable_at(now[0]) == at and self._signing() and not self._world.life.dead:
                self._world.set_ds(frozenset({ksk.rdata}))
            return

    def _nameable_at(self, ksk: Ksk) -> int | None:
        """From when on the DS may name it; a parent that is served here too takes it from the keyring."""
        keyring = self._world.keyring
        if keyring is None or not self._world.plan.has_parent_here:
            return ksk.ready
        return keyring.nameable_at(ksk)

    async def _until_parent_is_known(self) -> None:
        """A DS that nobody could see is put nowhere: "no parent is known" is a person's word that there is none."""
        while self._world.parent_forgotten:  # noqa: ASYNC110 - a person looks every hour
            await trio.sleep(_POLL)

    async def _until_seen(self, name: str) -> None:
        """Until the status has seen the DS of a KSK that every cache has RRSIGs by: then the old one may go.

        Of a DS that it could not see, it foretells nothing.
        """
        seen = False
        while not seen:
            await trio.sleep(_POLL)
            keyring = self._world.keyring
            seen = keyring is not None and any(
                ksk.ds_named
                and ksk.status is KskStatus.ACTIVE
                and (ksk.changed or 0) + keyring.propagation + keyring.keyset_ttl <= self._world.now()
                for ksk in keyring.ksks
                if ksk.name == name
            )

    async def _until_ready(self, name: str) -> Ksk | None:
        for _ in range(24 * 20):
            for ksk in self._ksks():
                if ksk.name == name and ksk.ready is not None and ksk.ready <= self._world.now():
                    return ksk
            await trio.sleep(self._next_look([ksk.ready for ksk in self._ksks() if ksk.name == name]))
        return None

    async def _until_accepted(self, command: Command, tries: int = 24 * 20) -> bool:
        for _ in range(tries):
            if await self.ask(command):
                return True
            gone = [ksk.ds_until for ksk in self._ksks() if ksk.ds_until is not None]
            keyring = self._world.keyring
            if keyring is not None and keyring.deleted_ds_until:
                gone.append(keyring.deleted_ds_until)
            keys_gone = [at + keyring.keyset_ttl for at in gone] if keyring is not None else []
            until = [*gone, *keys_gone]
            # Also a second before what is said, which must be refused if it matters.
            await trio.sleep(self._next_look([*until, *[at - 1 for at in until]]))
        return False

    def _next_look(self, times: list[int | None]) -> float:
        now = self._world.now()
        return min([_POLL, *[at - now for at in times if at is not None and at > now]])

    def _ksks(self) -> tuple[Ksk, ...]:
        return self._world.keyring.ksks if self._world.keyring is not None else ()

    def _signing(self) -> bool:
        keyring = self._world.keyring
        return keyring is not None and keyring.signing and keyring.keyset is not None
