"""Key policies: who may do what with a key.

A policy that is read is a value; deciding is a pure function of it and of the request. Only what is evaluated here is
accepted: a policy that says more is refused as malformed rather than enforced in part.

Source: AWS documentation, "Grammar of the IAM JSON policy language" and "Policy evaluation logic".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from keys.emulator.policy_wildcards import arn_like, glob
from keys.emulator.strict_json import read_json

CONDITION_KEYS = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalisawsservice",
        "aws:principalservicename",
        "aws:requestedregion",
        "aws:sourceaccount",
        "aws:sourcearn",
        "kms:calleraccount",
        "kms:grantisforawsresource",
        "kms:keyspec",
        "kms:keyusage",
        "kms:messagetype",
        "kms:signingalgorithm",
    }
)
"""The condition keys that requests here can carry (their names don't depend on case)."""

_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda pattern, value: pattern == value,
    "StringLike": glob,
    "ArnEquals": arn_like,  # AWS: ArnEquals and ArnLike behave identically
    "ArnLike": arn_like,
    "Bool": lambda pattern, value: pattern.lower() == value.lower(),
}
_ACCOUNT = re.compile(r"[0-9]{12}")
_IAM_ARN = re.compile(r"arn:aws:(iam|sts)::[0-9]{12}:(root|(user|role|assumed-role|federated-user)/[\w+=,.@/-]+)")
_SERVICE = re.compile(r"[a-z0-9.-]+\.amazonaws\.com")
_ACTION = re.compile(r"\*|kms:[A-Za-z*?]+", re.IGNORECASE)


class MalformedPolicyError(ValueError):
    """A policy that is not in the grammar, or says what is not evaluated here."""


class PolicyDecision(Enum):
    """What a key policy says about a request."""

    ALLOW = "allow"
    DENY = "explicit deny"
    NONE = "no statement"


class Caller(NamedTuple):
    """Who calls: an IAM principal of an account by its ARN, or an AWS service by its name."""

    name: str
    account: str | None
    """The account of an IAM principal; `None` for a service."""

    @property
    def is_service(self) -> bool:
        """Whether an AWS service calls."""
        return self.account is None


class PolicyCondition(NamedTuple):
    """One operator on one condition key: met where any of the values matches."""

    operator: str
    key: str
    values: tuple[str, ...]


class Statement(NamedTuple):
    """One statement of a policy; every part must match for its effect."""

    allow: bool
    aws: tuple[str, ...]
    """`*`, account ids, IAM ARNs."""
    services: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[PolicyCondition, ...]


@lru_cache(maxsize=256)
def parse_policy(text: str) -> tuple[Statement, ...]:
    """The statements of a key policy. Raises `MalformedPolicyError`."""
    try:
        document = read_json(text)
    except ValueError as error:
        raise MalformedPolicyError(f"The policy is not valid JSON: {error}.") from None
    _only(document, {"Version", "Id", "Statement"}, {"Statement"}, "policy")
    if document.get("Version", "2012-10-17") not in ("2012-10-17", "2008-10-17"):
        raise MalformedPolicyError("Version must be 2012-10-17 or 2008-10-17.")
    if not isinstance(document.get("Id", ""), str):
        raise MalformedPolicyError("Id must be a string.")
    statements = document["Statement"]
    statements = statements if isinstance(statements, list) else [statements]
    if not statements:
        raise MalformedPolicyError("A policy needs a statement.")
    return tuple(_statement(statement) for statement in statements)


def decide(
    statements: tuple[Statement, ...], caller: Caller, action: str, resource: str, context: Mapping[str, str]
) -> PolicyDecision:
    """What the policy says about `action` (as `kms:Sign`) by `caller` on the key `resource`, an ARN. Deny wins.

    `context` holds the request's condition keys in lower case.
    """
    effects = {s.allow for s in statements if _matches(s, caller, action, resource, context)}
    if False in effects:
        return PolicyDecision.DENY
    return PolicyDecision.ALLOW if True in effects else PolicyDecision.NONE


def default_policy(account: str) -> str:
    """The policy AWS gives a key that is made without one: the account decides, by IAM."""
    statement = {
        "Sid": "Enable IAM User Permissions",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    document = {"Version": "2012-10-17", "Id": "key-default-1", "Statement": [statement]}
    return json.dumps(document, indent=2)


def _matches(statement: Statement, caller: Caller, action: str, resource: str, context: Mapping[str, str]) -> bool:
    return (
        _names(statement, caller)
        and any(glob(pattern.lower(), action.lower()) for pattern in statement.actions)
        and any(glob(pattern, resource) for pattern in statement.resources)
        and all(_met(condition, context) for condition in statement.conditions)
    )


def _names(statement: Statement, caller: Caller) -> bool:
    if "*" in statement.aws:
        return True
    if caller.account is None:
        return caller.name in statement.services
    account = (caller.account, f"arn:aws:iam::{caller.account}:root")
    return any(principal == caller.name or principal in account for principal in statement.aws)


def _met(condition: PolicyCondition, context: Mapping[str, str]) -> bool:
    value = context.get(condition.key)
    return value is not None and any(_OPERATORS[condition.operator](pattern, value) for pattern in condition.values)


def _only(value: Any, allowed: set[str], required: set[str], what: str) -> None:
    if not isinstance(value, dict):
        raise MalformedPolicyError(f"A {what} must be an object.")
    for name in value:
        if name not in allowed:
            raise MalformedPolicyError(f"{name} is not supported in a {what}.")
    for name in sorted(required):
        if name not in value:
            raise MalformedPolicyError(f"A {what} needs {name}.")


def _statement(value: Any) -> Statement:
    parts = {"Effect", "Principal", "Action", "Resource"}
    _only(value, parts | {"Sid", "Condition"}, parts, "statement")
    if value["Effect"] not in ("Allow", "Deny"):
        raise MalformedPolicyError("Effect must be Allow or Deny.")
    if not isinstance(value.get("Sid", ""), str):
        raise MalformedPolicyError("Sid must be a string.")
    aws, services = _principal(value["Principal"])
    actions = _strings(value["Action"], "Action")
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise MalformedPolicyError(f"{action} is not an action of KMS.")
    resources = _strings(value["Resource"], "Resource")
    for resource in resources:
        if resource != "*" and not resource.startswith("arn:"):
            raise MalformedPolicyError(f"Resource {resource} is neither * nor an ARN.")
    return Statement(
        value["Effect"] == "Allow", aws, services, actions, resources, _conditions(value.get("Condition", {}))
    )


def _principal(value: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if value == "*":
        return ("*",), ()
    _only(value, {"AWS", "Service"}, set(), "Principal")
    aws = _strings(value["AWS"], "AWS") if "AWS" in value else ()
    services = _strings(value["Service"], "Service") if "Service" in value else ()
    known = all(p == "*" or _ACCOUNT.fullmatch(p) or _IAM_ARN.fullmatch(p) for p in aws)
    if not (aws or services) or not known or not all(_SERVICE.fullmatch(p) for p in services):
        raise MalformedPolicyError("Policy contains a statement with one or more invalid principals.")
    return aws, services


def _conditions(value: Any) -> tuple[PolicyCondition, ...]:
    _only(value, set(_OPERATORS), set(), "Condition")
    return tuple(
        _condition(operator, key, wanted)
        for operator, keys in value.items()
        for key, wanted in _members(keys, operator).items()
    )


def _condition(operator: str, key: str, wanted: Any) -> PolicyCondition:
    if key.lower() not in CONDITION_KEYS:
        raise MalformedPolicyError(f"The condition key {key} is not supported.")
    if isinstance(wanted, bool) and operator == "Bool":
        wanted = str(wanted)
    values = _strings(wanted, key)
    for value in values:
        if "${" in value:
            raise MalformedPolicyError("Policy variables are not supported.")
        if operator == "Bool" and value.lower() not in ("true", "false"):
            raise MalformedPolicyError(f"Bool needs true or false for {key}.")
        if operator.startswith("Arn") and value != "*" and (not value.startswith("arn:") or value.count(":") < 5):
            raise MalformedPolicyError(f"{operator} needs an ARN for {key}.")
    return PolicyCondition(operator, key.lower(), values)


def _members(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise MalformedPolicyError(f"{what} must be an object with a condition key.")
    return value


def _strings(value: Any, what: str) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(v, str) for v in values):
        raise MalformedPolicyError(f"{what} must be a string or a list of strings.")
    return tuple(values)
