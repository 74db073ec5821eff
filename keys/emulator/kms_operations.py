"""The operations of KMS: what each one does once it is known who calls, that they may, and that the key is in a state
for it. `OPERATIONS` is the table of those conditions; `service` sees to them.
"""

from __future__ import annotations

import uuid
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from keys.emulator import key_material, key_names
from keys.emulator.aws_errors import AwsError
from keys.emulator.key_policy import MalformedPolicyError, default_policy, parse_policy
from keys.emulator.key_records import AliasRecord, KeyRecord, KeyState, Site
from keys.emulator.keystore import Keystore, StoredKey
from keys.emulator.principals import RandomBytes

OperationResult = Mapping[str, object]

DAY = 24 * 3600
MAXIMUM_POLICY = 32 * 1024
"""Bytes of a key policy (AWS KMS quota)."""
MAXIMUM_TAGS = 50


class KmsCall(NamedTuple):
    """One request that may be carried out."""

    site: Site
    store: Keystore
    params: Mapping[str, Any]
    now: float
    random_bytes: RandomBytes
    generate_key: Callable[[str], key_material.PrivateKey]
    require: Callable[[str, StoredKey], None]
    """Raises `AwsError` where the caller may not do this (as `kms:Sign`) with a key."""


_ANY = frozenset(KeyState)
_NOT_PENDING = frozenset({KeyState.ENABLED, KeyState.DISABLED})
_ENABLED = frozenset({KeyState.ENABLED})
_PENDING = frozenset({KeyState.PENDING_DELETION})


class KeyOperation(NamedTuple):
    """An operation on the key that the member `named_by` of the request names; its key policy decides."""

    run: Callable[[KmsCall, StoredKey], Awaitable[OperationResult]]
    states: frozenset[KeyState]
    writes: bool = False
    by_alias: bool = False
    """Whether the key may be named by an alias."""
    named_by: str = "KeyId"
    of_account: bool = False
    """Whether it needs a permission of the account as well, which a service principal does not have."""


class AccountOperation(NamedTuple):
    """An operation on the account: IAM decides, and only the account's root has a say there."""

    run: Callable[[KmsCall], Awaitable[OperationResult]]
    writes: bool = False


async def create_key(call: KmsCall) -> OperationResult:
    """CreateKey."""
    spec = _key_spec(call.params)
    policy = call.params.get("Policy") or default_policy(call.site.account)
    tags = _with_tags({}, call.params.get("Tags", []))
    key_id = str(uuid.UUID(bytes=call.random_bytes(16), version=4))
    record = KeyRecord(key_id, spec, call.now, policy, call.params.get("Description", ""), tags=tags)
    key = StoredKey(record, call.generate_key(spec))
    _check_policy(call, key)
    await call.store.put(key)
    return {"KeyMetadata": _metadata(call.site, record)}


async def list_keys(call: KmsCall) -> OperationResult:
    """ListKeys."""
    owned = "SELF" in call.params.get("ResourceOwners", ["SELF"])
    shown, more = key_names.page(
        call.store.key_ids() if owned else [], str, call.params.get("Limit", 100), call.params.get("Marker")
    )
    return {"Keys": [{"KeyId": key_id, "KeyArn": call.site.key_arn(key_id)} for key_id in shown], **more}


async def describe_key(call: KmsCall, key: StoredKey) -> OperationResult:
    """DescribeKey."""
    _no_grants(call)
    return {"KeyMetadata": _metadata(call.site, key.record)}


async def get_public_key(call: KmsCall, key: StoredKey) -> OperationResult:
    """GetPublicKey."""
    _no_grants(call)
    return {
        "KeyId": call.site.key_arn(key.record.id),
        "PublicKey": _base64(key_material.public_spki(key.private)),
        **_capabilities(key.record),
    }


async def sign(call: KmsCall, key: StoredKey) -> OperationResult:
    """Sign. DryRun is answered where the signature would have been."""
    _no_grants(call)
    algorithm = _algorithm(call, key)
    signature = key_material.sign(key.private, call.params["Message"], call.params.get("MessageType", "RAW"))
    _no_dry_run(call)
    return {
        "KeyId": call.site.key_arn(key.record.id),
        "Signature": _base64(signature),
        "SigningAlgorithm": algorithm,
    }


async def verify(call: KmsCall, key: StoredKey) -> OperationResult:
    """Verify: a signature that is not valid is an error, as in AWS."""
    _no_grants(call)
    algorithm = _algorithm(call, key)
    params = call.params
    valid = key_material.is_valid(key.private, params["Message"], params.get("MessageType", "RAW"), params["Signature"])
    _no_dry_run(call)
    if not valid:
        raise AwsError("KMSInvalidSignatureException", "The signature is not valid.")
    return {"KeyId": call.site.key_arn(key.record.id), "SignatureValid": True, "SigningAlgorithm": algorithm}


async def enable_key(call: KmsCall, key: StoredKey) -> OperationResult:
    """EnableKey."""
    return await _change(call, key, replace(key.record, state=KeyState.ENABLED))


async def disable_key(call: KmsCall, key: StoredKey) -> OperationResult:
    """DisableKey."""
    return await _change(call, key, replace(key.record, state=KeyState.DISABLED))


async def schedule_key_deletion(call: KmsCall, key: StoredKey) -> OperationResult:
    """ScheduleKeyDeletion."""
    days = call.params.get("PendingWindowInDays", 30)
    if not 7 <= days <= 30:
        raise AwsError("ValidationException", "PendingWindowInDays must be from 7 to 30.")
    record = replace(key.record, state=KeyState.PENDING_DELETION, deletion=call.now + days * DAY)
    await _change(call, key, record)
    return {
        "KeyId": call.site.key_arn(record.id),
        "DeletionDate": record.deletion,
        "KeyState": record.state,
        "PendingWindowInDays": days,
    }


async def cancel_key_deletion(call: KmsCall, key: StoredKey) -> OperationResult:
    """CancelKeyDeletion; the key is left disabled."""
    await _change(call, key, replace(key.record, state=KeyState.DISABLED, deletion=None))
    return {"KeyId": call.site.key_arn(key.record.id)}


async def get_key_policy(call: KmsCall, key: StoredKey) -> OperationResult:
    """GetKeyPolicy."""
    _policy_name(call)
    return {"Policy": key.record.policy, "PolicyName": "default"}


async def put_key_policy(call: KmsCall, key: StoredKey) -> OperationResult:
    """PutKeyPolicy."""
    _policy_name(call)
    record = replace(key.record, policy=call.params["Policy"])
    _check_policy(call, StoredKey(record, key.private))
    return await _change(call, key, record)


async def list_key_policies(call: KmsCall, _key: StoredKey) -> OperationResult:
    """ListKeyPolicies: each key has one."""
    _no_marker(call)
    return {"PolicyNames": ["default"], "Truncated": False}


async def list_grants(call: KmsCall, _key: StoredKey) -> OperationResult:
    """ListGrants: no key has any."""
    _no_marker(call)
    if "GrantId" in call.params:
        raise AwsError("InvalidGrantIdException", "This KMS has no grants.")
    return {"Grants": [], "Truncated": False}


async def update_key_description(call: KmsCall, key: StoredKey) -> OperationResult:
    """UpdateKeyDescription."""
    return await _change(call, key, replace(key.record, description=call.params["Description"]))


async def get_key_rotation_status(call: KmsCall, key: StoredKey) -> OperationResult:
    """GetKeyRotationStatus: an asymmetric key is never rotated."""
    return {"KeyId": call.site.key_arn(key.record.id), "KeyRotationEnabled": False}


async def enable_key_rotation(call: KmsCall, key: StoredKey) -> OperationResult:
    """EnableKeyRotation, which no asymmetric key has."""
    arn = call.site.key_arn(key.record.id)
    raise AwsError("UnsupportedOperationException", f"{arn} is an asymmetric key, which cannot be rotated.")


async def generate_random(call: KmsCall) -> OperationResult:
    """GenerateRandom: 1 to 1024 octets, as the model bounds them."""
    if "CustomKeyStoreId" in call.params:
        raise AwsError("CustomKeyStoreNotFoundException", "This KMS has no custom key stores.")
    if "Recipient" in call.params:
        raise AwsError("UnsupportedOperationException", "This KMS encrypts nothing for enclaves.")
    if "NumberOfBytes" not in call.params:
        raise AwsError("ValidationException", "NumberOfBytes is required.")
    return {"Plaintext": _base64(call.random_bytes(call.params["NumberOfBytes"]))}


async def create_alias(call: KmsCall, key: StoredKey) -> OperationResult:
    """CreateAlias."""
    name = call.params["AliasName"]
    key_names.check_alias(name)
    if call.store.alias(name):
        arn = call.site.alias_arn(name)
        raise AwsError("AlreadyExistsException", f"An alias with the name {arn} already exists")
    await call.store.put_alias(name, AliasRecord(key.record.id, call.now, call.now))
    return {}


async def update_alias(call: KmsCall, key: StoredKey) -> OperationResult:
    """UpdateAlias: needs permission for both the key it leaves and the key it comes to."""
    name = call.params["AliasName"]
    key_names.check_alias(name)
    alias = call.store.alias(name)
    if alias is None:
        raise _no_alias(call.site, name)
    left = call.store.key(alias.key_id)
    if left is not None:
        call.require("kms:UpdateAlias", left)
    await call.store.put_alias(name, replace(alias, key_id=key.record.id, updated=call.now))
    return {}


async def delete_alias(call: KmsCall, _key: StoredKey) -> OperationResult:
    """DeleteAlias."""
    name = call.params["AliasName"]
    key_names.check_alias(name)
    await call.store.put_alias(name, None)
    return {}


async def list_aliases(call: KmsCall) -> OperationResult:
    """ListAliases, of all keys or of one."""
    aliases = call.store.aliases()
    if "KeyId" in call.params:
        key_id = key_names.key_name(call.params["KeyId"], call.site)
        if call.store.key(key_id) is None:
            raise AwsError("NotFoundException", f"Key '{call.site.key_arn(key_id)}' does not exist")
        aliases = [(name, alias) for name, alias in aliases if alias.key_id == key_id]
    limit = min(call.params.get("Limit", 50), 100)
    shown, more = key_names.page(aliases, lambda item: item[0], limit, call.params.get("Marker"))
    entries = [
        {
            "AliasName": name,
            "AliasArn": call.site.alias_arn(name),
            "TargetKeyId": alias.key_id,
            "CreationDate": alias.created,
            "LastUpdatedDate": alias.updated,
        }
        for name, alias in shown
    ]
    return {"Aliases": entries, **more}


async def tag_resource(call: KmsCall, key: StoredKey) -> OperationResult:
    """TagResource."""
    return await _change(call, key, replace(key.record, tags=_with_tags(key.record.tags, call.params["Tags"])))


async def untag_resource(call: KmsCall, key: StoredKey) -> OperationResult:
    """UntagResource; a tag that is not there is no error."""
    tags = {name: value for name, value in key.record.tags.items() if name not in call.params["TagKeys"]}
    return await _change(call, key, replace(key.record, tags=tags))


async def list_resource_tags(call: KmsCall, key: StoredKey) -> OperationResult:
    """ListResourceTags."""
    limit = min(call.params.get("Limit", 50), 50)
    tags = sorted(key.record.tags.items())
    shown, more = key_names.page(tags, lambda item: item[0], limit, call.params.get("Marker"))
    return {"Tags": [{"TagKey": name, "TagValue": value} for name, value in shown], **more}


OPERATIONS: Mapping[str, KeyOperation | AccountOperation] = {
    "CreateKey": AccountOperation(create_key, writes=True),
    "ListKeys": AccountOperation(list_keys),
    "ListAliases": AccountOperation(list_aliases),
    "DescribeKey": KeyOperation(describe_key, _ANY, by_alias=True),
    "GetPublicKey": KeyOperation(get_public_key, _ENABLED, by_alias=True),
    "Sign": KeyOperation(sign, _ENABLED, by_alias=True),
    "Verify": KeyOperation(verify, _ENABLED, by_alias=True),
    "EnableKey": KeyOperation(enable_key, _NOT_PENDING, writes=True),
    "DisableKey": KeyOperation(disable_key, _NOT_PENDING, writes=True),
    "ScheduleKeyDeletion": KeyOperation(schedule_key_deletion, _NOT_PENDING, writes=True),
    "CancelKeyDeletion": KeyOperation(cancel_key_deletion, _PENDING, writes=True),
    "GetKeyPolicy": KeyOperation(get_key_policy, _ANY),
    "GenerateRandom": AccountOperation(generate_random),
    "GetKeyRotationStatus": KeyOperation(get_key_rotation_status, _ANY),
    "EnableKeyRotation": KeyOperation(enable_key_rotation, _ENABLED),
    "UpdateKeyDescription": KeyOperation(update_key_description, _NOT_PENDING, writes=True),
    "ListGrants": KeyOperation(list_grants, _ANY),
    "ListKeyPolicies": KeyOperation(list_key_policies, _ANY),
    "PutKeyPolicy": KeyOperation(put_key_policy, _ANY, writes=True),
    "CreateAlias": KeyOperation(create_alias, _NOT_PENDING, writes=True, named_by="TargetKeyId", of_account=True),
    "UpdateAlias": KeyOperation(update_alias, _NOT_PENDING, writes=True, named_by="TargetKeyId", of_account=True),
    "DeleteAlias": KeyOperation(delete_alias, _ANY, writes=True, by_alias=True, named_by="AliasName", of_account=True),
    "TagResource": KeyOperation(tag_resource, _NOT_PENDING, writes=True),
    "UntagResource": KeyOperation(untag_resource, _NOT_PENDING, writes=True),
    "ListResourceTags": KeyOperation(list_resource_tags, _ANY),
}


async def _change(call: KmsCall, key: StoredKey, record: KeyRecord) -> OperationResult:
    await call.store.put(StoredKey(record, key.private))
    return {}


def _key_spec(params: Mapping[str, Any]) -> str:
    """The spec of a new key. AWS makes kinds of keys that are not made here: each is refused, none is made instead."""
    if "KeySpec" in params and "CustomerMasterKeySpec" in params:
        raise AwsError("ValidationException", "KeySpec and CustomerMasterKeySpec can't be given together.")
    spec = str(params.get("KeySpec", params.get("CustomerMasterKeySpec", "SYMMETRIC_DEFAULT")))
    if spec not in key_material.ALGORITHM:
        supported = " and ".join(key_material.ALGORITHM)
        raise AwsError("UnsupportedOperationException", f"This KMS creates keys of {supported}, not of {spec}.")
    usage = params.get("KeyUsage", "ENCRYPT_DECRYPT")
    if usage != "SIGN_VERIFY":
        raise AwsError("ValidationException", f"KeyUsage {usage} is not compatible with KeySpec {spec}.")
    if params.get("Origin", "AWS_KMS") != "AWS_KMS" or params.get("MultiRegion"):
        raise AwsError("UnsupportedOperationException", "This KMS creates only single-Region keys of origin AWS_KMS.")
    if "CustomKeyStoreId" in params or "XksKeyId" in params:
        raise AwsError("UnsupportedOperationException", "This KMS has no custom key stores.")
    return spec


def _metadata(site: Site, record: KeyRecord) -> dict[str, object]:
    deletion = {} if record.deletion is None else {"DeletionDate": record.deletion}
    return {
        "AWSAccountId": site.account,
        "KeyId": record.id,
        "Arn": site.key_arn(record.id),
        "CreationDate": record.created,
        "Enabled": record.state is KeyState.ENABLED,
        "Description": record.description,
        "KeyState": record.state,
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "MultiRegion": False,
        **_capabilities(record),
        **deletion,
    }


def _capabilities(record: KeyRecord) -> dict[str, object]:
    return {
        "KeyUsage": "SIGN_VERIFY",
        "KeySpec": record.spec,
        "CustomerMasterKeySpec": record.spec,
        "SigningAlgorithms": [key_material.ALGORITHM[record.spec]],
    }


def _algorithm(call: KmsCall, key: StoredKey) -> str:
    algorithm = str(call.params["SigningAlgorithm"])
    if algorithm != key_material.ALGORITHM[key.record.spec]:
        raise AwsError(
            "InvalidKeyUsageException", f"Algorithm {algorithm} and key spec {key.record.spec} are incompatible."
        )
    return algorithm


def _no_marker(call: KmsCall) -> None:
    """Refuse a marker in a list that is never continued."""
    if "Marker" in call.params:
        raise AwsError("InvalidMarkerException", "No list of this KMS gave that marker.")


def _no_dry_run(call: KmsCall) -> None:
    if call.params.get("DryRun"):
        raise AwsError("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")


def _no_grants(call: KmsCall) -> None:
    if call.params.get("GrantTokens"):
        raise AwsError("InvalidGrantTokenException", "This KMS has no grants, so it accepts no grant tokens.")


def _policy_name(call: KmsCall) -> None:
    if call.params.get("PolicyName", "default") != "default":
        raise AwsError("NotFoundException", "No such policy exists")


def _check_policy(call: KmsCall, key: StoredKey) -> None:
    """That a new policy can be read and does not lock out who sets it, unless they said that it may."""
    if len(key.record.policy.encode()) > MAXIMUM_POLICY:
        raise AwsError("LimitExceededException", f"The key policy exceeds {MAXIMUM_POLICY} bytes.")
    try:
        parse_policy(key.record.policy)
    except MalformedPolicyError as error:
        raise AwsError("MalformedPolicyDocumentException", str(error)) from None
    if call.params.get("BypassPolicyLockoutSafetyCheck"):
        return
    try:
        call.require("kms:PutKeyPolicy", key)
    except AwsError:
        raise AwsError(
            "MalformedPolicyDocumentException",
            "The new key policy will not allow you to update the key policy in the future.",
        ) from None


def _with_tags(tags: Mapping[str, str], added: list[dict[str, str]]) -> dict[str, str]:
    new = {tag["TagKey"]: tag["TagValue"] for tag in added}
    if len(new) != len(added):
        raise AwsError("TagException", "Duplicate tag keys")
    if any(name.lower().startswith("aws:") for name in new):
        raise AwsError("TagException", "Tag keys that begin with aws: belong to AWS.")
    merged = {**tags, **new}
    if len(merged) > MAXIMUM_TAGS:
        raise AwsError("LimitExceededException", f"A key can have at most {MAXIMUM_TAGS} tags.")
    return merged


def _no_alias(site: Site, name: str) -> AwsError:
    return AwsError("NotFoundException", f"Alias {site.alias_arn(name)} is not found.")


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
