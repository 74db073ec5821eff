"""Every operation through boto3: its answer, and its main errors with code and status."""

from __future__ import annotations

import json
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

ARN = "arn:aws:kms:us-east-1:000000000000:"
NOBODY = "1234abcd-12ab-34cd-56ef-1234567890ab"
ECDSA = {"SigningAlgorithm": "ECDSA_SHA_256"}
EDDSA = {"SigningAlgorithm": "ED25519_SHA_512"}
MESSAGE = b"DNSKEY"
DAY = 86400


async def create(root: Any, spec: str = "ECC_NIST_P256", **params: Any) -> str:
    """The id of a new key."""
    made = await root("create_key", KeySpec=spec, KeyUsage="SIGN_VERIFY", **params)
    return str(made["KeyMetadata"]["KeyId"])


async def state(root: Any, key_id: str) -> str:
    return str((await root("describe_key", KeyId=key_id))["KeyMetadata"]["KeyState"])


async def test_create_and_describe(root: Any, clock: Any) -> None:
    tags = [{"TagKey": "zone", "TagValue": "lab.example"}]
    before = clock()
    made = await root(
        "create_key", KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Description="KSK of lab.example", Tags=tags
    )
    metadata = made["KeyMetadata"]
    key_id = metadata["KeyId"]
    assert int(before) <= metadata.pop("CreationDate").timestamp() <= clock()
    assert metadata == {
        "AWSAccountId": "000000000000",
        "KeyId": key_id,
        "Arn": f"{ARN}key/{key_id}",
        "Enabled": True,
        "Description": "KSK of lab.example",
        "KeyUsage": "SIGN_VERIFY",
        "KeyState": "Enabled",
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": "ECC_NIST_P256",
        "KeySpec": "ECC_NIST_P256",
        "SigningAlgorithms": ["ECDSA_SHA_256"],
        "MultiRegion": False,
    }
    described = await root("describe_key", KeyId=key_id)
    assert described["KeyMetadata"].items() >= metadata.items()
    assert len(described["ResponseMetadata"]["RequestId"]) == 36
    assert (await root("list_resource_tags", KeyId=key_id))["Tags"] == tags


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "UnsupportedOperationException"),
        ({"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}, "UnsupportedOperationException"),
        ({"KeySpec": "ECC_NIST_P256"}, "ValidationException"),
        ({"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"}, "ValidationException"),
        ({"KeySpec": "P256", "KeyUsage": "SIGN_VERIFY"}, "ValidationException"),
        ({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "Description": "x" * 8193}, "ValidationException"),
        ({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "MultiRegion": True}, "UnsupportedOperationException"),
        (
            {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "Origin": "EXTERNAL"},
            "UnsupportedOperationException",
        ),
        (
            {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "CustomKeyStoreId": "cks-1"},
            "UnsupportedOperationException",
        ),
        (
            {"KeySpec": "ECC_NIST_P256", "CustomerMasterKeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"},
            "ValidationException",
        ),
        ({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "Policy": "{}"}, "MalformedPolicyDocumentException"),
        (
            {
                "KeySpec": "ECC_NIST_P256",
                "KeyUsage": "SIGN_VERIFY",
                "Tags": [{"TagKey": "aws:x", "TagValue": ""}],
            },
            "TagException",
        ),
    ],
)
async def test_keys_that_are_not_made(root: Any, params: dict[str, Any], code: str) -> None:
    assert await root.error("create_key", **params) == (code, 400)
    assert (await root("list_keys"))["Keys"] == []


async def test_a_p256_signature(root: Any) -> None:
    key_id = await create(root)
    answer = await root("get_public_key", KeyId=key_id)
    assert answer["KeyId"] == f"{ARN}key/{key_id}"
    assert (answer["KeySpec"], answer["KeyUsage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")
    assert answer["SigningAlgorithms"] == ["ECDSA_SHA_256"]
    public = load_der_public_key(answer["PublicKey"])
    assert isinstance(public, ec.EllipticCurvePublicKey)
    digest = sha256(MESSAGE).digest()
    raw = await root("sign", KeyId=key_id, Message=MESSAGE, **ECDSA)
    again = await root("sign", KeyId=key_id, Message=MESSAGE, MessageType="RAW", **ECDSA)
    digested = await root("sign", KeyId=key_id, Message=digest, MessageType="DIGEST", **ECDSA)
    for signed in (raw, again, digested):
        assert (signed["KeyId"], signed["SigningAlgorithm"]) == (f"{ARN}key/{key_id}", "ECDSA_SHA_256")
        public.verify(signed["Signature"], MESSAGE, ec.ECDSA(SHA256()))
        with pytest.raises(InvalidSignature):
            public.verify(signed["Signature"], digest, ec.ECDSA(SHA256()))
    assert raw["Signature"] != again["Signature"]  # a random nonce, as in AWS


async def test_an_ed25519_signature(root: Any) -> None:
    key_id = await create(root, "ECC_NIST_EDWARDS25519")
    answer = await root("get_public_key", KeyId=key_id)
    assert answer["SigningAlgorithms"] == ["ED25519_SHA_512"]
    public = load_der_public_key(answer["PublicKey"])
    assert isinstance(public, ed25519.Ed25519PublicKey)
    signature = (await root("sign", KeyId=key_id, Message=MESSAGE, **EDDSA))["Signature"]
    public.verify(signature, MESSAGE)
    assert (await root("verify", KeyId=key_id, Message=MESSAGE, Signature=signature, **EDDSA))["SignatureValid"]
    assert (await root.error("sign", KeyId=key_id, Message=MESSAGE, MessageType="DIGEST", **EDDSA)) == (
        "ValidationException",
        400,
    )
    assert await root.error("sign", KeyId=key_id, Message=MESSAGE, **ECDSA) == ("InvalidKeyUsageException", 400)


async def test_verify(root: Any) -> None:
    key_id, other = await create(root), await create(root)
    signature = (await root("sign", KeyId=key_id, Message=MESSAGE, **ECDSA))["Signature"]
    answer = await root("verify", KeyId=key_id, Message=MESSAGE, Signature=signature, **ECDSA)
    assert (answer["SignatureValid"], answer["KeyId"]) == (True, f"{ARN}key/{key_id}")
    digest = sha256(MESSAGE).digest()
    await root("verify", KeyId=key_id, Message=digest, MessageType="DIGEST", Signature=signature, **ECDSA)
    for wrong in (
        {"KeyId": key_id, "Message": MESSAGE + b".", "Signature": signature},
        {"KeyId": other, "Message": MESSAGE, "Signature": signature},
        {"KeyId": key_id, "Message": MESSAGE, "Signature": b"\x30\x00"},
    ):
        assert await root.error("verify", **wrong, **ECDSA) == ("KMSInvalidSignatureException", 400)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"Message": b"x" * 4097, **ECDSA}, "ValidationException"),
        ({"Message": b"", **ECDSA}, "ValidationException"),
        ({"Message": b"x" * 31, "MessageType": "DIGEST", **ECDSA}, "ValidationException"),
        ({"Message": b"x", "MessageType": "EXTERNAL_MU", **ECDSA}, "ValidationException"),
        ({"Message": b"x", "MessageType": "raw", **ECDSA}, "ValidationException"),
        ({"Message": b"x", "SigningAlgorithm": "ECDSA_SHA_384"}, "InvalidKeyUsageException"),
        ({"Message": b"x", "SigningAlgorithm": "ED25519_SHA_512"}, "InvalidKeyUsageException"),
        ({"Message": b"x", "SigningAlgorithm": "ROT13"}, "ValidationException"),
        ({"Message": b"x", "GrantTokens": ["x"], **ECDSA}, "InvalidGrantTokenException"),
        ({"Message": b"x", "DryRun": True, **ECDSA}, "DryRunOperationException"),
    ],
)
async def test_what_sign_refuses(root: Any, params: dict[str, Any], code: str) -> None:
    assert await root.error("sign", KeyId=await create(root), **params) == (code, 400)


async def test_the_longest_message(root: Any) -> None:
    key_id = await create(root)
    signature = (await root("sign", KeyId=key_id, Message=b"x" * 4096, **ECDSA))["Signature"]
    await root("verify", KeyId=key_id, Message=b"x" * 4096, Signature=signature, **ECDSA)


async def test_dry_run_comes_after_all_that_would_refuse(root: Any) -> None:
    key_id = await create(root)
    await root("disable_key", KeyId=key_id)
    dry = {"KeyId": key_id, "Message": MESSAGE, "DryRun": True, **ECDSA}
    assert await root.error("sign", **dry) == ("DisabledException", 400)
    await root("enable_key", KeyId=key_id)
    assert await root.error("verify", Signature=b"x", **dry) == ("DryRunOperationException", 400)


@pytest.mark.parametrize("form", ["{id}", ARN + "key/{id}", "alias/ksk", ARN + "alias/ksk"])
async def test_the_forms_of_a_key_id(root: Any, form: str) -> None:
    key_id = await create(root)
    await root("create_alias", AliasName="alias/ksk", TargetKeyId=key_id)
    named = form.format(id=key_id)
    for operation in ("describe_key", "get_public_key"):
        answer = await root(operation, KeyId=named)
        assert key_id in str(answer)
    assert (await root("sign", KeyId=named, Message=MESSAGE, **ECDSA))["KeyId"] == f"{ARN}key/{key_id}"
    if "alias" in form:
        assert (await root.error("disable_key", KeyId=named))[0] == "NotFoundException"
        assert (await root.error("create_alias", AliasName="alias/b", TargetKeyId=named))[0] == "NotFoundException"
    else:
        await root("disable_key", KeyId=named)
        assert await state(root, key_id) == "Disabled"


@pytest.mark.parametrize(
    ("key_id", "code"),
    [
        (NOBODY, "NotFoundException"),
        (f"{ARN}key/{NOBODY}", "NotFoundException"),
        ("alias/nobody", "NotFoundException"),
        ("ksk", "NotFoundException"),
        ("alias/", "NotFoundException"),
        (f"arn:aws:kms:eu-west-1:000000000000:key/{NOBODY}", "NotFoundException"),
        (f"arn:aws:kms:us-east-1:999999999999:key/{NOBODY}", "NotFoundException"),
        (f"{ARN}grant/{NOBODY}", "NotFoundException"),
        ("arn:aws:s3:::bucket", "InvalidArnException"),
        ("arn:aws:kms", "InvalidArnException"),
    ],
)
async def test_keys_that_are_not_there(root: Any, key_id: str, code: str) -> None:
    await create(root)
    assert await root.error("describe_key", KeyId=key_id) == (code, 400)
    assert await root.error("sign", KeyId=key_id, Message=MESSAGE, **ECDSA) == (code, 400)


async def test_a_disabled_key_does_nothing_but_show_itself(root: Any) -> None:
    key_id = await create(root)
    signature = (await root("sign", KeyId=key_id, Message=MESSAGE, **ECDSA))["Signature"]
    await root("disable_key", KeyId=key_id)
    await root("disable_key", KeyId=key_id)
    assert await state(root, key_id) == "Disabled"
    refused = ("DisabledException", 400)
    assert await root.error("sign", KeyId=key_id, Message=MESSAGE, **ECDSA) == refused
    assert await root.error("verify", KeyId=key_id, Message=MESSAGE, Signature=signature, **ECDSA) == refused
    assert await root.error("get_public_key", KeyId=key_id) == refused
    await root("get_key_policy", KeyId=key_id)
    await root("tag_resource", KeyId=key_id, Tags=[{"TagKey": "a", "TagValue": "b"}])
    await root("enable_key", KeyId=key_id)
    await root("sign", KeyId=key_id, Message=MESSAGE, **ECDSA)


async def test_pending_deletion(root: Any, clock: Any) -> None:
    key_id = await create(root)
    await root("create_alias", AliasName="alias/ksk", TargetKeyId=key_id)
    before = clock()
    answer = await root("schedule_key_deletion", KeyId=key_id, PendingWindowInDays=7)
    assert (answer["KeyId"], answer["KeyState"]) == (f"{ARN}key/{key_id}", "PendingDeletion")
    assert answer["PendingWindowInDays"] == 7
    assert int(before) <= answer["DeletionDate"].timestamp() - 7 * DAY <= clock()
    metadata = (await root("describe_key", KeyId="alias/ksk"))["KeyMetadata"]
    assert metadata["KeyState"] == "PendingDeletion"
    assert metadata["Enabled"] is False
    assert metadata["DeletionDate"] == answer["DeletionDate"]
    refused = ("KMSInvalidStateException", 400)
    attempts: dict[str, dict[str, Any]] = {
        "sign": {"Message": MESSAGE, **ECDSA},
        "get_public_key": {},
        "enable_key": {},
        "disable_key": {},
        "schedule_key_deletion": {},
        "tag_resource": {"Tags": [{"TagKey": "a", "TagValue": "b"}]},
        "untag_resource": {"TagKeys": ["a"]},
    }
    for operation, params in attempts.items():
        assert await root.error(operation, KeyId=key_id, **params) == refused, operation
    assert await root.error("create_alias", AliasName="alias/b", TargetKeyId=key_id) == refused
    for operation in ("get_key_policy", "list_resource_tags"):
        await root(operation, KeyId=key_id)
    assert (await root("cancel_key_deletion", KeyId=key_id))["KeyId"] == f"{ARN}key/{key_id}"
    assert await state(root, key_id) == "Disabled"
    assert await root.error("cancel_key_deletion", KeyId=key_id) == refused
    await root("enable_key", KeyId=key_id)
    await root("sign", KeyId=key_id, Message=MESSAGE, **ECDSA)


async def test_a_key_whose_date_has_come_is_gone(root: Any, clock: Any, tmp_path: Path) -> None:
    key_id, kept = await create(root), await create(root)
    await root("create_alias", AliasName="alias/gone", TargetKeyId=key_id)
    await root("create_alias", AliasName="alias/kept", TargetKeyId=kept)
    await root("schedule_key_deletion", KeyId=key_id)
    clock.ahead = 30 * DAY - 60
    assert await state(root, key_id) == "PendingDeletion"
    clock.ahead = 30 * DAY + 60
    assert await root.error("describe_key", KeyId=key_id) == ("NotFoundException", 400)
    assert [key["KeyId"] for key in (await root("list_keys"))["Keys"]] == [kept]
    assert [alias["AliasName"] for alias in (await root("list_aliases"))["Aliases"]] == ["alias/kept"]
    assert [path.stem for path in (tmp_path / "kms").glob("*.key")] == [kept]


@pytest.mark.parametrize("days", [6, 31])
async def test_the_window_of_a_deletion(root: Any, days: int) -> None:
    key_id = await create(root)
    refused = await root.error("schedule_key_deletion", KeyId=key_id, PendingWindowInDays=days)
    assert refused == ("ValidationException", 400)


async def test_key_policies(root: Any) -> None:
    key_id = await create(root)
    answer = await root("get_key_policy", KeyId=key_id)
    assert answer["PolicyName"] == "default"
    assert json.loads(answer["Policy"])["Statement"][0]["Principal"] == {"AWS": "arn:aws:iam::000000000000:root"}
    statement = {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "kms:*", "Resource": "*"}
    policy = json.dumps({"Statement": [statement]})
    await root("put_key_policy", KeyId=key_id, PolicyName="default", Policy=policy)
    assert (await root("get_key_policy", KeyId=key_id))["Policy"] == policy
    assert await root.error("get_key_policy", KeyId=key_id, PolicyName="other") == ("NotFoundException", 400)
    malformed = json.dumps({"Statement": [{**statement, "NotAction": "kms:Sign"}]})
    refused = await root.error("put_key_policy", KeyId=key_id, Policy=malformed)
    assert refused == ("MalformedPolicyDocumentException", 400)
    long = json.dumps({"Id": "x" * 32768, "Statement": [statement]})
    assert await root.error("put_key_policy", KeyId=key_id, Policy=long) == ("LimitExceededException", 400)
    assert (await root("get_key_policy", KeyId=key_id))["Policy"] == policy


async def test_a_policy_that_locks_its_author_out(root: Any) -> None:
    key_id = await create(root)
    statement = {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "kms:Sign", "Resource": "*"}
    lockout = json.dumps({"Statement": [statement]})
    refused = ("MalformedPolicyDocumentException", 400)
    assert await root.error("put_key_policy", KeyId=key_id, Policy=lockout) == refused
    params = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "Policy": lockout}
    assert await root.error("create_key", **params) == refused
    await root("put_key_policy", KeyId=key_id, Policy=lockout, BypassPolicyLockoutSafetyCheck=True)
    assert await root.error("get_key_policy", KeyId=key_id) == ("AccessDeniedException", 400)
    await root("sign", KeyId=key_id, Message=MESSAGE, **ECDSA)
    made = await root("create_key", **params, BypassPolicyLockoutSafetyCheck=True)
    assert await root.error("describe_key", KeyId=made["KeyMetadata"]["KeyId"]) == ("AccessDeniedException", 400)


async def test_aliases(root: Any) -> None:
    first, second = await create(root), await create(root)
    await root("create_alias", AliasName="alias/ksk", TargetKeyId=first)
    exists = await root.error("create_alias", AliasName="alias/ksk", TargetKeyId=second)
    assert exists == ("AlreadyExistsException", 400)
    (entry,) = (await root("list_aliases"))["Aliases"]
    assert (entry["AliasName"], entry["TargetKeyId"]) == ("alias/ksk", first)
    assert entry["AliasArn"] == f"{ARN}alias/ksk"
    assert isinstance(entry["CreationDate"], datetime)
    await root("update_alias", AliasName="alias/ksk", TargetKeyId=f"{ARN}key/{second}")
    assert (await root("describe_key", KeyId="alias/ksk"))["KeyMetadata"]["KeyId"] == second
    assert (await root("list_aliases", KeyId=first))["Aliases"] == []
    assert len((await root("list_aliases", KeyId=second))["Aliases"]) == 1
    await root("delete_alias", AliasName="alias/ksk")
    assert (await root("list_aliases"))["Aliases"] == []
    missing = ("NotFoundException", 400)
    assert await root.error("delete_alias", AliasName="alias/ksk") == missing
    assert await root.error("update_alias", AliasName="alias/ksk", TargetKeyId=first) == missing
    assert await root.error("list_aliases", KeyId=NOBODY) == missing
    assert await state(root, second) == "Enabled"


@pytest.mark.parametrize(
    ("alias", "code"),
    [
        ("ksk", "ValidationException"),
        ("alias/a b", "ValidationException"),
        ("alias/a:b", "InvalidAliasNameException"),
        ("alias/", "InvalidAliasNameException"),
        ("alias/aws/kms", "NotAuthorizedException"),
        ("alias/" + "x" * 251, "ValidationException"),
    ],
)
async def test_names_no_alias_can_have(root: Any, alias: str, code: str) -> None:
    key_id = await create(root)
    assert await root.error("create_alias", AliasName=alias, TargetKeyId=key_id) == (code, 400)


async def test_a_key_is_no_alias_to_delete(root: Any) -> None:
    key_id = await create(root)
    assert (await root.error("delete_alias", AliasName=key_id))[0] == "ValidationException"
    await root("describe_key", KeyId=key_id)


async def test_tags(root: Any) -> None:
    key_id = await create(root, Tags=[{"TagKey": "a", "TagValue": "1"}])
    await root("tag_resource", KeyId=key_id, Tags=[{"TagKey": "b", "TagValue": ""}, {"TagKey": "a", "TagValue": "2"}])
    listed = (await root("list_resource_tags", KeyId=key_id))["Tags"]
    assert listed == [{"TagKey": "a", "TagValue": "2"}, {"TagKey": "b", "TagValue": ""}]
    await root("untag_resource", KeyId=key_id, TagKeys=["a", "c"])
    assert (await root("list_resource_tags", KeyId=key_id))["Tags"] == [{"TagKey": "b", "TagValue": ""}]
    twice = [{"TagKey": "c", "TagValue": "1"}, {"TagKey": "c", "TagValue": "2"}]
    assert await root.error("tag_resource", KeyId=key_id, Tags=twice) == ("TagException", 400)
    many = [{"TagKey": f"t{n}", "TagValue": ""} for n in range(50)]
    assert await root.error("tag_resource", KeyId=key_id, Tags=many) == ("LimitExceededException", 400)


async def test_pages(root: Any) -> None:
    """boto3's own paginators, which follow NextMarker while Truncated is true."""
    key_ids = sorted([await create(root) for _ in range(5)])
    for number in range(5):
        await root("create_alias", AliasName=f"alias/{number}", TargetKeyId=key_ids[0])
    tags = [{"TagKey": f"t{number}", "TagValue": "v"} for number in range(5)]
    await root("tag_resource", KeyId=key_ids[0], Tags=tags)

    def collect(operation: str, member: str, **params: Any) -> tuple[int, list[Any]]:
        paginator = root.client.get_paginator(operation)
        pages = list(paginator.paginate(PaginationConfig={"PageSize": 2}, **params))
        return len(pages), [item for page in pages for item in page[member]]

    async def gather(*arguments: Any, **params: Any) -> Any:
        return await trio.to_thread.run_sync(lambda: collect(*arguments, **params))

    count, keys = await gather("list_keys", "Keys")
    assert (count, [key["KeyId"] for key in keys]) == (3, key_ids)
    count, aliases = await gather("list_aliases", "Aliases")
    assert (count, [alias["AliasName"] for alias in aliases]) == (3, [f"alias/{number}" for number in range(5)])
    count, listed = await gather("list_resource_tags", "Tags", KeyId=key_ids[0])
    assert (count, listed) == (3, tags)
    assert await root.error("list_keys", Marker="\u00ff") == ("InvalidMarkerException", 400)
    assert await root.error("list_keys", Limit=1001) == ("ValidationException", 400)
    exact = await root("list_keys", Limit=5)
    assert exact["Truncated"] is False
    assert "NextMarker" not in exact


async def test_an_operation_that_is_not_here(root: Any) -> None:
    key_id = await create(root)
    assert await root.error("encrypt", KeyId=key_id, Plaintext=b"x") == ("UnknownOperationException", 400)


async def test_what_tools_read_of_every_key(root: Any) -> None:
    key_id = await create(root)
    for wanted in ("Enabled", "Disabled", "PendingDeletion"):
        if wanted == "Disabled":
            await root("disable_key", KeyId=key_id)
        if wanted == "PendingDeletion":
            await root("schedule_key_deletion", KeyId=key_id)
        assert await state(root, key_id) == wanted
        rotation = await root("get_key_rotation_status", KeyId=key_id)
        assert (rotation["KeyId"], rotation["KeyRotationEnabled"]) == (f"{ARN}key/{key_id}", False)
        listed = await root("list_key_policies", KeyId=key_id)
        assert (listed["PolicyNames"], listed["Truncated"]) == (["default"], False)
        granted = await root("list_grants", KeyId=key_id)
        assert (granted["Grants"], granted["Truncated"]) == ([], False)
    assert await root.error("list_grants", KeyId=key_id, Marker="x") == ("InvalidMarkerException", 400)
    grant = {"KeyId": key_id, "GrantId": "0" * 64}
    assert await root.error("list_grants", **grant) == ("InvalidGrantIdException", 400)
    assert await root.error("list_key_policies", KeyId=key_id, Marker="x") == ("InvalidMarkerException", 400)
    for operation in ("get_key_rotation_status", "list_key_policies", "enable_key_rotation"):
        assert await root.error(operation, KeyId=NOBODY) == ("NotFoundException", 400)


async def test_no_asymmetric_key_is_rotated(root: Any) -> None:
    key_id = await create(root)
    assert await root.error("enable_key_rotation", KeyId=key_id) == ("UnsupportedOperationException", 400)
    await root("disable_key", KeyId=key_id)
    assert await root.error("enable_key_rotation", KeyId=key_id) == ("DisabledException", 400)
    await root("schedule_key_deletion", KeyId=key_id)
    assert await root.error("enable_key_rotation", KeyId=key_id) == ("KMSInvalidStateException", 400)


async def test_a_description_is_changed(root: Any) -> None:
    key_id = await create(root, Description="one")
    await root("update_key_description", KeyId=key_id, Description="two")
    assert (await root("describe_key", KeyId=key_id))["KeyMetadata"]["Description"] == "two"
    long = {"KeyId": key_id, "Description": "x" * 8193}
    assert await root.error("update_key_description", **long) == ("ValidationException", 400)
    await root("schedule_key_deletion", KeyId=key_id)
    pending = {"KeyId": key_id, "Description": "three"}
    assert await root.error("update_key_description", **pending) == ("KMSInvalidStateException", 400)


async def test_random_octets(root: Any, as_service: Any) -> None:
    made = [(await root("generate_random", NumberOfBytes=1024))["Plaintext"] for _ in range(2)]
    assert [len(octets) for octets in made] == [1024, 1024]
    assert made[0] != made[1]
    assert await root.error("generate_random") == ("ValidationException", 400)
    assert await root.error("generate_random", NumberOfBytes=1025) == ("ValidationException", 400)
    store = {"NumberOfBytes": 1, "CustomKeyStoreId": "cks-1"}
    assert await root.error("generate_random", **store) == ("CustomKeyStoreNotFoundException", 400)
    assert await as_service().error("generate_random", NumberOfBytes=1) == ("AccessDeniedException", 400)


async def test_the_service_reads_of_a_key_what_its_policy_allows(root: Any, as_service: Any) -> None:
    key_id = await create(root)
    for operation, params in (
        ("get_key_rotation_status", {}),
        ("list_key_policies", {}),
        ("list_grants", {}),
        ("enable_key_rotation", {}),
        ("update_key_description", {"Description": "mine"}),
    ):
        assert await as_service().error(operation, KeyId=key_id, **params) == ("AccessDeniedException", 400)
