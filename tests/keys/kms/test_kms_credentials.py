"""Where calls go and who makes them: botocore's settings, read from real files, environments and processes."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
import trio
from botocore.session import Session

from keys.kms.kms_client import TimeOuts
from keys.kms.kms_credentials import CredentialChain, fixed_session, resolve
from keys.kms.kms_errors import (
    CREDENTIALS_UNAVAILABLE,
    INVALID_CONFIGURATION,
    NO_CREDENTIALS,
    KmsRefused,
    KmsUnavailable,
)
from tests.keys.kms.conftest import client
from tests.keys.kms.servers import Scripted, answer

T = TypeVar("T")
ARN = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
ZONE = "Z0123456789ABCDEFGHIJ"
SIGNED = answer({"KeyId": ARN, "Signature": "MAYCAQECAQE="})


def write_config(text: str) -> None:
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(text)


def write_credentials(access_key: str = "AKIDFILE", secret_key: str = "secret-of-the-file") -> None:
    path = Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"])
    path.write_text(f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n")


def test_the_region_s_own_endpoint() -> None:
    where = resolve(Session, None, "eu-west-1")
    assert (where.url, where.region) == ("https://kms.eu-west-1.amazonaws.com/", "eu-west-1")
    assert where.tls is not None
    assert where.tls.check_hostname


def test_the_profile_s_region_and_services(monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(
        "[default]\nregion = eu-north-1\nservices = near\n"
        "[services near]\nkms =\n  endpoint_url = http://127.0.0.1:4566\n"
    )
    assert resolve(Session, None, None)[:2] == ("http://127.0.0.1:4566/", "eu-north-1")
    # The environment comes before the files, and what is asked for before both.
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:5000/")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    assert resolve(Session, None, None)[:2] == ("http://127.0.0.1:5000/", "eu-west-3")
    assert resolve(Session, "http://[::1]:6000", "us-east-2") == ("http://[::1]:6000/", "us-east-2", None)


def test_endpoints_of_other_partitions_and_fips(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(Session, None, "cn-north-1").url == "https://kms.cn-north-1.amazonaws.com.cn/"
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    assert resolve(Session, None, "us-east-1").url == "https://kms-fips.us-east-1.amazonaws.com/"


@pytest.mark.parametrize(
    "endpoint", ["kms", "http:", "ftp://127.0.0.1", "http://", "http://me:pass@host", "http://h/?a=b"]
)
def test_an_endpoint_that_is_none_is_refused_without_showing_it(endpoint: str) -> None:
    with pytest.raises(KmsRefused) as caught:
        resolve(Session, endpoint, "us-east-1")
    assert caught.value.code == INVALID_CONFIGURATION
    assert "pass" not in str(caught.value)


def test_no_region_and_files_that_can_t_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KmsRefused, match="region"):
        resolve(Session, None, None)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(KmsRefused, match="nobody"):
        resolve(Session, None, "us-east-1")
    with pytest.raises(KmsRefused, match=INVALID_CONFIGURATION):
        CredentialChain(Session).load()
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nonexistent/bundle.pem")
    with pytest.raises(KmsRefused, match=INVALID_CONFIGURATION):
        resolve(Session, None, "us-east-1")
    write_config("region = without a section\n")
    with pytest.raises(KmsRefused, match=INVALID_CONFIGURATION):
        resolve(Session, None, None)


def test_credentials_from_a_file_the_environment_or_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KmsRefused) as caught:
        CredentialChain(Session).load()
    assert caught.value.code == NO_CREDENTIALS
    write_credentials()
    assert CredentialChain(Session).load().access_key == "AKIDFILE"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    with pytest.raises(KmsRefused) as caught:
        CredentialChain(Session).load()
    assert caught.value.code == NO_CREDENTIALS  # an access key without its secret
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t")
    loaded = CredentialChain(Session).load()
    assert (loaded.access_key, loaded.secret_key, loaded.token) == ("AKIDENV", "s", "t")
    # A KMS of our own is called with its own credentials, whatever the environment says.
    assert CredentialChain(fixed_session("AKIDFIXED", "f")).load().access_key == "AKIDFIXED"


@pytest.mark.parametrize("secret", ["with a space", "line\nbreak", "café"])
def test_credentials_that_can_t_be_are_refused_unshown(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_SESSION_TOKEN", secret)
    with pytest.raises(KmsRefused, match="characters") as caught:
        CredentialChain(Session).load()
    assert secret not in str(caught.value)


def credential_process(tmp_path: Path, body: str) -> None:
    """Let credentials come from a program."""
    program = tmp_path / "process.py"
    program.write_text(body)
    write_config(f"[default]\nregion = us-east-1\ncredential_process = {sys.executable} {program}\n")


def ending_in(tmp_path: Path, seconds: int) -> CredentialChain:
    """Credentials that end so soon, with another token each time that the program is asked."""
    end = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    credential_process(
        tmp_path,
        "import json, pathlib\n"
        f"log = pathlib.Path({str(tmp_path / 'runs')!r})\n"
        "number = len(log.read_text()) if log.exists() else 0\n"
        "log.write_text('.' * (number + 1))\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': 'AKIDPROC', 'SecretAccessKey': 's',"
        f" 'SessionToken': f'token-{{number}}', 'Expiration': {end!r}}}))\n",
    )
    return CredentialChain(Session)


def test_credentials_near_their_end_are_refreshed(tmp_path: Path) -> None:
    chain = ending_in(tmp_path, 60)
    tokens = {chain.load().token for _ in range(3)}
    assert len(tokens) == 3
    assert chain.at_hand() is None


def test_credentials_are_at_hand_from_their_loading_until_near_their_end(tmp_path: Path) -> None:
    for chain in (CredentialChain(fixed_session("AKIDFIXED", "f")), ending_in(tmp_path, 3600)):
        assert chain.at_hand() is None
        assert chain.load() is chain.at_hand()
        chain.forget()
        assert chain.at_hand() is None


def test_credentials_that_were_forgotten_while_they_were_loaded_are_not_at_hand() -> None:
    def make_session() -> Session:
        session = fixed_session("AKIDFIXED", "f")()
        found = session.get_credentials()

        def get_credentials() -> object:
            chain.forget()
            return found

        session.get_credentials = get_credentials
        return session

    chain = CredentialChain(make_session)
    assert chain.load().access_key == "AKIDFIXED"
    assert chain.at_hand() is None


def test_a_source_of_credentials_that_fails_is_unavailable(tmp_path: Path) -> None:
    credential_process(tmp_path, "import sys; sys.exit('the vault said: hunter2')")
    with pytest.raises(KmsUnavailable) as caught:
        CredentialChain(Session).load()
    assert caught.value.code == CREDENTIALS_UNAVAILABLE
    assert "hunter2" not in str(caught.value)


async def test_credentials_are_read_off_the_event_loop_and_anew_after_they_were_refused(server: Scripted) -> None:
    threads: set[int] = set()

    def make_session() -> Session:
        threads.add(threading.get_ident())
        return Session()

    write_credentials("AKIDOLD", "old")
    server.script = [
        SIGNED,
        answer({"__type": "UnrecognizedClientException", "message": "?"}, 400),
        SIGNED,
    ]
    async with client(server.url, make_session=make_session) as kms:
        await kms.sign(ARN, ZONE, b"m")
        write_credentials("AKIDNEW", "new")
        with pytest.raises(KmsRefused):
            await kms.sign(ARN, ZONE, b"m")
        await kms.sign(ARN, ZONE, b"m")
    used = [request.headers["authorization"].partition("Credential=")[2][:7] for request in server.requests]
    assert used == ["AKIDOLD", "AKIDOLD", "AKIDNEW"]
    assert threads
    assert threading.get_ident() not in threads


async def test_waiting_for_credentials_is_within_the_time_out(server: Scripted) -> None:
    async def never(function: Callable[[], T], /) -> T:
        if function.__name__ != "load":
            return function()
        await trio.sleep_forever()
        raise AssertionError

    async with client(server.url, run_blocking=never, time_outs=TimeOuts(30, 30, 0.05)) as kms:
        with trio.fail_after(60), pytest.raises(KmsUnavailable, match="TimedOut"):
            await kms.sign(ARN, ZONE, b"m")
    assert not server.requests
