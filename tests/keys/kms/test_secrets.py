"""No secret leaves by a repr, an error, a traceback (with its locals) or a log."""

from __future__ import annotations

import io
import logging
import traceback

import pytest
from botocore.session import Session
from rich.console import Console
from rich.traceback import Traceback

from keys.kms.kms_client import TimeOuts
from keys.kms.kms_credentials import CredentialChain
from keys.kms.kms_errors import KmsError
from tests.keys.kms.conftest import QUICK, client
from tests.keys.kms.servers import Scripted, Turn, answer, answer_bytes, half_an_answer, hang_up, silence

ARN = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
ZONE = "Z0123456789ABCDEFGHIJ"
SECRET = "SECRETsecretSECRETsecret"
TOKEN = "TOKENtokenTOKENtoken" * 5


def make_session() -> Session:
    session = Session()
    session.set_credentials("AKIDEXAMPLE", SECRET, TOKEN)
    return session


CANONICAL = f"It does not match. {TOKEN}\n\nThe Canonical String should have been\nx-amz-security-token:{TOKEN}\n"
TURNS: dict[str, Turn] = {
    "silence": silence,
    "hang up": hang_up,
    "half": half_an_answer,
    "echo": answer({"__type": "SignatureDoesNotMatch", "message": CANONICAL}, 403),
    "echo as code": answer({"__type": TOKEN, "message": TOKEN}, 400),
    "echo as body": answer_bytes(TOKEN.encode(), 400),
    "echo as key": answer({"KeyId": TOKEN, "PublicKey": "", "KeyUsage": TOKEN, "KeySpec": TOKEN}),
}


def shown(error: BaseException) -> str:
    """All that a log could say of an error: as text, and by rich with every local of every frame."""
    console = Console(file=io.StringIO(), width=400)
    console.print(Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True, width=400))
    assert isinstance(console.file, io.StringIO)
    return "\n".join([repr(error), str(error), *traceback.format_exception(error), console.file.getvalue()])


@pytest.mark.parametrize("what", TURNS)
async def test_no_error_and_no_log_shows_a_secret(
    server: Scripted, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script = [TURNS[what]]
    async with client(
        server.url, make_session=make_session, time_outs=QUICK if what == "silence" else TimeOuts()
    ) as kms:
        with pytest.raises(KmsError) as caught:
            await kms.get_public_key(ARN, ZONE)
        texts = [repr(kms), shown(caught.value), caplog.text]
    assert server.requests[0].headers["x-amz-security-token"] == TOKEN
    assert "get_public_key" in texts[1]
    for text in texts:
        assert SECRET not in text
        assert TOKEN[:20] not in text


def test_credentials_show_only_their_id() -> None:
    assert repr(CredentialChain(make_session).load()) == "<Credentials AKIDEXAMPLE>"


async def test_the_repr_says_where_a_client_points(server: Scripted) -> None:
    kms = client(server.url)
    assert repr(kms) == "<KmsClient not open>"
    async with kms:
        assert repr(kms) == f"<KmsClient {server.url}/ (us-east-1)>"
