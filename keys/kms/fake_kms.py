"""A KMS in memory, for simulations under a virtual clock: the remote side, with key states and faults to order.

It is purely async (trio's autojump clock leaps while a thread runs) and draws no dice: the n-th key follows from the
seed and signatures are deterministic, so a run can be repeated. One `FakeKms` outlives any number of "processes": it is
what stays when they are killed.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from typing import Literal, TypeVar

import trio
from cryptography.hazmat.primitives.asymmetric import ec

from keys.dnssec.zone_signer import ZoneSigner
from keys.kms.interface import KeyRequest, KmsSignature, PublicKey, check_message
from keys.kms.kms_errors import TIMED_OUT, WRONG_KEY, classify

Method = Literal["create_key", "find_key", "get_public_key", "sign", "probe"]
T = TypeVar("T")

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # FIPS 186-4 D.1.2.3


class FakeKeyState(Enum):
    """The states of a KMS key that matter here; the values are AWS's words."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"
    PENDING_DELETION = "PendingDeletion"


@dataclass
class FakeKey:
    """One key of the fake."""

    signer: ZoneSigner
    request: KeyRequest
    state: FakeKeyState = FakeKeyState.ENABLED
    wrong: bool = False
    """Made for something else than signing."""


@dataclass(eq=False)
class FakeFault:
    """Something that goes wrong with calls until it is healed, or has happened `times` times."""

    code: str | None = None
    """What is raised in place of an answer (see `errors.CODES`)."""
    lost: bool = False
    """Whether the call is performed all the same."""
    seconds: float = 0
    """What a call takes longer: half of it before it is performed, half after."""
    arn: str | None = None
    """The key it is about; `None`: calls about any key or none."""
    method: Method | None = None
    """The method it is about; `None`: all."""
    times: int | None = field(default=None)

    def meets(self, method: Method, arn: str | None) -> bool:
        """Whether a call of this method, about this key, goes wrong this way."""
        return self.times != 0 and self.method in {None, method} and self.arn in {None, arn}


def seeded(seed: bytes) -> Callable[[int], ec.EllipticCurvePrivateKey]:
    """A maker of P-256 keys whose n-th key follows from `seed` alone. Tests only: the seed tells the keys."""

    def make(number: int) -> ec.EllipticCurvePrivateKey:
        scalar = int.from_bytes(sha256(b"%b/%d" % (seed, number)).digest()) % (_P256_ORDER - 1) + 1
        return ec.derive_private_key(scalar, ec.SECP256R1())

    return make


class FakeKms:
    """A `Kms` that answers from memory.

    `private_key` makes the n-th key (from 0). `calls` counts the calls that arrived, by method, whatever came of them.
    Key policies are not looked at: `fail("AccessDeniedException", …)` stands for them.
    """

    def __init__(
        self,
        *,
        private_key: Callable[[int], ec.EllipticCurvePrivateKey] | None = None,
        account: str = "000000000000",
        region: str = "us-east-1",
    ) -> None:
        self._private_key = private_key or seeded(b"signwright")
        self._prefix = f"arn:aws:kms:{region}:{account}:key/"
        self._made = 0
        self._faults: list[FakeFault] = []
        self.keys: dict[str, FakeKey] = {}
        self.calls: Counter[Method] = Counter()

    async def create_key(self, request: KeyRequest) -> str:
        """See `Kms.create_key`."""

        return await self._call("create_key", None, lambda _request_id: self._make(request))

    async def find_key(self, tag: str, value: str) -> str | None:
        """See `Kms.find_key`."""

        def perform(_request_id: str) -> str | None:
            for arn, key in self.keys.items():
                if key.state is not FakeKeyState.PENDING_DELETION and key.request.tags.get(tag) == value:
                    return arn
            return None

        return await self._call("find_key", None, perform)

    async def get_public_key(self, arn: str, hosted_zone_id: str) -> PublicKey:  # noqa: ARG002
        """See `Kms.get_public_key`."""

        def perform(request_id: str) -> PublicKey:
            if self._usable(arn, request_id).wrong:
                raise classify(WRONG_KEY, f"{arn} is not a signing key", request_id)
            return PublicKey(arn, self._usable(arn, request_id).signer.public_key)

        return await self._call("get_public_key", arn, perform)

    async def sign(self, arn: str, hosted_zone_id: str, message: bytes) -> KmsSignature:  # noqa: ARG002
        """See `Kms.sign`."""
        check_message(message)
        return await self._call(
            "sign", arn, lambda request: KmsSignature(self._signing(arn, request).signer.sign(message), request)
        )

    async def probe(self, arn: str, hosted_zone_id: str) -> None:  # noqa: ARG002
        """See `Kms.probe`."""
        await self._call("probe", arn, lambda request: self._signing(arn, request))

    # What an operator does to keys.

    def make_wrong_key(self) -> str:
        """CreateKey of a key that is not for signing; its ARN."""
        arn = self._make(KeyRequest("not a signing key", None, {}))
        self.keys[arn].wrong = True
        return arn

    def enable(self, arn: str) -> None:
        """EnableKey."""
        self.keys[arn].state = FakeKeyState.ENABLED

    def disable(self, arn: str) -> None:
        """DisableKey; CancelKeyDeletion leaves a key in this state too."""
        self.keys[arn].state = FakeKeyState.DISABLED

    def schedule_deletion(self, arn: str) -> None:
        """ScheduleKeyDeletion. The end of the waiting time is `delete`."""
        self.keys[arn].state = FakeKeyState.PENDING_DELETION

    def delete(self, arn: str) -> None:
        """The key is gone for ever."""
        del self.keys[arn]

    # What goes wrong.

    def fail(
        self, code: str, *, arn: str | None = None, method: Method | None = None, times: int | None = None
    ) -> FakeFault:
        """Answer calls with `code`, unperformed; whether that is unavailable or refused is in `errors.CODES`."""
        return self._add(FakeFault(code=code, arn=arn, method=method, times=times))

    def lose_answers(
        self, *, arn: str | None = None, method: Method | None = None, times: int | None = None
    ) -> FakeFault:
        """Perform calls, then fail them as timed out."""
        return self._add(FakeFault(code=TIMED_OUT, lost=True, arn=arn, method=method, times=times))

    def delay(
        self, seconds: float, *, arn: str | None = None, method: Method | None = None, times: int | None = None
    ) -> FakeFault:
        """Make calls take `seconds` longer. Time-outs are the caller's, as with any `Kms`."""
        return self._add(FakeFault(seconds=seconds, arn=arn, method=method, times=times))

    def heal(self, fault: FakeFault | None = None) -> None:
        """End one fault, or all."""
        self._faults = [other for other in self._faults if fault is not None and other is not fault]

    def _add(self, fault: FakeFault) -> FakeFault:
        self._faults.append(fault)
        return fault

    async def _call(self, method: Method, arn: str | None, perform: Callable[[str], T]) -> T:
        self.calls[method] += 1
        request_id = _uuid(f"request {self.calls.total()}")
        faults = [fault for fault in self._faults if fault.meets(method, arn)]
        for fault in faults:
            if fault.times is not None:
                fault.times -= 1
        delay = sum(fault.seconds for fault in faults)
        await trio.sleep(delay / 2)
        failing = next((fault for fault in faults if fault.code), None)
        if failing and failing.code and not failing.lost:
            await trio.sleep(delay / 2)
            raise classify(failing.code, "as ordered", request_id)
        answer = perform(request_id)
        await trio.sleep(delay / 2)
        if failing and failing.code:
            raise classify(failing.code, "performed, but the answer was lost, as ordered")
        return answer

    def _make(self, request: KeyRequest) -> str:
        arn = f"{self._prefix}{_uuid(f'key {self._made}')}"
        self.keys[arn] = FakeKey(ZoneSigner(self._private_key(self._made)), request)
        self._made += 1
        return arn

    def _signing(self, arn: str, request_id: str) -> FakeKey:
        key = self._usable(arn, request_id)
        if key.wrong:
            raise classify("InvalidKeyUsageException", f"{arn} is not a signing key", request_id)
        return key

    def _usable(self, arn: str, request_id: str) -> FakeKey:
        key = self.keys.get(arn)
        if key is None:
            raise classify("NotFoundException", f"Key '{arn}' does not exist", request_id)
        if key.state is FakeKeyState.DISABLED:
            raise classify("DisabledException", f"{arn} is disabled.", request_id)
        if key.state is FakeKeyState.PENDING_DELETION:
            raise classify("KMSInvalidStateException", f"{arn} is pending deletion.", request_id)
        return key


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"signwright fake KMS {name}"))
