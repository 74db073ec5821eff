"""The key manager of one zone's keys: a task that plans, performs, evolves, saves, publishes, and begins again.

Nothing is published before it is durable, and nothing durable is lost: an action that was cut short is planned again
and finds its own earlier work. What a KMS or a disk fails to do is retried, while the last good keyset is served. A bug
freezes the keys of this zone alone. A clock that is wrong, and a ZSK that can't be read, hold them until it is mended.
"""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import partial
from math import ceil

import trio

from keys.custody.action_executor import Executor, Services
from keys.custody.clock_jumps import JumpWatch
from keys.custody.key_event_log import KeyEventLog, entries
from keys.custody.key_publisher import Publisher
from keys.custody.kms_watch import KmsWatch
from keys.custody.parent_ds_checks import ask, check_parent
from keys.custody.parent_interface import Parent
from keys.custody.parent_watch import CompareNameServers, ParentWatch
from keys.custody.state_database import Secret, StateOvertaken, StateUnavailable
from keys.custody.zsk_encryption import StateError
from keys.dnssec.name_text import to_text
from keys.dnssec.signing_policy import Policy
from keys.dnssec.zone_keys import ZoneKeys
from keys.rules import moments
from keys.rules.commands import (
    WRONG_SIGNING,
    ActivateKsk,
    Command,
    DisableSigning,
    RequestRefusedError,
    TrustClock,
    decide,
)
from keys.rules.events import (
    Action,
    ClockJumped,
    Entry,
    Event,
    KeysetSigned,
    KmsFailed,
    Observed,
    SigningConfigured,
    TriedAgain,
)
from keys.rules.key_status import CLOCK_WRONG, ZoneStatus, describe
from keys.rules.keyring import Keyring, hosted_zone_id
from keys.rules.next_action import evolve, plan, retry_delay
from keys.rules.safety import UnsafeTransitionError, assert_safe, evolve_safely
from keys.rules.signedness import as_configured, disablable_at, is_to_be_disabled, unsigned_news
from keys.rules.terms import term
from keys.rules.wanted_ds import ParentDs

Publish = Callable[[bytes, ZoneKeys | None], None]
"""Takes an origin and its keys to the backends; `None`: signing is disabled, and the zone is served unsigned."""

_CONFIGURED = "configuration read"
_MOST_INTERRUPTIONS = 3
"""How often in a row what asks the KMS gives way to a request before it has got an answer."""
_MOST_ACTIONS = 100
"""Actions in a row without a wait: more are a plan that goes in circles."""


class KeyManager:
    """Keeps the keys of one zone; start `run` as a task."""

    def __init__(
        self,
        origin: bytes,
        policy: Policy,
        ksk_arn: str | None,
        services: Services,
        publish: Publish,
        *,
        parent: Parent | None = None,
        name_servers: CompareNameServers | None = None,
        signing: bool = True,
        configured: bool | None = None,
        shown: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        """`parent` looks up the DS; without one nothing is checked. `name_servers` compares the parent's NS records
        with the zone's.

        `configured` is the setting `signed`, or `None` for a zone without it; `signing` then decides whether a new zone
        starts signing by itself. `shown` is called with the origin each time the stored keys were published, or cannot
        be for now.
        """
        self.origin = origin
        self._policy, self._ksk_arn = policy, ksk_arn
        self._services, self._blocking = services, services.run_blocking
        self._parent = parent
        self._watch = ParentWatch(self, parent, services, name_servers) if parent is not None else None
        self._kms_watch = KmsWatch(self, services)
        self._executor = Executor(origin, services, self._progressed)
        self._configured = configured
        self._keyring = Keyring(
            origin, "", signing=signing if configured is None else configured, configured=configured
        )
        self._publisher, self._shown = Publisher(origin, services, publish), shown
        self._teller = KeyEventLog(origin, services)
        self._jumps = JumpWatch(services.now, services.monotonic)
        self._zone_ttl: int | None = None
        self._problem: str | None = None
        self._clock_wrong = self._frozen = self._loaded = False
        self._disabling: trio.CancelScope | None = None
        """Of the task that has signing disabled as the configuration says, while that waits for the parent's DS."""
        self._unheeded: str | None = None
        """Why that isn't done yet."""
        self._ds_seen = trio.Event()
        self._stuck: StateError | None = None
        """The disk's trouble, until it has ended."""
        self._changing_lock = trio.Lock()
        """Held to change the keyring."""
        self._storing_lock = trio.Lock()
        """Held while what somebody asked for is being stored."""
        self._given_up = False
        self._performing: trio.CancelScope | None = None
        self._interruptions = 0
        """How often it was cancelled since the KMS last answered."""
        self._waiting = 0
        """How many wait for the keyring, to change it from outside."""
        self._asked = self._settled = 0
        """How many requests were carried out, and how many of them have come to all that they lead to for now."""
        self._over = False
        self._woken, self._pausing = trio.Event(), trio.CancelScope()
        self._announce: Callable[[], None] | None = None

    # --- for others

    @property
    def status(self) -> ZoneStatus:
        """How the keys are now."""
        frozen = self._frozen or self._clock_wrong or self._publisher.problem is not None
        problem = self._problem or self._publisher.problem
        look = self._watch.latest if self._watch is not None else None
        return describe(
            self._keyring,
            self._policy,
            self._now(),
            self._ksk_arn,
            problem,
            frozen,
            self._unheeded,
            look,
            self._kms_watch.latest,
        )

    def tell_status(self) -> None:
        """Tell of what has changed in the status."""
        self._teller.tell_status(self.status)

    @property
    def keyring(self) -> Keyring:
        """The keys as they are stored."""
        return self._keyring

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._policy

    @property
    def is_clock_wrong(self) -> bool:
        """Whether nothing is done since the time lies before what is stored: `TrustClock` ends that."""
        return self._clock_wrong

    def wake(self) -> None:
        """Plan again at once, also where the time has jumped; what waits for its next try is tried now."""
        self._kms_watch.hurry()
        self._woken.set()

    def reconfigure(self, policy: Policy, ksk_arn: str | None, configured: bool | None = None) -> None:
        """Follow another policy and another setting `signed` from now on."""
        self._policy, self._ksk_arn, self._configured = policy, ksk_arn, configured
        self._ds_seen.set()
        self.wake()

    def give_up(self) -> None:
        """Refuse to store anything from now on, because another key manager takes over. Call it before `run` ends."""
        self._given_up = True

    async def let_go(self) -> None:
        """Wait, after `give_up`, until what is being stored for somebody who asked is stored."""
        async with self._storing_lock:
            pass

    async def request(self, command: Command, *, configured: bool | None = None) -> None:
        """Carry out what a person or a program asks for; durable when this returns, and acted upon soon after.

        Raises `RequestRefusedError` with Route 53's code, and `StateError` where it can't be stored; then nothing
        changed. What changes something has a call to the KMS that is under way given up and made again, a few times in
        a row; then it waits for the answer. `configured` is the setting `signed` that the command carries out, if it is
        not a person's.
        """
        self._refuse_while_frozen(command)
        decide(self._keyring, command, self._now(), "")
        try:
            answer = await ask(self._keyring, command, self._services, self._parent)
        except RequestRefusedError:
            if isinstance(command, ActivateKsk):  # the KMS does not tell its key: would it sign?
                self._kms_watch.doubt()
                self._pausing.cancel()
            raise
        self._refuse_while_frozen(command)
        seen, refusal, events = self._outcome(command, answer)
        if not seen and (refusal is not None or not events):
            # Nothing has to be stored, so nothing has to give way: repeated requests delay no refresh.
            if refusal is not None:
                raise refusal
            if isinstance(command, ActivateKsk):
                self.wake()
            return
        async with self._changing():
            self._refuse_while_frozen(command)
            seen, refusal, events = self._outcome(command, answer)
            if refusal is not None:
                await self._apply(seen, "the parent's DS was checked")
                raise refusal
            if configured is not None and configured != self._configured:
                return  # it says something else by now
            carried_out = [SigningConfigured(self._now(), configured)] if configured is not None else []
            if isinstance(command, ActivateKsk):
                self._keyring = evolve(self._keyring, TriedAgain(self._now()))
            try:
                why = f"requested: {term(type(command).__name__)}" if configured is None else _CONFIGURED
                await self._apply([*seen, *events, *carried_out], why)
            except UnsafeTransitionError as error:
                raise RequestRefusedError(WRONG_SIGNING, f"That would not be safe now: {error}") from None
            self._asked += 1
        self.wake()

    def settling(self) -> Callable[[], bool]:
        """Whether all that was asked for until now is published where every answer has it, has failed, or was given up.

        To be called now and then: the call itself neither waits nor changes anything.
        """
        asked = self._asked
        return lambda: self._settled >= asked or self._frozen or self._over

    def _outcome(
        self, command: Command, answer: ParentDs | None
    ) -> tuple[list[Event], RequestRefusedError | None, tuple[Event, ...]]:
        """What a command is as the keys are now: what was seen at the parent, and a refusal for that, or its events.

        Raises `RequestRefusedError` for any other reason.
        """
        # A jump of the clock that was not noticed yet must end no wait: the next look stores it.
        by, keyring = self._jumps.ahead(), self._keyring
        keyring = evolve(keyring, ClockJumped(self._now(), by)) if by else keyring
        seen, refusal = check_parent(keyring, command, answer, self._services.now())
        if refusal is not None:
            return seen, refusal, ()
        return seen, None, decide(keyring, command, self._now(), self._services.new_token())

    def expect_ttl(self, maximum_ttl: int) -> None:
        """Before `run` has started: the largest TTL with which the zone is served, as `observe_ttl` has it."""
        self._zone_ttl = maximum_ttl

    async def observe_ttl(self, maximum_ttl: int) -> None:
        """Take note of the largest TTL of any signed RRset of the zone, negative answers included (seconds).

        To be called before anything is served with a higher one, and after a lower one has taken its place. Durable
        when it returns; before `run` has started it is only kept. Raises `StateError` where it can't be stored.
        """
        self._zone_ttl = maximum_ttl
        if self._loaded and self._keyring.data_ttl != maximum_ttl:
            try:
                async with self._changing():
                    await self._apply(self._ttl_news(self._keyring), "the zone was loaded")
            except UnsafeTransitionError as error:
                raise StateError(f"the TTL of {to_text(self.origin)} would not be safe: {error}") from None
            self.wake()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the keys until cancelled. Started once keys were published, or something has failed for the first time.

        Returns only when the keys are frozen. Raises nothing but `trio.Cancelled`.
        """
        self._announce, self._over = task_status.started, False
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                if self._watch is not None:
                    nursery.start_soon(self._guard, self._watch_parent)
                await self._guard(self._keep)
                nursery.cancel_scope.cancel()
        finally:
            self._over = True

    # --- the loop

    async def _guard(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            with _failing_by_itself():
                await task()
        except StateError as error:
            self._freeze(str(error), None)
        except Exception as error:  # whatever it is, it must stay this zone's
            self._freeze(f"a bug: {type(error).__name__}", error)

    async def _keep(self) -> None:
        async with self._changing_lock:
            await self._load()
        in_a_row = 0
        while not self._frozen:
            await trio.lowlevel.checkpoint()
            if self._is_held():
                self._settled = self._asked
                await self._wait()
                continue
            async with self._changing_lock:
                await self._mind_jumps()
            await self._follow_configuration()
            if self._kms_watch.begin():
                self._nursery.start_soon(self._guard, self._probe_kms)
            step = plan(self._keyring, self._policy, self._now(), self._ksk_arn)
            if step.action is None:
                in_a_row, self._settled = 0, self._asked
                await self._wait(step.wake_at, self._kms_watch.due())
                continue
            if in_a_row >= _MOST_ACTIONS:
                raise RuntimeError(f"the plan goes in circles at {step.action}")
            in_a_row += await self._do(step.action)

    async def _do(self, action: Action) -> bool:
        """Perform an action and take in what came of it; whether it was not given up for a request."""
        async with self._changing_lock:
            with trio.CancelScope() as self._performing, _failing_by_itself():
                done = await self._executor.perform(action, self._keyring, self._policy)
            interrupted, self._performing = self._performing.cancelled_caught, None
            if interrupted:
                return False
            self._interruptions = 0
            earlier = keyring = self._keyring
            for event in done.events:
                before, keyring = keyring, evolve(keyring, event)
                assert_safe(before, keyring)
            await self._save(keyring, entries(done.events, action.why, earlier, keyring), done.secrets)
            self._teller.tell(done.events, action.why, earlier, self._keyring)
            if any(isinstance(event, KeysetSigned | KmsFailed) for event in done.events):
                self._kms_watch.signed()
            await self._show()
            if any(isinstance(event, KmsFailed) for event in done.events):
                self._started()
        return True

    async def _wait(self, *until: int | None) -> None:
        """Wait until one of these, or less: until woken, or until it is time to look at the clock again."""
        pause = self._services.reread
        for at in (*until, self._publisher.next_delegation):
            if at is not None:
                pause = min(pause, max(0.0, at - self._services.now()))
        woken = False
        with trio.move_on_after(pause) as self._pausing:
            await self._woken.wait()
            woken = True
        async with self._changing_lock:
            if woken:
                self._woken = trio.Event()
                self._keyring = evolve(self._keyring, TriedAgain(self._now()))
            if woken or self._publisher.is_due(self._now()):
                await self._show()
            elif any(ksk.trouble is not None for ksk in self._keyring.ksks):
                self._teller.tell_status(self.status)  # an outage may have outlasted the RRSIGs

    def _is_held(self) -> bool:
        """Whether nothing may be done now, because the clock is wrong or a private key can't be read."""
        behind = self._behind()
        wrong = behind > self._policy.clock_tolerance
        if wrong != self._clock_wrong:
            self._clock_wrong = wrong
            newest = moments.told(self._keyring.newest, "%Y-%m-%d %H:%MZ")
            said = f"{CLOCK_WRONG}: it is {moments.duration(behind)} behind the newest stored event ({newest})"
            self._problem = said if wrong else None
            self._teller.clock(self._problem)
            self._teller.tell_status(self.status)
        held = wrong or self._publisher.problem is not None
        if held:
            self._started()
        return held

    async def _mind_jumps(self) -> None:
        """Move the waits for a jump of the clock, before anything follows from the new time.

        The caller has exclusive access to the keyring: a request that waits finds the jump stored, or to come.
        """
        if self._behind() > self._policy.clock_tolerance or not (by := self._jumps.jumped()):
            return
        self._teller.jumped(by, self._policy)
        event, why = ClockJumped(self._now(), by), "waits do not count the skipped time"
        moved = evolve(self._keyring, event)
        if moved.waits != self._keyring.waits:
            assert_safe(self._keyring, moved)
            await self._save(moved, entries((event,), why, self._keyring, moved), ())
            self._shown(self.origin)  # no answer follows from waits

    async def _follow_configuration(self) -> None:
        """Carry out what the setting `signed` says, or have it carried out once the parent's DS lets it."""
        if events := as_configured(self._keyring, self._configured, self._now()):
            async with self._changing_lock:
                await self._take_in(events, _CONFIGURED)
        if self._disabling is None and is_to_be_disabled(self._keyring, self._configured):
            self._disabling = trio.CancelScope()
            self._nursery.start_soon(self._guard, self._disable_as_configured)

    async def _take_in(self, events: list[Event], why: str) -> None:
        """Evolve, save however long that takes, and publish."""
        earlier, keyring = self._keyring, evolve_safely(self._keyring, events)
        await self._save(keyring, entries(events, why, earlier, keyring), ())
        self._teller.tell(events, why, earlier, self._keyring)
        await self._show()

    async def _disable_as_configured(self) -> None:
        """Ask for signing to be disabled, as a person would, until that is granted or not wanted any more.

        It is asked again when the parent's DS was seen to change, when caches will have dropped it, and at each time at
        which the parent is looked at.
        """
        while is_to_be_disabled(self._keyring, self._configured) and not self._frozen:
            self._ds_seen = trio.Event()
            try:
                await self.request(DisableSigning(), configured=False)
            except (RequestRefusedError, StateError) as error:
                refusal = error.message if isinstance(error, RequestRefusedError) else str(error)
                if refusal != self._unheeded:
                    self._unheeded = refusal
                    self._teller.unheeded(refusal)
                    self._teller.tell_status(self.status)
            at = disablable_at(self._keyring)
            ahead = at - self._services.now() if at else 0.0
            with trio.move_on_after(min(self._policy.parent_check, ahead if ahead > 0 else self._policy.parent_check)):
                if is_to_be_disabled(self._keyring, self._configured):
                    await self._ds_seen.wait()
        self._disabling = self._unheeded = None

    # --- changes from outside

    def _refuse_while_frozen(self, command: Command) -> None:
        # Only a person can say that the clock is right, and only where it seems not to be.
        if self._frozen or not self._loaded or self._clock_wrong != isinstance(command, TrustClock):
            reason = self._problem or ("" if self._loaded else "they are still being loaded")
            said = f"The keys can't be changed now: {reason}." if reason else "Nothing is wrong with the clock."
            raise RequestRefusedError(WRONG_SIGNING, said)
        if self._stuck is not None:
            raise self._stuck

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """Have the keyring to oneself. What asks the KMS gives way; what waits for the disk does not."""
        acquired = False
        self._waiting += 1
        try:
            while not acquired:
                if self._stuck is not None:
                    raise self._stuck
                self._interrupt()
                with trio.move_on_after(1):  # then look again whether it is the disk that is waited for
                    await self._changing_lock.acquire()
                    acquired = True
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._changing_lock.release()

    def _interrupt(self) -> None:
        """Have what asks the KMS give way, unless it did so a few times and has got no answer since."""
        performing = self._performing
        if performing is None or performing.cancel_called or self._interruptions >= _MOST_INTERRUPTIONS:
            return
        self._interruptions += 1
        performing.cancel()

    def _progressed(self) -> None:
        """The KMS has answered, and the answer is kept: waiting requests come before the next call."""
        self._interruptions = 0
        if self._waiting and self._performing is not None:
            self._performing.cancel()

    async def _apply(self, events: list[Event], why: str) -> None:
        """Evolve, save once, publish. Raises `StateError` and `UnsafeTransitionError`; then nothing changed."""
        earlier = keyring = self._keyring
        for event in events:
            before, keyring = keyring, evolve(keyring, event)
            assert_safe(before, keyring)
        if not events:
            return
        told = entries(events, why, earlier, keyring)
        try:
            async with self._storing_lock:
                if self._given_up:
                    raise StateUnavailable(f"the keys of {to_text(self.origin)} are being reloaded: try again")
                self._keyring = await self._blocking(lambda: self._services.store.save(keyring, told))
        except StateOvertaken as error:
            self._freeze(str(error), None)
            self._woken.set()
            raise
        self._teller.tell(events, why, earlier, self._keyring)
        await self._show()

    def _ttl_news(self, keyring: Keyring) -> list[Event]:
        ttl = self._zone_ttl
        if ttl is None or ttl == keyring.data_ttl:
            return []
        return [
            Observed(
                ceil(self._services.now()), ttl, keyring.window, keyring.propagation, settled=ttl < keyring.data_ttl
            )
        ]

    async def _watch_parent(self) -> None:
        assert self._watch is not None
        async with aclosing(self._watch.events()) as events:
            async for event in events:
                if self._frozen or self._clock_wrong or self._stuck is not None:
                    continue
                try:
                    async with self._changing():
                        await self._apply([event], "the parent's DS was checked")
                    self._ds_seen.set()
                except StateUnavailable as error:
                    self._teller.disk(error, 1)  # it is news still, when the parent is looked at again

    async def _probe_kms(self) -> None:
        """Ask the KMS whether it would sign. What comes of it is shown though it can't be stored."""
        async with aclosing(self._kms_watch.probe()) as events:
            async for event in events:
                async with self._changing_lock:
                    if self._frozen or self._clock_wrong or self._stuck is not None:
                        continue
                    try:
                        await self._apply([event], "the KMS was asked between refreshes")
                    except StateUnavailable as error:
                        self._teller.disk(error, 1)
        self._teller.tell_status(self.status)
        self._pausing.cancel()  # when the next one is due, is known only now

    # --- state

    async def _load(self) -> None:
        """Take up the keyring where an earlier life left it; what it was waiting for is tried at once."""
        store = self._services.store
        attempts = 0
        while True:
            try:
                zone_id = await self._blocking(
                    lambda: store.hosted_zone_id(
                        self.origin, lambda: hosted_zone_id(self._services.new_token()), self._now()
                    )
                )
                keyring = await self._blocking(lambda: store.load_keyring(self.origin))
                new = Keyring(self.origin, zone_id, signing=self._keyring.signing, configured=self._keyring.configured)
                await self._take_up(keyring or new, is_stored=keyring is not None)
                await self._show()
            except StateUnavailable as error:
                attempts += 1
                await self._state_failed(error, attempts)
            else:
                self._problem = self._stuck = None
                return

    async def _take_up(self, keyring: Keyring, *, is_stored: bool) -> None:
        """Bring a keyring that was read up to date before anything is published. Raises `StateError`.

        A new one that is served unsigned is stored with that; any other is stored with whatever comes next. What only
        makes waits shorter, or says what is in force already, waits for a disk that takes no writes, and the zone does
        not.
        """
        before = keyring = evolve(keyring, TriedAgain(self._now()))
        events = as_configured(keyring, self._configured, self._now())
        events += self._ttl_news(evolve_safely(keyring, events))
        keyring = evolve_safely(keyring, events)
        at, propagation = ceil(self._services.now()), self._policy.propagation
        events += unsigned_news(keyring, self._zone_ttl or 0, at, propagation)
        keyring = evolve_safely(before, events)
        if keyring != before and (is_stored or keyring.served_unsigned):
            told = entries(events, _CONFIGURED, before, keyring)
            try:
                keyring = await self._blocking(partial(self._services.store.save, keyring, told))
            except StateUnavailable:
                if not all(_can_wait(event) for event in events):
                    raise
                keyring = before
        self._keyring, self._loaded = keyring, True

    async def _save(self, keyring: Keyring, told: list[Entry], secrets: tuple[Secret, ...]) -> None:
        """Store the keyring; try until it is stored. Raises `StateOvertaken`: somebody else keeps these keys now."""
        store = self._services.store
        attempts = 0
        while True:
            try:
                self._keyring = await self._blocking(lambda: store.save(keyring, told, secrets))
            except StateUnavailable as error:
                # What was done is kept in memory meanwhile, so that a full disk costs no KMS call.
                attempts += 1
                await self._state_failed(error, attempts)
            else:
                self._problem = self._stuck = None
                return

    async def _state_failed(self, error: StateError, attempts: int) -> None:
        self._problem, self._stuck = str(error), error
        self._shown(self.origin)  # this zone's trouble holds up nobody else
        self._teller.disk(error, attempts)
        self._teller.tell_status(self.status)
        self._started()
        with trio.move_on_after(retry_delay(self.origin, attempts, self._policy)):
            await self._woken.wait()
            self._woken = trio.Event()

    async def _show(self) -> None:
        """Publish what is stored; nothing else is done until that has succeeded."""
        await self._mind_jumps()  # or a DS would name a KSK whose wait has only leapt
        attempts, shown = 0, None
        while shown is None:
            try:
                shown = await self._publisher.show(self._keyring, self._policy)
            except StateUnavailable as error:
                attempts += 1
                await self._state_failed(error, attempts)
        self._shown(self.origin)
        if attempts:
            self._problem = self._stuck = None
        if shown:
            self._started()
        self._teller.tell_status(self.status)

    def _started(self) -> None:
        if self._announce is not None:
            self._announce()
            self._announce = None

    def _freeze(self, problem: str, bug: Exception | None) -> None:
        """Stop changing keys. What is published stays in force as long as its RRSIGs last."""
        if self._frozen:
            return
        self._frozen, self._problem = True, problem
        # The traceback as plain text: a log that adds the local variables would show private keys.
        self._teller.frozen(problem, "".join(traceback.format_exception(bug)) if bug is not None else None)
        self._teller.tell_status(self.status)
        self._started()

    def _behind(self) -> int:
        """Seconds by which the clock lies before what is stored."""
        return self._keyring.newest - self._now()

    def _now(self) -> int:
        return int(self._services.now())


def _can_wait(event: Event) -> bool:
    """Whether what follows from an event may be stored after the zone is answered."""
    return isinstance(event, SigningConfigured) or (isinstance(event, Observed) and event.settled)


@contextmanager
def _failing_by_itself() -> Iterator[None]:
    """What fails because it is cancelled, as a connection may, is nobody's fault: only the cancellation goes on."""
    try:
        yield
    except BaseExceptionGroup as group:
        cancelled = group.split(Exception)[1]
        if cancelled is None:  # it failed by itself
            raise
        raise cancelled from None
