"""The key policy that a KSK's KMS key needs: the account administers it, the DNSSEC service may sign with it.

As in Amazon's "Working with customer managed keys for DNSSEC": the service may use the key only on behalf of a hosted
zone of this account (`aws:SourceAccount`, `aws:SourceArn`), which closes the confused deputy's door, and may make
grants only where an AWS resource asks.
"""

from __future__ import annotations

import json
import re

DNSSEC_SERVICE = "dnssec-route53.amazonaws.com"
"""The service principal that signs DNSKEY RRsets."""

_ACCOUNT = re.compile(r"[0-9]{12}")
_PARTITION = re.compile(r"aws(-[a-z]+)*")


def dnssec_key_policy(account_id: str, partition: str = "aws") -> str:
    """The key policy as JSON, for `KeyRequest.policy` or `PutKeyPolicy`.

    `account_id` is 12 digits; `partition` is `aws`, `aws-cn` or `aws-us-gov`. Raises `ValueError` for anything else.
    """
    if not _ACCOUNT.fullmatch(account_id):
        raise ValueError("an AWS account ID must be 12 digits")
    if not _PARTITION.fullmatch(partition):
        raise ValueError("not an AWS partition")
    service = {"Service": DNSSEC_SERVICE}
    return json.dumps({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Enable IAM User Permissions",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:{partition}:iam::{account_id}:root"},
                "Action": "kms:*",
                "Resource": "*",
            },
            {
                "Sid": "Allow Route 53 DNSSEC Service",
                "Effect": "Allow",
                "Principal": service,
                "Action": ["kms:DescribeKey", "kms:GetPublicKey", "kms:Sign"],
                "Resource": "*",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": account_id},
                    "ArnLike": {"aws:SourceArn": f"arn:{partition}:route53:::hostedzone/*"},
                },
            },
            {
                "Sid": "Allow Route 53 DNSSEC to CreateGrant",
                "Effect": "Allow",
                "Principal": service,
                "Action": ["kms:CreateGrant"],
                "Resource": "*",
                "Condition": {"Bool": {"kms:GrantIsForAWSResource": True}},
            },
        ],
    })  # fmt: skip
