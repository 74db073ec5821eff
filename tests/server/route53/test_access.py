"""Who may call: signatures forged, altered, expired; users who may only look; too many requests; TLS."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.parsers import create_parser

from keys.emulator.principals import AccessKey
from server.net.addresses import Address
from server.route53.api import MAXIMUM_BODY, SKEW
from server.route53.replayed_requests import GRACE, Replays
from server.route53.serve_api import tls_context
from server.route53.throttle import TokenBucket
from server.settings.configuration import ConfigError, Route53Config
from tests.server.route53.served import READER, ROOT, STRANGER, Api, certificate, served

ZONES = "/2013-04-01/hostedzone"
CREATE = (
    b"<CreateHostedZoneRequest><Name>a.example</Name><CallerReference>1</CallerReference></CreateHostedZoneRequest>"
)


class Wire:
    """Requests written by hand, to a server that boto3 would not send them to."""

    def __init__(self, endpoint: str) -> None:
        self.host = urlsplit(endpoint).netloc

    def signed(
        self,
        method: str = "GET",
        path: str = ZONES,
        body: bytes = b"",
        key: AccessKey = ROOT,
        service: str = "route53",
        region: str = "us-east-1",
    ) -> dict[str, str]:
        """Headers that sign a request, as botocore makes them."""
        request = AWSRequest(method, f"http://{self.host}{path}", headers={"Host": self.host}, data=body)
        SigV4Auth(Credentials(key.id, key.secret), service, region).add_auth(request)
        return dict(request.headers.items())

    async def send(
        self, method: str = "GET", path: str = ZONES, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        """The status and, of an error, its code."""
        return await trio.to_thread.run_sync(partial(self._send, method, path, body, headers or {}))

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            text = response.read()
            assert response.getheader("x-amzn-RequestId")
        finally:
            connection.close()
        if response.status < 300:
            return response.status, ""
        parsed = create_parser("rest-xml").parse({"body": text, "status_code": response.status, "headers": {}}, None)
        return response.status, str(parsed["Error"]["Code"])


@pytest.fixture
def wire(api: Api) -> Wire:
    return Wire(api.endpoint)


async def test_a_request_signed_by_hand_is_answered(wire: Wire) -> None:
    assert await wire.send(headers=wire.signed()) == (200, "")
    assert await wire.send("POST", ZONES, CREATE, wire.signed("POST", ZONES, CREATE)) == (201, "")


async def test_without_a_signature_nothing_is_told(wire: Wire) -> None:
    for path in (ZONES, "/", "/2013-04-01/nonsense"):
        assert await wire.send(path=path) == (403, "MissingAuthenticationToken")
    assert await wire.send(headers={"Authorization": "Basic YTpi"}) == (403, "IncompleteSignature")
    assert await wire.send(headers={"Authorization": "AWS4-HMAC-SHA256 nonsense"}) == (403, "IncompleteSignature")


async def test_strangers_and_other_services_are_refused(wire: Wire) -> None:
    unknown, mismatch = (403, "InvalidClientTokenId"), (403, "SignatureDoesNotMatch")
    assert await wire.send(headers=wire.signed(key=STRANGER)) == unknown
    assert await wire.send(headers=wire.signed(key=AccessKey(ROOT.id, STRANGER.secret))) == mismatch
    assert await wire.send(headers=wire.signed(service="kms")) == mismatch
    token = {**wire.signed(), "X-Amz-Security-Token": "abc"}
    assert await wire.send(headers=token) == unknown


async def test_an_altered_request_is_refused(wire: Wire, api: Api) -> None:
    mismatch = (403, "SignatureDoesNotMatch")
    headers = wire.signed("POST", ZONES, CREATE)
    assert await wire.send("POST", ZONES, CREATE.replace(b"a.example", b"b.example"), headers) == mismatch
    assert await wire.send("POST", ZONES + "/Z1", CREATE, headers) == mismatch
    assert await wire.send("DELETE", ZONES, CREATE, headers) == mismatch
    assert await wire.send("POST", ZONES + "?a=b", CREATE, headers) == mismatch
    assert await wire.send("POST", ZONES, CREATE, {**headers, "Host": "other:1"}) == mismatch
    assert await wire.send("POST", ZONES, CREATE, {**headers, "X-Amz-Other": "1"}) == mismatch
    query = ZONES + "?maxitems=1"
    assert await wire.send("GET", ZONES + "?maxitems=2", b"", wire.signed(path=query)) == mismatch
    assert (await api("get_hosted_zone_count"))["HostedZoneCount"] == 1


async def test_a_change_that_was_overheard_is_not_carried_out_later(tmp_path: Path) -> None:
    ahead = 0.0
    async with served(tmp_path, monotonic=lambda: time.monotonic() + ahead) as api:
        wire = Wire(api.endpoint)
        headers, reading = wire.signed("POST", ZONES, CREATE), wire.signed()
        assert await wire.send("POST", ZONES, CREATE, headers) == (201, "")
        # An SDK that makes the same call twice within a second signs it the same.
        assert await wire.send("POST", ZONES, CREATE, headers) == (409, "HostedZoneAlreadyExists")
        assert await wire.send(headers=reading) == (200, "")
        ahead = GRACE + 1
        assert await wire.send("POST", ZONES, CREATE, headers) == (403, "RequestExpired")
        spaced = {**headers, "Authorization": headers["Authorization"].replace(", ", ",  ")}
        assert await wire.send("POST", ZONES, CREATE, spaced) == (403, "RequestExpired")
        assert await wire.send(headers=reading) == (200, "")  # to look twice does no harm


def test_a_signature_is_remembered_as_long_as_it_would_be_accepted() -> None:
    replays = Replays(30, now=0)
    assert replays.is_fresh("a", 0)
    assert replays.is_fresh("a", GRACE)
    assert not replays.is_fresh("a", GRACE + 0.1)
    assert replays.is_fresh("b", 29)
    assert not replays.is_fresh("a", 30)
    assert not replays.is_fresh("b", 59)
    assert replays.is_fresh("c", 61)
    assert not replays.is_fresh("c", 90)
    assert replays.is_fresh("c", 1000)


def test_no_more_signatures_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.route53.replayed_requests.MOST", 2)
    replays = Replays(30, now=0)
    assert [replays.is_fresh(name, 1) for name in "abca"] == [True, True, False, True]
    assert replays.is_fresh("c", 31)


async def test_changes_for_which_there_is_no_room_come_too_often(
    wire: Wire, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.route53.replayed_requests.MOST", 1)
    assert await wire.send("POST", ZONES, CREATE, wire.signed("POST", ZONES, CREATE)) == (201, "")
    other = CREATE.replace(b"a.example", b"b.example")
    assert await wire.send("POST", ZONES, other, wire.signed("POST", ZONES, other)) == (400, "Throttling")
    assert (await api("get_hosted_zone_count"))["HostedZoneCount"] == 2


async def test_a_path_that_is_signed_as_another_names_nothing(wire: Wire) -> None:
    """SigV4 signs a path with its dots resolved; taken as it stands, it could lead elsewhere."""
    headers = wire.signed()
    assert await wire.send(path="/2013-04-01/x/../hostedzone", headers=headers) == (400, "InvalidAction")


async def test_a_request_has_its_time(tmp_path: Path) -> None:
    ahead = 0.0
    async with served(tmp_path, now=lambda: time.time() + ahead) as api:
        wire = Wire(api.endpoint)
        headers = wire.signed("POST", ZONES, CREATE)
        for off, expected in (
            (SKEW + 60, (403, "RequestExpired")),
            (-SKEW - 60, (403, "RequestExpired")),
            (SKEW - 60, (201, "")),
        ):
            ahead = off
            assert await wire.send("POST", ZONES, CREATE, headers) == expected


async def test_any_region_will_do(api: Api) -> None:
    assert (await api("get_hosted_zone_count", api.connect(region="eu-west-1")))["HostedZoneCount"] == 1


async def test_who_may_only_look_changes_nothing(api: Api) -> None:
    zone_id = await api.create()
    reader = api.connect(READER)
    assert (await api("get_hosted_zone", reader, Id=zone_id))["HostedZone"]["Name"] == "lab.example."
    await api("list_resource_record_sets", reader, HostedZoneId=zone_id)
    await api(
        "list_tags_for_resources", reader, ResourceType="hostedzone", ResourceIds=[zone_id.removeprefix("/hostedzone/")]
    )
    await api("get_dnssec", reader, HostedZoneId=zone_id)
    record = {"Name": "a.lab.example", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    for operation, params in (
        ("create_hosted_zone", {"Name": "b.example", "CallerReference": "2"}),
        ("delete_hosted_zone", {"Id": zone_id}),
        ("update_hosted_zone_comment", {"Id": zone_id}),
        ("change_resource_record_sets", {"HostedZoneId": zone_id, "ChangeBatch": batch}),
        ("change_tags_for_resource", {"ResourceType": "hostedzone", "ResourceId": zone_id}),
        ("enable_hosted_zone_dnssec", {"HostedZoneId": zone_id}),
        ("delete_key_signing_key", {"HostedZoneId": zone_id, "Name": "one"}),
    ):
        code, status, message = await api.error(operation, reader, **params)
        assert (code, status) == ("AccessDenied", 403)
        assert message.startswith("User: arn:aws:iam::000000000000:user/audit is not authorized to perform: route53:")
    assert (await api("get_hosted_zone_count"))["HostedZoneCount"] == 2


# What is no request


async def test_bodies_have_an_end(wire: Wire) -> None:
    body = CREATE.ljust(MAXIMUM_BODY + 1)
    assert await wire.send("POST", ZONES, body, wire.signed("POST", ZONES, body)) == (413, "RequestEntityTooLarge")
    body = CREATE.ljust(MAXIMUM_BODY)
    assert await wire.send("POST", ZONES, body, wire.signed("POST", ZONES, body)) == (201, "")


async def test_entities_are_refused(wire: Wire) -> None:
    bomb = b'<!DOCTYPE b [<!ENTITY a "%s">]>' % (b"x" * 1000) + CREATE.replace(b"a.example", b"&a;" * 1000)
    assert await wire.send("POST", ZONES, bomb, wire.signed("POST", ZONES, bomb)) == (400, "MalformedInput")


async def test_a_failure_of_our_own_is_told_without_its_reason(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a secret of the house")

    monkeypatch.setattr(api.zones, "zone_count", fail)
    code, status, message = await api.error("get_hosted_zone_count")
    assert (code, status) == ("InternalFailure", 500)
    assert "secret" not in message
    assert "a secret of the house" in capsys.readouterr().out


# How often


def test_a_bucket_gives_what_it_holds_and_fills_again() -> None:
    bucket = TokenBucket(2, now=10.0)
    assert [bucket.take(10.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(10.4), bucket.take(10.5), bucket.take(10.5)] == [False, True, False]
    assert [bucket.take(99.0) for _ in range(3)] == [True, True, False]


async def test_too_many_requests_are_refused_and_made_again(tmp_path: Path) -> None:
    now = 0.0

    def later(**_: object) -> None:
        nonlocal now
        now += 0.5

    async with served(tmp_path, rate=1, monotonic=lambda: now) as slow:
        await slow("get_hosted_zone_count")
        assert await slow.error("get_hosted_zone_count") == ("Throttling", 400, "Rate exceeded")
        reader = slow.connect(READER)
        await slow("get_hosted_zone_count", reader)  # each has tokens of their own
        patient = slow.connect(attempts=8)
        patient.meta.events.register("needs-retry.route-53", later)
        told = await slow("get_hosted_zone_count", patient)
        assert told["ResponseMetadata"]["RetryAttempts"] == 2


# TLS


def configured(files: tuple[Path, Path] | None) -> Route53Config:
    return Route53Config(listen=Address("127.0.0.1", 0), tls=files, name_servers=("ns1.test",), rate=1)


async def test_over_tls_it_is_the_same(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    async with served(tmp_path, tls=tls_context(configured(files))) as api:
        assert api.endpoint.startswith("https://")
        made = await api("create_hosted_zone", api.connect(verify=str(files[0])), Name="a.example", CallerReference="1")
        assert made["Location"].startswith(api.endpoint)
        # Who speaks without, or trusts somebody else, gets nowhere; and the others go on.
        with pytest.raises(OSError):
            await Wire(api.endpoint.replace("https", "http")).send()
        with pytest.raises(ssl.SSLCertVerificationError):
            await _shake_hands(api.endpoint)
        assert (await api("get_hosted_zone_count", api.connect(verify=str(files[0]))))["HostedZoneCount"] == 2


async def _shake_hands(endpoint: str) -> Any:
    parts = urlsplit(endpoint)
    stream = await trio.open_ssl_over_tcp_stream(parts.hostname or "", parts.port or 0, https_compatible=True)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as broken:
        raise broken.__cause__ or broken from None
    finally:
        await trio.aclose_forcefully(stream)


def test_files_that_are_no_certificate_are_named(tmp_path: Path) -> None:
    good = certificate(tmp_path)
    check: Callable[[tuple[Path, Path]], object] = lambda files: tls_context(configured(files))  # noqa: E731
    assert tls_context(configured(None)) is None
    (tmp_path / "other").mkdir()
    other = certificate(tmp_path / "other")
    hidden = tmp_path / "hidden.pem"
    hidden.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    for files, message in (
        ((good[1], good[0]), rf"tls_certificate: {good[1]} contains no certificate"),
        ((good[0], good[0]), rf"tls_key: {good[0]} contains no private key"),
        ((tmp_path / "none.pem", good[1]), r"tls_certificate: \S+/none\.pem cannot be read: No such file"),
        ((good[0], tmp_path), rf"tls_key: {tmp_path} cannot be read: Is a directory"),
        ((good[0], hidden), r"tls_key: \S+/hidden\.pem is encrypted"),
        ((good[0], other[1]), rf"tls_key: {good[0]} and {other[1]} cannot be used for TLS: the key does not belong"),
    ):
        with pytest.raises(ConfigError, match=message):
            check(files)
