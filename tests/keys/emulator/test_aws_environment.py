"""STATE/aws/env, in a real shell: where AWS clients go from then on, whatever was set and however old they are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from keys.emulator.aws_environment import NOWHERE, write_environment

HERE = {"route_53": "http://127.0.0.1:5380", "kms": "http://127.0.0.1:5381"}
ELSEWHERE = {
    "AWS_PROFILE": "work",
    "AWS_ACCESS_KEY_ID": "AKIA",
    "AWS_ENDPOINT_URL_STS": "https://sts.amazonaws.com",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "NO_PROXY": "intranet",
}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "it's a state"
    (folder / "aws").mkdir(parents=True)
    write_environment(folder, "eu-west-1", HERE)
    return folder


def shell(state: Path, script: str, version: str = "2.15.0") -> subprocess.CompletedProcess[str]:
    """Run it after sourcing the file twice, with a client of that version, which prints how it was called."""
    client = state / "aws-cli"
    client.mkdir(exist_ok=True)
    (client / "aws").write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then echo "aws-cli/{version} Python/3"; else echo "called: $*"; fi\n'
    )
    (client / "aws").chmod(0o700)
    path = f"{client}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-euc", f'file=$1; . "$file" && . "$file"; {script}', "sh", str(state / "aws" / "env")],
        env={**ELSEWHERE, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_it_sets_and_takes_away(state: Path) -> None:
    done = shell(state, "env")
    assert not done.returncode, done.stderr
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert {name: value for name, value in found.items() if name.startswith("AWS_")} == {
        "AWS_CONFIG_FILE": f"{state}/aws/config",
        "AWS_SHARED_CREDENTIALS_FILE": f"{state}/aws/credentials",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": NOWHERE,
        "AWS_ENDPOINT_URL_ROUTE_53": HERE["route_53"],
        "AWS_ENDPOINT_URL_KMS": HERE["kms"],
    }
    assert found["NO_PROXY"] == found["no_proxy"] == "127.0.0.1,intranet"


def test_a_shell_in_which_no_proxy_is_set_and_that_ends_for_an_unset_variable(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(ELSEWHERE, "NO_PROXY")
    done = shell(state, "env")
    assert not done.returncode, done.stderr
    assert "NO_PROXY=127.0.0.1\n" in done.stdout


def test_a_client_that_knows_endpoints_is_called_as_it_is(state: Path) -> None:
    for version in ("1.29.0", "1.46.3", "2.13.0", "2.22.1"):
        assert shell(state, "aws s3 ls", version).stdout == "called: s3 ls\n"


@pytest.mark.parametrize("version", ["1.18.69", "1.28.9", "2.9.19", "2.12.7"])
def test_an_old_client_is_told_where_to_go_or_not_called(state: Path, version: str) -> None:
    for arguments, service in (
        ("route53 list-hosted-zones", "route_53"),
        ("--output json --debug kms list-keys", "kms"),
    ):
        assert (
            shell(state, f"aws {arguments}", version).stdout == f"called: --endpoint-url {HERE[service]} {arguments}\n"
        )
    assert shell(state, "aws --profile kms help", version).stdout == "called: --profile kms help\n"
    for arguments in ("sts get-caller-identity", "--region kms s3 ls"):
        done = shell(state, f"aws {arguments}", version)
        assert (done.returncode, done.stdout) == (2, "")
        assert "is not served here: nothing was sent" in done.stderr
