"""The custodian of one zone's keys: a task that plans, performs, evolves, saves, publishes, and begins again.

Nothing is published before it is durable, and nothing durable is lost: an action that was cut short is planned again
and finds its own earlier work. What a KMS or a disk fails to do is retried, while the last good keyset is served. A bug
freezes the keys of this zone alone.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

import trio

from keys.events import Action, Entry, Event, KmsFailed, TriedAgain, entry
from keys.keyset import ActiveSigner, ZoneKeys
from keys.lifecycle import evolve, plan, retry_delay
from keys.model import Policy
from keys.names import to_text
from keys.performer import Performer, Services
from keys.ring import Ring, hosted_zone_id
from keys.safety import assert_safe
from keys.seal import StateError, StateKeyWrong
from keys.status import ZoneStatus, describe
from keys.store import Secret, StateOvertaken, StateUnavailable
from keys.zsk import ZoneSigner, load_signer

Publish = Callable[[bytes, ZoneKeys], None]
"""Takes an origin and its keys to whoever answers."""

T = TypeVar("T")

_MOST_ACTIONS = 100
"""Actions in a row without a wait: more are a plan that goes in circles."""


class Custodian:
    """Keeps the keys of one signed zone; start `run` as a task."""

    def __init__(
        self, origin: bytes, policy: Policy, ksk_arn: str | None, services: Services, publish: Publish
    ) -> None:
        self.origin = origin
        self._policy = policy
        self._ksk_arn = ksk_arn
        self._services = services
        self._publish = publish
        self._log = services.log.bind(zone=to_text(origin))
        self._performer = Performer(origin, services)
        self._ring = Ring(origin, "")
        self._signers: dict[int, ZoneSigner] = {}
        self._published: ZoneKeys | None = None
        self._problem: str | None = None
        self._frozen = False
        self._woken = trio.Event()
        self._announce: Callable[[], None] | None = None

    @property
    def status(self) -> ZoneStatus:
        """How the keys are now."""
        return describe(self._ring, self._policy, self._now(), self._ksk_arn, self._problem, self._frozen)

    @property
    def ring(self) -> Ring:
        """The keys as they are stored."""
        return self._ring

    def wake(self) -> None:
        """Plan again at once; what waits for its next try is tried now."""
        self._woken.set()

    def reconfigure(self, policy: Policy, ksk_arn: str | None) -> None:
        """Follow another policy from now on."""
        self._policy, self._ksk_arn = policy, ksk_arn
        self.wake()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the keys until cancelled. Started once keys were published, or something has failed for the first time.

        Returns only when the keys are frozen. Raises nothing but `trio.Cancelled`.
        """
        self._announce = task_status.started
        try:
            await self._load()
            await self._live()
        except StateError as error:
            self._freeze(str(error), None)
        except Exception as error:  # whatever it is, it must stay this zone's
            self._freeze(f"a bug: {type(error).__name__}", error)

    # --- the loop

    async def _live(self) -> None:
        in_a_row = 0
        while True:
            await trio.lowlevel.checkpoint()
            step = plan(self._ring, self._policy, self._now(), self._ksk_arn)
            if step.action is None:
                in_a_row = 0
                await self._wait(step.wake_at)
                continue
            in_a_row += 1
            if in_a_row > _MOST_ACTIONS:
                raise RuntimeError(f"the plan goes in circles at {step.action}")
            await self._do(step.action)

    async def _do(self, action: Action) -> None:
        done = await self._performer.perform(action, self._ring, self._policy)
        earlier = ring = self._ring
        for event in done.events:
            before, ring = ring, evolve(ring, event)
            assert_safe(before, ring)
        news = [event for event in done.events if _is_news(event, earlier)]
        if await self._save(ring, [entry(event, action.why) for event in news], done.secrets):
            for event in news:
                self._tell(event, action, earlier)
            await self._show()
            if any(isinstance(event, KmsFailed) for event in done.events):
                self._started()

    async def _wait(self, until: int | None) -> None:
        """Wait until then, or less: until woken, or until it is time to look at the clock again."""
        pause = self._services.reread
        if until is not None:
            pause = min(pause, max(0.0, until - self._services.now()))
        with trio.move_on_after(pause):
            await self._woken.wait()
            self._woken = trio.Event()
            self._ring = evolve(self._ring, TriedAgain(self._now()))
            await self._show()

    # --- state

    async def _load(self) -> None:
        """Take up the ring where an earlier life left it; what it was waiting for is tried at once."""
        store = self._services.store
        attempts = 0
        while True:
            try:
                zone_id = await self._blocking(
                    lambda: store.hosted_zone_id(
                        self.origin, lambda: hosted_zone_id(self._services.new_token()), self._now()
                    )
                )
                ring = await self._blocking(lambda: store.load_ring(self.origin))
                self._ring = evolve(ring or Ring(self.origin, zone_id), TriedAgain(self._now()))
                await self._show()
            except StateUnavailable as error:
                attempts += 1
                await self._state_failed(error, attempts)
            else:
                self._problem = None
                return

    async def _save(self, ring: Ring, entries: list[Entry], secrets: tuple[Secret, ...]) -> bool:
        """Store the ring; whether it is stored and in force now. Where it is not, the plan begins anew."""
        store = self._services.store
        attempts = 0
        while True:
            try:
                self._ring = await self._blocking(lambda: store.save(ring, entries, secrets))
            except StateOvertaken as error:
                self._log.warning("somebody else changed the keys; reading them again", error=str(error))
                await self._load()
                return False
            except StateUnavailable as error:
                # What was done is kept in memory meanwhile, so that a full disk costs no KMS call.
                attempts += 1
                await self._state_failed(error, attempts)
            else:
                self._problem = None
                return True

    async def _state_failed(self, error: StateError, attempts: int) -> None:
        self._problem = str(error)
        self._log.error("the state can't be used", error=str(error), attempts=attempts)
        self._started()
        with trio.move_on_after(retry_delay(self.origin, attempts, self._policy)):
            await self._woken.wait()
            self._woken = trio.Event()

    async def _blocking(self, function: Callable[[], T]) -> T:
        return await self._services.run_blocking(function)

    # --- publishing

    async def _show(self) -> None:
        """Publish the keys as they are stored, if they are new and valid."""
        keyset = self._ring.keyset
        if keyset is None or keyset.served(self._now()) is None:
            return
        active = sorted(
            (zsk.activated, zsk.sequence, zsk.public_key)
            for zsk in self._ring.zsks
            if zsk.activated is not None and zsk.removed is None
        )
        signers = tuple(
            [ActiveSigner(since, await self._signer(sequence, public_key)) for since, sequence, public_key in active]
        )
        keys = ZoneKeys(keyset, signers, self._policy)
        if keys != self._published:
            self._publish(self.origin, keys)
            self._published = keys
        self._started()

    async def _signer(self, sequence: int, public_key: bytes) -> ZoneSigner:
        # Read back even when it was just made: what is published must be what a restart would find.
        if sequence not in self._signers:
            private_key = await self._blocking(lambda: self._services.store.load_zsk(self.origin, sequence))
            signer = load_signer(private_key)
            if signer.public_key != public_key:
                raise StateKeyWrong(f"the private key of ZSK {sequence} does not belong to its public key")
            self._signers[sequence] = signer
        return self._signers[sequence]

    def _started(self) -> None:
        if self._announce is not None:
            self._announce()
            self._announce = None

    # --- telling people

    def _tell(self, event: Event, action: Action, earlier: Ring) -> None:
        if isinstance(event, KmsFailed):
            report = self._log.error if event.refused else self._log.warning
            report(
                "the KMS refuses" if event.refused else "the KMS is not available",
                ksk=event.name,
                doing=event.doing,
                code=event.code,
                message=event.message,
                request_id=event.request_id,
                valid_until=self._ring.keyset.expiration if self._ring.keyset else None,
            )
            return
        self._log.info(type(event).__name__, why=action.why)
        for ksk in earlier.ksks:
            if ksk.trouble is not None and self._ring.ksk(ksk.name).trouble is None:
                self._log.info("the KMS answers again", ksk=ksk.name, failed_since=ksk.trouble.since)

    def _freeze(self, problem: str, bug: Exception | None) -> None:
        """Stop changing keys. What is published stays in force as long as its RRSIGs last."""
        self._frozen, self._problem = True, problem
        # The traceback as plain text: a log that adds the local variables would show private keys.
        text = "".join(traceback.format_exception(bug)) if bug is not None else None
        self._log.critical("the keys of this zone are frozen", problem=problem, traceback=text)
        self._started()

    def _now(self) -> int:
        return int(self._services.now())


def _is_news(event: Event, earlier: Ring) -> bool:
    """Whether an event is told and logged: of failures that repeat themselves only the first."""
    if not isinstance(event, KmsFailed):
        return True
    trouble = earlier.ksk(event.name).trouble
    return trouble is None or (trouble.doing, trouble.code) != (event.doing, event.code)
