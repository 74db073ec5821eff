"""aws-cli, as it comes, on the files that the server writes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.interop.programs import Lab

pytestmark = pytest.mark.interop

AWS = Path(__file__).parents[2] / ".env-aws" / "bin" / "aws"


def kms(lab: Lab, *arguments: str) -> dict[str, Any]:
    ours = {
        "AWS_CONFIG_FILE": str(lab.state / "aws" / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(lab.state / "aws" / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [AWS, "kms", *arguments, "--output", "json"],
        env={**bare, **ours}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_keys_of_the_zones(compact_lab: Lab) -> None:
    keys = [key["KeyId"] for key in kms(compact_lab, "list-keys")["Keys"]]
    assert len(keys) == 2
    zones = set()
    for key in keys:
        tags = {
            tag["TagKey"]: tag["TagValue"] for tag in kms(compact_lab, "list-resource-tags", "--key-id", key)["Tags"]
        }
        zones.add(tags["signwright:zone"])
    assert zones == {"lab.example.", "child.lab.example."}
    about = kms(compact_lab, "describe-key", "--key-id", keys[0])["KeyMetadata"]
    assert (about["KeySpec"], about["KeyUsage"], about["KeyState"]) == ("ECC_NIST_P256", "SIGN_VERIFY", "Enabled")


def test_the_key_policy_is_the_documented_one(compact_lab: Lab) -> None:
    key = kms(compact_lab, "list-keys")["Keys"][0]["KeyId"]
    policy = json.loads(kms(compact_lab, "get-key-policy", "--key-id", key, "--policy-name", "default")["Policy"])
    service = [s for s in policy["Statement"] if s["Principal"] == {"Service": "dnssec-route53.amazonaws.com"}]
    assert sorted(service[0]["Action"]) == ["kms:DescribeKey", "kms:GetPublicKey", "kms:Sign"]


def test_a_shell_that_has_sourced_the_environment_never_reaches_amazon(compact_lab: Lab) -> None:
    """A proxy that records: no client asks it for anything, not even to connect to Amazon."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        proxies = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), url)
        bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        script = '. "$1" && "$2" kms list-keys && "$2" s3 ls'
        done = subprocess.run(
            ["sh", "-c", script, "sh", compact_lab.state / "aws" / "env", AWS],
            env={**bare, **proxies, "AWS_PROFILE": "work", "AWS_MAX_ATTEMPTS": "1"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert len(json.loads(done.stdout)["Keys"]) == 2
        assert done.returncode
        assert '"http://127.0.0.1:9' in done.stderr
        with pytest.raises(BlockingIOError):
            proxy.accept()
