"""Key policies: what is accepted, and what is decided."""

from __future__ import annotations

import json
from typing import Any, SupportsIndex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.emulator.key_policy import Caller, MalformedPolicyError, PolicyDecision, decide, default_policy, parse_policy
from keys.emulator.policy_wildcards import arn_like, glob

ACCOUNT = "111122223333"
ROOT = Caller(f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
SERVICE = Caller("dnssec-route53.amazonaws.com", None)
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ZONE = {"aws:sourceaccount": ACCOUNT, "aws:sourcearn": "arn:aws:route53:::hostedzone/Z1"}

ROUTE53 = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Allow Route 53 DNSSEC Service",
            "Effect": "Allow",
            "Principal": {"Service": "dnssec-route53.amazonaws.com"},
            "Action": ["kms:DescribeKey", "kms:GetPublicKey", "kms:Sign"],
            "Resource": "*",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
                "ArnLike": {"aws:SourceArn": "arn:aws:route53:::hostedzone/*"},
            },
        },
        {
            "Sid": "Allow Route 53 DNSSEC to CreateGrant",
            "Effect": "Allow",
            "Principal": {"Service": "dnssec-route53.amazonaws.com"},
            "Action": "kms:CreateGrant",
            "Resource": "*",
            "Condition": {"Bool": {"kms:GrantIsForAWSResource": True}},
        },
    ],
}


def statement(**parts: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*", **parts}


def says(policy: Any, caller: Caller, action: str = "kms:Sign", context: Any = None) -> PolicyDecision:
    text = policy if isinstance(policy, str) else json.dumps(policy)
    return decide(parse_policy(text), caller, action, KEY, context or {})


def one(**parts: Any) -> dict[str, Any]:
    return {"Statement": statement(**parts)}


def test_the_default_policy_is_for_the_account_alone() -> None:
    assert says(default_policy(ACCOUNT), ROOT) is PolicyDecision.ALLOW
    assert says(default_policy(ACCOUNT), SERVICE) is PolicyDecision.NONE
    assert says(default_policy("999999999999"), ROOT) is PolicyDecision.NONE


@pytest.mark.parametrize("action", ["kms:DescribeKey", "kms:GetPublicKey", "kms:Sign"])
def test_route_53_as_aws_documents_it(action: str) -> None:
    assert says(ROUTE53, SERVICE, action, ZONE) is PolicyDecision.ALLOW
    assert says(ROUTE53, SERVICE, action) is PolicyDecision.NONE
    assert says(ROUTE53, SERVICE, action, {**ZONE, "aws:sourceaccount": "999999999999"}) is PolicyDecision.NONE
    elsewhere = {**ZONE, "aws:sourcearn": "arn:aws:s3:::hostedzone/Z1"}
    assert says(ROUTE53, SERVICE, action, elsewhere) is PolicyDecision.NONE
    assert says(ROUTE53, ROOT, action, ZONE) is PolicyDecision.NONE


def test_route_53_gets_no_more_than_that() -> None:
    for action in ("kms:DisableKey", "kms:PutKeyPolicy", "kms:Verify", "kms:CreateGrant"):
        assert says(ROUTE53, SERVICE, action, ZONE) is PolicyDecision.NONE
    assert says(ROUTE53, SERVICE, "kms:CreateGrant", {"kms:grantisforawsresource": "true"}) is PolicyDecision.ALLOW


def test_deny_wins_in_any_order() -> None:
    allow, deny = statement(), statement(Effect="Deny", Action="kms:Sign")
    for statements in ([allow, deny], [deny, allow]):
        assert says({"Statement": statements}, ROOT) is PolicyDecision.DENY
        assert says({"Statement": statements}, ROOT, "kms:Verify") is PolicyDecision.ALLOW


@pytest.mark.parametrize(
    ("principal", "root", "service"),
    [
        ("*", True, True),
        ({"AWS": "*"}, True, True),
        ({"AWS": ACCOUNT}, True, False),
        ({"AWS": [f"arn:aws:iam::{ACCOUNT}:root"]}, True, False),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:user/ann"}, False, False),
        ({"AWS": "arn:aws:iam::999999999999:root"}, False, False),
        ({"Service": "dnssec-route53.amazonaws.com"}, False, True),
        ({"Service": ["logs.amazonaws.com", "dnssec-route53.amazonaws.com"]}, False, True),
        ({"Service": "logs.amazonaws.com"}, False, False),
        ({"AWS": ACCOUNT, "Service": "dnssec-route53.amazonaws.com"}, True, True),
    ],
)
def test_principals(principal: Any, root: bool, service: bool) -> None:
    allowed = tuple(says(one(Principal=principal), caller) is PolicyDecision.ALLOW for caller in (ROOT, SERVICE))
    assert allowed == (root, service)


@pytest.mark.parametrize(
    ("action", "matches"),
    [
        *(("kms:Sign", True), ("KMS:sign", True), ("kms:*", True), ("*", True), ("kms:S?gn", True), ("kms:Sig*", True)),
        *(("kms:Verify", False), ("kms:Sig", False), ("kms:Sign?", False), (["kms:Verify", "kms:Sign"], True)),
    ],
)
def test_actions(action: Any, matches: bool) -> None:
    assert (says(one(Action=action), ROOT) is PolicyDecision.ALLOW) is matches


@pytest.mark.parametrize(
    ("resource", "matches"),
    [("*", True), (KEY, True), (KEY[:-4] + "*", True), (KEY[:-1], False), ("arn:aws:kms:*:*:key/*", True)],
)
def test_resources(resource: str, matches: bool) -> None:
    assert (says(one(Resource=resource), ROOT) is PolicyDecision.ALLOW) is matches


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "met"),
    [
        ("StringEquals", "a*", "a*", True),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", "A", "a", False),
        ("StringEquals", ["x", "a"], "a", True),
        ("StringLike", "arn:*/Z?", "arn:aws:route53:::hostedzone/Z1", True),
        ("StringLike", "a", "ab", False),
        ("ArnLike", "arn:aws:route53:::hostedzone/*", "arn:aws:route53:::hostedzone/Z1", True),
        ("ArnEquals", "arn:aws:route53:::hostedzone/Z*", "arn:aws:route53:::hostedzone/Z1", True),
        ("ArnLike", "arn:*:hostedzone/*:::x", "arn:aws:route53:::hostedzone/Z1", False),
        ("ArnLike", "arn:aws:*:::hostedzone/Z1", "arn:aws:route53:us-east-1::hostedzone/Z1", False),
        ("ArnLike", "arn:aws:route53:::hostedzone/*", "hostedzone/Z1", False),
        ("ArnLike", "*", "arn:aws:route53:::hostedzone/Z1", True),
        ("Bool", "true", "true", True),
        ("Bool", False, "true", False),
    ],
)
def test_conditions(operator: str, wanted: Any, value: str, met: bool) -> None:
    policy = one(Condition={operator: {"AWS:SourceArn": wanted}})
    assert (says(policy, ROOT, context={"aws:sourcearn": value}) is PolicyDecision.ALLOW) is met
    assert says(policy, ROOT) is PolicyDecision.NONE  # a key that is absent matches nothing


def test_every_condition_must_be_met() -> None:
    condition = {"StringEquals": {"aws:SourceAccount": ACCOUNT, "kms:KeySpec": "ECC_NIST_P256"}}
    policy = one(Condition=condition)
    assert says(policy, ROOT, context={"aws:sourceaccount": ACCOUNT}) is PolicyDecision.NONE
    both = {"aws:sourceaccount": ACCOUNT, "kms:keyspec": "ECC_NIST_P256"}
    assert says(policy, ROOT, context=both) is PolicyDecision.ALLOW


@pytest.mark.parametrize(
    "policy",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        '{"Statement": [], "Statement": []}',
        {},
        {"Statement": []},
        {"Statement": "Allow"},
        {"Version": "2020-01-01", "Statement": statement()},
        {"Statement": statement(), "Comment": "x"},
        one(Effect="allow"),
        one(NotAction="kms:Sign"),
        one(NotPrincipal="*"),
        one(NotResource="*"),
        one(Sid=1),
        one(Principal={}),
        one(Principal={"AWS": []}),
        one(Principal={"AWS": "ann"}),
        one(Principal={"AWS": "arn:aws:iam::1:root"}),
        one(Principal={"Service": "*"}),
        one(Principal={"Federated": "example.com"}),
        one(Action="s3:GetObject"),
        one(Action=[]),
        one(Action=[1]),
        one(Resource="key"),
        one(Condition={"StringNotEquals": {"aws:SourceAccount": ACCOUNT}}),
        one(Condition={"StringEqualsIfExists": {"aws:SourceAccount": ACCOUNT}}),
        one(Condition={"ForAnyValue:StringEquals": {"aws:SourceAccount": ACCOUNT}}),
        one(Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}),
        one(Condition={"StringEquals": {"aws:SourceIp": "192.0.2.1"}}),
        one(Condition={"StringEquals": {}}),
        one(Condition={"StringEquals": {"aws:SourceArn": True}}),
        one(Condition={"StringLike": {"aws:SourceArn": "${aws:PrincipalArn}"}}),
        one(Condition={"Bool": {"kms:GrantIsForAWSResource": "yes"}}),
        one(Condition={"ArnLike": {"aws:SourceArn": "hostedzone/*"}}),
        {"Statement": {"Effect": "Allow", "Principal": "*", "Action": "kms:*"}},
    ],
    ids=lambda policy: json.dumps(policy)[:80],
)
def test_what_is_not_evaluated_is_malformed(policy: Any) -> None:
    with pytest.raises(MalformedPolicyError):
        says(policy, ROOT)


@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="ab*?", max_size=8))
def test_glob_is_what_it_says(pattern: str, text: str) -> None:
    def plain(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return plain(pattern[1:], text) or (bool(text) and plain(pattern, text[1:]))
        return bool(text) and pattern[0] in ("?", text[0]) and plain(pattern[1:], text[1:])

    assert glob(pattern, text) is plain(pattern, text)


class Counted(str):
    """A text that counts how often somebody looks at a character of it."""

    looks = 0

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        self.looks += 1
        return super().__getitem__(key)


def test_a_pattern_of_many_stars_takes_no_exponential_time() -> None:
    pattern, text = Counted("*a" * 500 + "b"), Counted("a" * 2000)
    assert not glob(pattern, text)
    assert text.looks + pattern.looks < 3 * len(pattern) * len(text)


def test_an_arn_has_six_parts() -> None:
    assert arn_like("arn:aws:kms:::key/a:b", "arn:aws:kms:::key/a:b")
    assert not arn_like("arn:aws:kms", "arn:aws:kms")
