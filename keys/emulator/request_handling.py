"""One request, from its bytes to its answer: shape, key, permission, state, and then the operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any, NamedTuple

from keys.emulator import key_names
from keys.emulator.aws_errors import AwsError
from keys.emulator.key_material import PrivateKey
from keys.emulator.key_policy import Caller, PolicyDecision, decide, parse_policy
from keys.emulator.key_records import KeyState, Site
from keys.emulator.keystore import Keystore, StoredKey
from keys.emulator.kms_operations import OPERATIONS, AccountOperation, KeyOperation, KmsCall, OperationResult
from keys.emulator.principals import RandomBytes
from keys.emulator.request_shapes import Requests


class Request(NamedTuple):
    """A request whose shape is right."""

    name: str
    params: Mapping[str, Any]
    key_id: str | None
    """The id of the key it is about; `None` where there is none."""


class Service:
    """KMS without HTTP: callers are who they are said to be."""

    def __init__(
        self,
        site: Site,
        store: Keystore,
        now: Callable[[], float],
        random_bytes: RandomBytes,
        generate_key: Callable[[str], PrivateKey],
    ) -> None:
        self._site = site
        self._store = store
        self._now = now
        self._random_bytes = random_bytes
        self._generate_key = generate_key
        self._requests = Requests()

    def parse(self, name: str, body: bytes) -> Request:
        """Read a request. Raises `AwsError`."""
        operation = OPERATIONS.get(name)
        if operation is None:
            raise AwsError("UnknownOperationException", f"{name} is not an operation of this KMS.")
        params = self._requests.parse(name, body)
        try:
            key = self._key(operation, params) if isinstance(operation, KeyOperation) else None
        except AwsError:
            key = None  # said by `perform`, in its turn
        return Request(name, params, key.record.id if key else None)

    def key_id(self, given: str) -> str:
        """The id of the key that an id, an ARN or an alias names. Raises `AwsError` where there is none."""
        return self._find(given).record.id

    async def perform(self, request: Request, caller: Caller, headers: Mapping[str, str]) -> OperationResult:
        """Carry out a request of `caller`; `headers` are those the caller signed. Raises `AwsError`."""
        operation = OPERATIONS[request.name]
        now = self._now()
        with suppress(OSError):  # the regular look tells of it; other keys can be used all the same
            await self._store.expire(now)
        action = f"kms:{request.name}"
        context = self._context(caller, headers, request.params)

        def require(wanted: str, key: StoredKey) -> None:
            _authorise(self._site, caller, wanted, key, context)

        call = KmsCall(self._site, self._store, request.params, now, self._random_bytes, self._generate_key, require)
        async with AsyncExitStack() as stack:
            if operation.writes:
                await stack.enter_async_context(self._store.lock)
            if isinstance(operation, AccountOperation):
                _authorise_account(caller, action)
                return await operation.run(call)
            key = self._key(operation, request.params)
            if operation.of_account:
                _authorise_account(caller, action)
            require(action, key)
            _check_state(self._site, key, operation.states)
            return await operation.run(call, key)

    def _key(self, operation: KeyOperation, params: Mapping[str, Any]) -> StoredKey:
        """The key a request names. Raises `AwsError`."""
        given = params[operation.named_by]
        if not operation.by_alias and key_names.is_alias(key_names.key_name(given, self._site)):
            raise AwsError("NotFoundException", f"Invalid keyId '{given}': this operation does not accept an alias.")
        return self._find(given)

    def _find(self, given: str) -> StoredKey:
        key_id = name = key_names.key_name(given, self._site)
        if key_names.is_alias(name):
            alias = self._store.alias(name)
            if alias is None:
                raise AwsError("NotFoundException", f"Alias {self._site.alias_arn(name)} is not found.")
            key_id = alias.key_id
        key = self._store.key(key_id)
        if key is None:
            raise AwsError("NotFoundException", f"Key '{self._site.key_arn(key_id)}' does not exist")
        return key

    def _context(self, caller: Caller, headers: Mapping[str, str], params: Mapping[str, Any]) -> dict[str, str]:
        """The condition keys of a request, in lower case. Only a service acts on behalf of a source."""
        found = {
            "aws:requestedregion": self._site.region,
            "aws:principalisawsservice": str(caller.is_service).lower(),
            "aws:principalservicename": caller.name if caller.is_service else None,
            "aws:principalarn": None if caller.is_service else caller.name,
            "aws:principalaccount": caller.account,
            "kms:calleraccount": caller.account,
            "aws:sourcearn": headers.get("x-amz-source-arn") if caller.is_service else None,
            "aws:sourceaccount": headers.get("x-amz-source-account") if caller.is_service else None,
            "kms:signingalgorithm": params.get("SigningAlgorithm"),
            "kms:messagetype": params.get("MessageType", "RAW") if "SigningAlgorithm" in params else None,
        }
        return {name: value for name, value in found.items() if value is not None}


def _authorise(site: Site, caller: Caller, action: str, key: StoredKey, context: Mapping[str, str]) -> None:
    """That the key's policy allows it. In its own account the root has all of IAM, so the key policy alone decides."""
    arn = site.key_arn(key.record.id)
    of_key = {"kms:keyspec": key.record.spec, "kms:keyusage": "SIGN_VERIFY"}
    decision = decide(parse_policy(key.record.policy), caller, action, arn, {**context, **of_key})
    if decision is PolicyDecision.ALLOW:
        return
    why = "with an explicit deny in" if decision is PolicyDecision.DENY else "because no statement allows it in"
    raise _denied(caller, action, f"on resource: {arn} {why} the key policy")


def _authorise_account(caller: Caller, action: str) -> None:
    if caller.is_service:
        raise _denied(caller, action, "because a service has no permission in the account")


def _denied(caller: Caller, action: str, why: str) -> AwsError:
    return AwsError("AccessDeniedException", f"User: {caller.name} is not authorized to perform: {action} {why}")


def _check_state(site: Site, key: StoredKey, states: frozenset[KeyState]) -> None:
    state = key.record.state
    if state in states:
        return
    arn = site.key_arn(key.record.id)
    if state is KeyState.DISABLED and states == {KeyState.ENABLED}:
        raise AwsError("DisabledException", f"{arn} is disabled.")
    if state is KeyState.PENDING_DELETION:
        raise AwsError("KMSInvalidStateException", f"{arn} is pending deletion.")
    raise AwsError("KMSInvalidStateException", f"{arn} is not pending deletion.")
