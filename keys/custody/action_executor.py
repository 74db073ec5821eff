"""What performs an action: asks the KMS, makes a ZSK, and tells as events what came of it.

It decides nothing and stores nothing. A KMS that does not do as asked is an event too, not an exception.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import NamedTuple

import trio
from structlog.typing import FilteringBoundLogger

from keys.blocking_calls import RunBlocking
from keys.custody.key_turns import KeyTurns
from keys.custody.state_database import Secret, Store
from keys.dnssec import p256, zone_signer
from keys.dnssec.name_text import to_text
from keys.dnssec.signing_policy import Policy
from keys.kms.interface import KeyRequest, Kms
from keys.kms.kms_errors import KmsError, KmsRefused
from keys.rules.dnskey_refresh import SlotRequest, keyset_request, probe_request
from keys.rules.events import (
    Action,
    ActivateZsk,
    ConfirmPublished,
    Event,
    ForgetKsk,
    GenerateZsk,
    IntendKsk,
    KeysetSigned,
    KmsFailed,
    KskCreated,
    KskDeleted,
    KskIntended,
    KskLearned,
    KskRecovered,
    LearnKsk,
    MakeKsk,
    Observed,
    ObservePolicy,
    ProbeKsk,
    Published,
    SignKeyset,
    ZskActivated,
    ZskGenerated,
)
from keys.rules.key_status import StatusChange, ignore
from keys.rules.keyring import Keyring, Ksk

INTENT_TAG = "signwright:intent"
ZONE_TAG = "signwright:zone"
WRONG_SIGNATURE = "WrongSignature"
"""The code of a KMS's answer that its own public key does not verify."""

_ZONES_A_KEY = 4
LONGEST_MESSAGE = 512
"""Characters of a KMS's message that are kept."""
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9 _.:/=+@-]")


async def at_once(_: bytes) -> None:
    """For backends that answer where the keys are published: nothing to wait for."""


@dataclass(frozen=True)
class Services:
    """Everything that acts, handed in: one value for all key managers."""

    provisioning: Kms
    """The KMS as the account sees it: makes and finds keys."""
    service: Kms
    """The KMS as the DNSSEC service sees it: tells public keys and signs."""
    key_policy: str | None
    """The key policy of the keys that are made (`keys.kms.ksk_key_policy`)."""
    store: Store
    run_blocking: RunBlocking
    limit: trio.Semaphore | trio.CapacityLimiter
    """Bounds the DNSKEY RRsets that are signed at a time, each by one Sign call after the other, over all zones: to as
    many as Sign calls can be in flight. No zone has more than one turn.
    """
    now: Callable[[], float]
    """The wall clock, in seconds since the epoch."""
    new_token: Callable[[], str]
    """An unpredictable token of letters and digits."""
    generate_private_key: Callable[[], bytes]
    """A new P-256 private key, PKCS #8 DER."""
    log: FilteringBoundLogger
    verify: Callable[[bytes, bytes, bytes], bool] = p256.verify
    """Whether a signature, the second argument, is the public key's over the third."""
    notify: Callable[[str, StatusChange], None] = ignore
    """Told of each change of a zone's status (text of the origin, the change); must neither block nor raise."""
    published: Callable[[bytes], Awaitable[None]] = at_once
    """Returns once every answer has the keys of the zone with that origin as they were published before: the waits that
    begin with it count from then on. Raises `StateError` where that will never be known.
    """
    monotonic: Callable[[], float] = trio.current_time
    """A clock that nobody sets, in seconds; it distinguishes jumps of the wall clock from time that has passed."""
    key_turns: KeyTurns = field(default_factory=lambda: KeyTurns(_ZONES_A_KEY))
    """Bounds the same for each KMS key: to fewer, so that a slow one leaves turns to the others."""
    reread: float = 60
    """Seconds after which a waiting key manager looks at the clock again, since clocks step and laptops sleep."""


class Done(NamedTuple):
    """What came of an action."""

    events: tuple[Event, ...]
    secrets: tuple[Secret, ...] = ()
    """Private keys to store with the keyring that the events lead to."""


class Executor:
    """Performs the actions of one zone."""

    def __init__(self, origin: bytes, services: Services, progressed: Callable[[], None] = lambda: None) -> None:
        """`progressed` is called whenever a part of an action was done that will not be asked for again, should the
        rest be cancelled.
        """
        self._origin = origin
        self._services = services
        self._progressed = progressed
        self._signed: dict[tuple[str, bytes], tuple[bytes, str]] = {}
        """Verified signatures of a refresh that is not complete: after a failure only what is missing is asked for."""

    async def perform(self, action: Action, keyring: Keyring, policy: Policy) -> Done:
        """Perform one action on the keys in `keyring`."""
        match action:
            case IntendKsk():
                event = KskIntended(self._now(), action.name, self._services.new_token(), action.arn)
                return Done((event,))
            case MakeKsk():
                return await self._make_ksk(keyring, action.name, policy)
            case LearnKsk():
                return await self._learn_ksk(keyring, action.name, policy)
            case ProbeKsk():
                return await self._probe_ksk(keyring, action.name, policy)
            case ForgetKsk():
                return Done((KskDeleted(self._now(), action.name),))
            case ActivateZsk():
                return Done((ZskActivated(self._now(), action.sequence),))
            case ConfirmPublished():
                await self._services.published(self._origin)
                return Done((Published(self._now_or_later()),))
            case ObservePolicy():
                if self._observed(keyring, action).settled:
                    await self._services.published(self._origin)
                return Done((self._observed(keyring, action),))
            case GenerateZsk():
                private_key = self._services.generate_private_key()
                public_key = zone_signer.load_signer(private_key).public_key
                made = ZskGenerated(self._now(), action.sequence, public_key)
                return Done((made,), (Secret(action.sequence, public_key, private_key),))
            case SignKeyset():
                return await self._sign_keyset(keyring, policy)
            case _:
                raise TypeError(f"nobody performs {type(action).__name__}")

    async def _make_ksk(self, keyring: Keyring, name: str, policy: Policy) -> Done:
        kms, intent = self._services.provisioning, keyring.ksk(name).intent
        doing = "ListResourceTags"
        try:
            # An earlier life of this process, or a call whose answer was lost, may have made it.
            arn = await kms.find_key(INTENT_TAG, intent)
            if arn is None:
                doing = "CreateKey"
                arn = await kms.create_key(self._key_request(intent))
        except KmsError as error:
            return Done((self._failed(name, doing, error, policy),))
        return Done((KskCreated(self._now(), name, arn),))

    def _key_request(self, intent: str) -> KeyRequest:
        zone = to_text(self._origin)
        tags = {INTENT_TAG: intent, ZONE_TAG: _NOT_IN_TAGS.sub("_", zone)[:256]}
        return KeyRequest(f"DNSSEC key-signing key of {zone}", self._services.key_policy, tags)

    async def _learn_ksk(self, keyring: Keyring, name: str, policy: Policy) -> Done:
        ksk = keyring.ksk(name)
        if ksk.arn is None:
            raise ValueError(f"{name} has no ARN yet")
        try:
            key = await self._services.service.get_public_key(ksk.arn, keyring.hosted_zone_id)
        except KmsError as error:
            return Done((self._failed(name, "GetPublicKey", error, policy),))
        return Done((KskLearned(self._now(), name, key.point),))

    async def _sign_keyset(self, keyring: Keyring, policy: Policy) -> Done:
        # A turn lasts for all slots. Where thousands of zones want one, those that begin are soon done, and what waits
        # is nothing yet: with a turn for each slot, all had begun before the first was done.
        asked = self._now()  # not when the turn comes: no wait went on while the clock jumped meanwhile
        async with self._turn(keyring.signing_ksks):
            return await self._sign_slots(keyring, policy, asked)

    @asynccontextmanager
    async def _turn(self, ksks: Iterable[Ksk]) -> AsyncIterator[None]:
        """Have a turn to sign with these."""
        async with self._services.key_turns.of(ksk.arn for ksk in ksks), self._services.limit:
            yield

    async def _sign_slots(self, keyring: Keyring, policy: Policy, asked: int) -> Done:
        request = keyset_request(keyring, policy, asked)
        failed: dict[str, KmsFailed] = {}
        # One slot after the other: 15 calls at once, of a KMS emulated in this process, would take 20 ms in one piece
        # from those who answer here.
        for slot in request.slots:
            name = slot.ksk.name
            # What refused one slot would refuse the others.
            if name in failed or (slot.arn, slot.message) in self._signed:
                continue
            try:
                self._signed[slot.arn, slot.message] = await self._sign_slot(slot, keyring.hosted_zone_id)
            except KmsError as error:
                failed[name] = self._failed(name, "Sign", error, policy)
            else:
                self._progressed()
        wanted = {(slot.arn, slot.message) for slot in request.slots}
        self._signed = {one: self._signed[one] for one in self._signed.keys() & wanted}
        if failed:
            return Done(tuple(failed.values()))
        made = [(slot, *self._signed[slot.arn, slot.message]) for slot in request.slots]
        self._signed = {}
        keyset = request.signed(tuple(slot.signed(signature) for slot, signature, _ in made))
        request_ids = tuple(request_id for *_, request_id in made)
        return Done((KeysetSigned(self._now(), keyset, request_ids, asked),))

    async def _sign_slot(self, slot: SlotRequest, hosted_zone_id: str) -> tuple[bytes, str]:
        signature = await self._services.service.sign(slot.arn, hosted_zone_id, slot.message)
        if not self._services.verify(slot.public_key, signature.value, slot.message):
            raise KmsRefused(
                WRONG_SIGNATURE, f"{slot.arn} made a signature that its public key rejects", signature.request_id
            )
        return signature.value, signature.request_id

    async def _probe_ksk(self, keyring: Keyring, name: str, policy: Policy) -> Done:
        slot = probe_request(keyring, keyring.ksk(name), policy, self._now())
        try:
            async with self._turn([keyring.ksk(name)]):
                _, request_id = await self._sign_slot(slot, keyring.hosted_zone_id)
        except KmsError as error:
            return Done((self._failed(name, "Sign", error, policy),))
        return Done((KskRecovered(self._now(), name, request_id),))

    def _observed(self, keyring: Keyring, action: ObservePolicy) -> Observed:
        """First what is higher, to have it stored before it is in force; then, as it is in force, what is lower."""
        wanted = action.window, action.propagation
        highest = max(keyring.window, action.window), max(keyring.propagation, action.propagation)
        settled = highest == (keyring.window, keyring.propagation)
        window, propagation = wanted if settled else highest
        return Observed(
            self._now_or_later(), keyring.data_ttl, window, propagation, settled, earlier_ttl=action.earlier_ttl
        )

    def _failed(self, name: str, doing: str, error: KmsError, policy: Policy) -> KmsFailed:
        return KmsFailed(
            self._now(),
            name,
            doing,
            error.code,
            error.message[:LONGEST_MESSAGE],
            error.request_id,
            isinstance(error, KmsRefused),
            policy.patience,
        )

    def _now(self) -> int:
        return int(self._services.now())

    def _now_or_later(self) -> int:
        """For what waits are counted from: never a second too early."""
        return ceil(self._services.now())
