"""Who may do what, over HTTP: the account's root, the service principal, and everyone else."""

from __future__ import annotations

import json
from datetime import timedelta
from http.client import HTTPConnection
from typing import Any

import pytest
import trio

from keys.emulator.principals import AccessKey

P256 = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}
SIGN = {"Message": b"DNSKEY", "SigningAlgorithm": "ECDSA_SHA_256"}
ACCOUNT = "000000000000"
ZONE = {"arn": "arn:aws:route53:::hostedzone/Z0123456789ABCDEFGHIJ", "account": ACCOUNT}
DENIED = ("AccessDeniedException", 400)


def route53_policy() -> str:
    """A policy for one hosted zone of the account, behind the default one."""
    root = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}
    service = {
        "Effect": "Allow",
        "Principal": {"Service": "dnssec-route53.amazonaws.com"},
        "Action": ["kms:DescribeKey", "kms:GetPublicKey", "kms:Sign"],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": ZONE["arn"]}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [root, service]})


async def create(root: Any, **params: Any) -> str:
    return str((await root("create_key", **P256, **params))["KeyMetadata"]["KeyId"])


async def test_the_service_signs_for_its_zone(root: Any, as_service: Any) -> None:
    key_id = await create(root, Policy=route53_policy())
    service = as_service(**ZONE)
    for operation, params in (("describe_key", {}), ("get_public_key", {}), ("sign", SIGN)):
        await service(operation, KeyId=key_id, **params)


@pytest.mark.parametrize(
    "source",
    [
        {},
        {"arn": ZONE["arn"]},
        {"account": ACCOUNT},
        {**ZONE, "account": "999999999999"},
        {**ZONE, "arn": "arn:aws:route53:::hostedzone/ZOTHER"},
        {**ZONE, "arn": ZONE["arn"] + "X"},
    ],
)
async def test_the_service_does_not_sign_for_another(root: Any, as_service: Any, source: dict[str, str]) -> None:
    key_id = await create(root, Policy=route53_policy())
    assert await as_service(**source).error("sign", KeyId=key_id, **SIGN) == DENIED


async def test_the_service_has_nothing_but_key_policies(root: Any, as_service: Any) -> None:
    key_id, plain = await create(root, Policy=route53_policy()), await create(root)
    service = as_service(**ZONE)
    assert await service.error("sign", KeyId=plain, **SIGN) == DENIED
    assert await service.error("create_key", **P256) == DENIED
    assert await service.error("list_keys") == DENIED
    assert await service.error("list_aliases") == DENIED
    attempts: dict[str, dict[str, Any]] = {
        "disable_key": {},
        "schedule_key_deletion": {},
        "get_key_policy": {},
        "put_key_policy": {"Policy": route53_policy()},
        "list_resource_tags": {},
        "tag_resource": {"Tags": [{"TagKey": "a", "TagValue": "b"}]},
        "verify": {**SIGN, "Signature": b"x"},
    }
    for operation, params in attempts.items():
        assert await service.error(operation, KeyId=key_id, **params) == DENIED, operation


async def test_a_policy_gives_a_service_no_alias(root: Any, as_service: Any) -> None:
    """An alias belongs to the account, so that a key policy alone is not enough for one."""
    everyone = json.dumps({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}})
    key_id = await create(root, Policy=everyone)
    service = as_service(**ZONE)
    await service("disable_key", KeyId=key_id)
    assert await service.error("create_alias", AliasName="alias/a", TargetKeyId=key_id) == DENIED
    await root("create_alias", AliasName="alias/a", TargetKeyId=key_id)
    assert await service.error("update_alias", AliasName="alias/a", TargetKeyId=key_id) == DENIED
    assert await service.error("delete_alias", AliasName="alias/a") == DENIED
    assert (await root("list_aliases"))["Aliases"][0]["TargetKeyId"] == key_id


async def test_source_headers_make_no_service_of_the_root(root: Any, connect: Any, emulator: Any) -> None:
    key_id = await create(root)
    only_zone = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "kms:Sign",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceArn": ZONE["arn"]}},
    }
    statements = [*json.loads(route53_policy())["Statement"], only_zone]
    await root("put_key_policy", KeyId=key_id, Policy=json.dumps({"Statement": statements}))
    claiming = connect(emulator.credentials.root, source={"x-amz-source-arn": ZONE["arn"]})
    await claiming("sign", KeyId=key_id, **SIGN)


async def test_a_key_policy_binds_the_root_too(root: Any) -> None:
    key_id = await create(root)
    deny = {"Effect": "Deny", "Principal": "*", "Action": "kms:Sign", "Resource": "*"}
    statements = [*json.loads(route53_policy())["Statement"], deny]
    await root("put_key_policy", KeyId=key_id, Policy=json.dumps({"Statement": statements}))
    assert await root.error("sign", KeyId=key_id, **SIGN) == DENIED
    await root("describe_key", KeyId=key_id)


async def test_an_alias_is_moved_only_with_both_keys_consent(root: Any) -> None:
    left, right = await create(root), await create(root)
    await root("create_alias", AliasName="alias/a", TargetKeyId=left)
    deny = {"Effect": "Deny", "Principal": "*", "Action": "kms:UpdateAlias", "Resource": "*"}
    statements = [*json.loads(route53_policy())["Statement"], deny]
    await root("put_key_policy", KeyId=left, Policy=json.dumps({"Statement": statements}))
    assert await root.error("update_alias", AliasName="alias/a", TargetKeyId=right) == DENIED
    assert (await root("describe_key", KeyId="alias/a"))["KeyMetadata"]["KeyId"] == left


async def test_conditions_on_how_a_key_is_used(root: Any) -> None:
    key_id = await create(root)
    digest_only = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "kms:Sign",
        "Resource": "*",
        "Condition": {"StringEquals": {"kms:MessageType": "RAW", "kms:SigningAlgorithm": "ECDSA_SHA_256"}},
    }
    statements = [*json.loads(route53_policy())["Statement"], digest_only]
    await root("put_key_policy", KeyId=key_id, Policy=json.dumps({"Statement": statements}))
    assert await root.error("sign", KeyId=key_id, **SIGN) == DENIED
    await root("sign", KeyId=key_id, **{**SIGN, "Message": b"x" * 32}, MessageType="DIGEST")


async def test_wrong_credentials(emulator: Any, connect: Any) -> None:
    good = emulator.credentials.root
    cases = {
        AccessKey(good.id, good.secret[::-1]): "InvalidSignatureException",
        AccessKey(good.id, emulator.credentials.service.secret): "InvalidSignatureException",
        AccessKey("AKIAIOSFODNN7EXAMPLE", good.secret): "UnrecognizedClientException",
    }
    for key, code in cases.items():
        assert await connect(key).error("list_keys") == (code, 400)
    assert await connect(good, region="eu-west-1").error("list_keys") == ("InvalidSignatureException", 400)


async def test_a_clock_that_is_off(root: Any, emulator: Any, monkeypatch: pytest.MonkeyPatch, clock: Any) -> None:
    await root("list_keys")
    for minutes in (-6, 6):
        skewed = clock.as_datetime() + timedelta(minutes=minutes)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda at=skewed: at)
        assert (await root.error("list_keys"))[0] == "InvalidSignatureException"


async def test_a_body_altered_on_its_way(root: Any, connect: Any) -> None:
    key_id, other = await create(root), await create(root)
    boto = connect()

    def alter(request: Any, **_: Any) -> None:
        request.body = request.body.replace(key_id.encode(), other.encode())

    boto.client.meta.events.register("before-send.kms", alter)
    assert await boto.error("disable_key", KeyId=key_id) == ("InvalidSignatureException", 400)
    assert (await root("describe_key", KeyId=other))["KeyMetadata"]["Enabled"]


async def test_a_header_altered_or_added_on_its_way(root: Any, as_service: Any) -> None:
    key_id = await create(root, Policy=route53_policy())
    for name, value in {
        "X-Amz-Target": "TrentService.DescribeKey",
        "x-amz-source-arn": ZONE["arn"],
    }.items():
        boto = as_service(account=ACCOUNT)

        def alter(request: Any, name: str = name, value: str = value, **_: Any) -> None:
            if name in request.headers:
                del request.headers[name]
            request.headers[name] = value

        boto.client.meta.events.register("before-send.kms", alter)
        assert await boto.error("sign", KeyId=key_id, **SIGN) == ("InvalidSignatureException", 400)


def plain(endpoint: str, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """An answer to a request that nobody signed."""
    connection = HTTPConnection(endpoint.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


async def test_nothing_without_a_signature_but_health(emulator: Any, root: Any) -> None:
    async def ask(*arguments: Any) -> tuple[int, dict[str, str], bytes]:
        return await trio.to_thread.run_sync(plain, emulator.endpoint, *arguments)

    status, headers, body = await ask("POST", "/", b"{}")
    assert (status, json.loads(body)["__type"]) == (400, "MissingAuthenticationTokenException")
    assert headers["content-type"] == "application/x-amz-json-1.1"
    assert len(headers["x-amzn-requestid"]) == 36
    # A body is not waited for before the headers claim a signature.
    status, _, body = await ask("POST", "/", b"x" * (256 * 1024 + 1))
    assert (status, json.loads(body)["__type"]) == (400, "MissingAuthenticationTokenException")
    too_large = ("RequestEntityTooLargeException", 400)
    assert await root.error("encrypt", KeyId="x", Plaintext=bytes(256 * 1024)) == too_large
    assert (await ask("GET", "/healthz"))[0] == 200
    assert (await ask("GET", "/"))[0] == 405
    assert (await ask("GET", "/elsewhere"))[0] == 404
    assert sum(emulator.calls.values()) == 0


async def test_a_client_that_leaves_in_the_middle_of_its_body(
    emulator: Any, root: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", int(emulator.endpoint.rpartition(":")[2]))
    async with stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        await root("list_keys")
    await root("list_keys")
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
