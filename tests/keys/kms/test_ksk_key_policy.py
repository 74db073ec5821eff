"""The key policy under the emulator's evaluation: what it allows, and to whom it does not."""

from __future__ import annotations

import json

import pytest

from keys.emulator.key_policy import Caller, PolicyDecision, decide, parse_policy
from keys.kms.ksk_key_policy import DNSSEC_SERVICE, dnssec_key_policy

ACCOUNT = "111122223333"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
ROOT = Caller(f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
SERVICE = Caller(DNSSEC_SERVICE, None)
OURS = {"aws:sourceaccount": ACCOUNT, "aws:sourcearn": "arn:aws:route53:::hostedzone/Z0123456789ABCDEFGHIJ"}
FOR_AWS = {"kms:grantisforawsresource": "true"}


@pytest.mark.parametrize(
    ("caller", "action", "context", "decision"),
    [
        (ROOT, "kms:ScheduleKeyDeletion", {}, PolicyDecision.ALLOW),
        (Caller("arn:aws:iam::999999999999:root", "999999999999"), "kms:Sign", OURS, PolicyDecision.NONE),
        (SERVICE, "kms:Sign", OURS, PolicyDecision.ALLOW),
        (SERVICE, "kms:GetPublicKey", OURS, PolicyDecision.ALLOW),
        (SERVICE, "kms:DescribeKey", OURS, PolicyDecision.ALLOW),
        (SERVICE, "kms:DisableKey", OURS, PolicyDecision.NONE),
        (SERVICE, "kms:Sign", {}, PolicyDecision.NONE),
        (SERVICE, "kms:Sign", {**OURS, "aws:sourceaccount": "999999999999"}, PolicyDecision.NONE),
        (SERVICE, "kms:Sign", {**OURS, "aws:sourcearn": "arn:aws:s3:::bucket"}, PolicyDecision.NONE),
        (SERVICE, "kms:CreateGrant", FOR_AWS, PolicyDecision.ALLOW),
        (SERVICE, "kms:CreateGrant", {"kms:grantisforawsresource": "false"}, PolicyDecision.NONE),
        (SERVICE, "kms:CreateGrant", OURS, PolicyDecision.NONE),
        (Caller("s3.amazonaws.com", None), "kms:Sign", OURS, PolicyDecision.NONE),
    ],
)
def test_who_may_do_what(caller: Caller, action: str, context: dict[str, str], decision: PolicyDecision) -> None:
    statements = parse_policy(dnssec_key_policy(ACCOUNT))
    assert decide(statements, caller, action, KEY, context) is decision


def test_another_partition() -> None:
    document = json.loads(dnssec_key_policy(ACCOUNT, "aws-cn"))
    assert document["Statement"][0]["Principal"] == {"AWS": f"arn:aws-cn:iam::{ACCOUNT}:root"}
    assert "arn:aws:" not in json.dumps(document)


@pytest.mark.parametrize(("account", "partition"), [("123", "aws"), ("12345678901x", "aws"), (ACCOUNT, 'aws"')])
def test_what_could_change_the_policy_s_meaning_is_no_account(account: str, partition: str) -> None:
    with pytest.raises(ValueError, match="AWS"):
        dnssec_key_policy(account, partition)
