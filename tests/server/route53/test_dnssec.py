"""The seven calls of DNSSEC through boto3, over real key managers: each call, and each error that can occur here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import dns.dnssec
import dns.name
import dns.rdata
import msgspec
import pytest
import trio

from keys.custody.state_database import StateOvertaken, StateUnavailable
from keys.dnssec.name_text import to_text
from keys.rules.events import Entry
from keys.rules.keyring import Keyring
from server.net.addresses import Address
from server.settings.parent_servers import ParentServers
from tests.keys.world import KillableStore
from tests.lab import wire_name
from tests.server.route53.served import Api, listening


async def create_ksk(api: Api, zone_id: str, name: str = "one", status: str = "ACTIVE", **params: Any) -> Any:
    arn = params.pop("KeyManagementServiceArn", None) or await api.key()
    return await api("create_key_signing_key", **ksk_params(zone_id, arn, name, status))


def ksk_params(zone_id: str, arn: str, name: str = "one", status: str = "ACTIVE") -> dict[str, str]:
    return {
        "CallerReference": f"reference of {name}",
        "HostedZoneId": zone_id,
        "KeyManagementServiceArn": arn,
        "Name": name,
        "Status": status,
    }


async def status(api: Api, zone_id: str) -> tuple[str, dict[str, str]]:
    """The status of the zone, and those of its KSKs."""
    told = await api("get_dnssec", HostedZoneId=zone_id)
    return told["Status"]["ServeSignature"], {ksk["Name"]: ksk["Status"] for ksk in told["KeySigningKeys"]}


async def until(api: Api, zone_id: str, wanted: Callable[[tuple[str, dict[str, str]]], bool]) -> None:
    """Wait for a status."""
    with trio.fail_after(60):
        while not wanted(await status(api, zone_id)):  # noqa: ASYNC110 - it is somebody else who is asked
            await trio.sleep(0.02)


async def signed(api: Api, zone: str) -> None:
    """Wait until the zone has a keyset."""
    with trio.fail_after(60):
        while (found := api.registry.zoneset.get(wire_name(zone))) is None or found.keys is None:  # noqa: ASYNC110
            await trio.sleep(0.01)


async def in_sync(api: Api, changed: Any) -> None:
    """Wait until a change is in sync."""
    with trio.fail_after(60):
        while (await api("get_change", Id=changed["ChangeInfo"]["Id"]))["ChangeInfo"]["Status"] != "INSYNC":  # noqa: ASYNC110
            await trio.sleep(0.01)


def is_signed(api: Api) -> bool:
    served = api.registry.zoneset.get(wire_name("lab.example"))
    return served is not None and served.keys is not None


async def test_a_zone_is_signed_and_unsigned(api: Api) -> None:
    zone_id = await api.create()
    assert await status(api, zone_id) == ("NOT_SIGNING", {})
    arn, before = await api.key(), int(time.time())
    made = await create_ksk(api, zone_id, KeyManagementServiceArn=arn)
    ksk = made["KeySigningKey"]
    bare = zone_id.rpartition("/")[2]
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert made["Location"] == f"{api.endpoint}/2013-04-01/keysigningkey/{bare}/one"
    assert {
        name: ksk[name] for name in ksk if name.startswith(("Name", "Kms", "Flag", "Sign", "DigestA", "Status"))
    } == {
        "Name": "one",
        "KmsArn": arn,
        "Flag": 257,
        "SigningAlgorithmMnemonic": "ECDSAP256SHA256",
        "SigningAlgorithmType": 13,
        "DigestAlgorithmMnemonic": "SHA-256",
        "DigestAlgorithmType": 2,
        "Status": "ACTIVE",
    }
    assert before <= ksk["CreatedDate"].timestamp() <= time.time()
    dnskey: Any = dns.rdata.from_text("IN", "DNSKEY", ksk["DNSKEYRecord"])
    ds = dns.dnssec.make_ds(dns.name.from_text("lab.example"), dnskey, "SHA256")
    assert ksk["DSRecord"] == f"{ds.key_tag} 13 2 {ds.digest.hex().upper()}"
    assert (ksk["KeyTag"], ksk["DigestValue"]) == (ds.key_tag, ds.digest.hex().upper())
    assert ksk["DNSKEYRecord"] == f"257 3 13 {ksk['PublicKey']}"
    assert await status(api, zone_id) == ("NOT_SIGNING", {"one": "ACTIVE"})
    enabled = await api("enable_hosted_zone_dnssec", HostedZoneId=zone_id)
    assert enabled["ChangeInfo"]["Status"] == "PENDING"
    await in_sync(api, enabled)
    assert await status(api, zone_id) == ("SIGNING", {"one": "ACTIVE"})
    served = api.registry.zoneset.get(wire_name("lab.example"))
    assert served is not None and served.keys is not None
    assert dnskey.to_wire() in served.keys.keyset.rdatas
    await api("disable_hosted_zone_dnssec", HostedZoneId=zone_id)
    assert await status(api, zone_id) == ("NOT_SIGNING", {"one": "ACTIVE"})
    await api("deactivate_key_signing_key", HostedZoneId=zone_id, Name="one")
    assert await status(api, zone_id) == ("NOT_SIGNING", {"one": "INACTIVE"})
    await api("activate_key_signing_key", HostedZoneId=zone_id, Name="one")
    assert await status(api, zone_id) == ("NOT_SIGNING", {"one": "ACTIVE"})
    await api("deactivate_key_signing_key", HostedZoneId=zone_id, Name="one")
    await api("delete_key_signing_key", HostedZoneId=zone_id, Name="one")
    await until(api, zone_id, lambda told: not told[1])
    await api("delete_hosted_zone", Id=zone_id)


async def test_key_signing_keys_that_are_not_made(api: Api) -> None:
    zone_id = await api.create()
    arn = await api.key()
    await create_ksk(api, zone_id, KeyManagementServiceArn=arn, status="INACTIVE")
    for params, code, http in (
        (ksk_params("Z1", arn), "NoSuchHostedZone", 404),
        (ksk_params(zone_id, arn), "KeySigningKeyAlreadyExists", 409),
        (ksk_params(zone_id, arn, "two"), "KeySigningKeyAlreadyExists", 409),
        (ksk_params(zone_id, "arn:aws:s3:::bucket", "two"), "InvalidKMSArn", 400),
        (ksk_params(zone_id, arn[:-3] + "000", "two"), "InvalidKMSArn", 400),
        (ksk_params(zone_id, arn, "a-b"), "InvalidKeySigningKeyName", 400),
        (ksk_params(zone_id, arn, "two", "SLEEPING"), "InvalidKeySigningKeyStatus", 400),
        (ksk_params(zone_id, arn, "t" * 129), "InvalidInput", 400),
        ({**ksk_params(zone_id, arn, "two"), "CallerReference": "x" * 129}, "InvalidInput", 400),
    ):
        assert (await api.error("create_key_signing_key", **params))[:2] == (code, http), params
    await create_ksk(api, zone_id, "two")
    third = ksk_params(zone_id, await api.key(), "three")
    assert (await api.error("create_key_signing_key", **third))[:2] == ("TooManyKeySigningKeys", 400)


async def test_what_a_key_signing_key_refuses(api: Api) -> None:
    zone_id = await api.create()
    await create_ksk(api, zone_id)
    one = {"HostedZoneId": zone_id, "Name": "one"}
    assert await api.error("delete_key_signing_key", **one) == (
        "InvalidKeySigningKeyStatus",
        400,
        "Key Signing Key with name one cannot be deleted because current status is not INACTIVE.",
    )
    for operation in ("activate_key_signing_key", "deactivate_key_signing_key", "delete_key_signing_key"):
        for missing in ({**one, "Name": "none"}, {**one, "HostedZoneId": "Z1"}):
            assert (await api.error(operation, **missing))[:2] == ("NoSuchKeySigningKey", 404)
        assert (await api.error(operation, **{**one, "Name": "x" * 129}))[:2] == ("InvalidInput", 400)
    await api("enable_hosted_zone_dnssec", HostedZoneId=zone_id)
    assert (await api.error("deactivate_key_signing_key", **one))[:2] == ("KeySigningKeyInUse", 400)
    await signed(api, "lab.example")
    await create_ksk(api, zone_id, "two")
    # No parent is known here, and no cache knows the second one yet.
    code, http, message = await api.error("deactivate_key_signing_key", **one)
    assert (code, http) == ("KeySigningKeyInUse", 400)
    assert message.endswith(": signwright ksk deactivate lab.example. one --force")


async def test_signing_is_not_enabled_or_disabled_without_reason(api: Api) -> None:
    zone_id = await api.create()
    for operation in ("enable_hosted_zone_dnssec", "disable_hosted_zone_dnssec", "get_dnssec"):
        assert (await api.error(operation, HostedZoneId="Z1"))[:2] == ("NoSuchHostedZone", 404)
        assert (await api.error(operation, HostedZoneId="Z" * 33))[:2] == ("InvalidInput", 400)
    enable = await api.error("enable_hosted_zone_dnssec", HostedZoneId=zone_id)
    assert enable[:2] == ("KeySigningKeyWithActiveStatusNotFound", 400)
    assert (await api.error("disable_hosted_zone_dnssec", HostedZoneId=zone_id))[:2] == ("DNSSECNotFound", 400)


async def test_a_key_that_the_parent_names_stays(api: Api) -> None:
    """The parent zone is hosted here too: its operator puts the DS there."""
    parent_id, zone_id = await api.create("example"), await api.create()

    async def record(action: str, rrtype: str, value: str) -> None:
        told = {"Name": "lab.example", "Type": rrtype, "TTL": 1, "ResourceRecords": [{"Value": value}]}
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": told}]}
        await api("change_resource_record_sets", HostedZoneId=parent_id, ChangeBatch=batch)

    made = await create_ksk(api, zone_id)
    await api("enable_hosted_zone_dnssec", HostedZoneId=zone_id)
    await signed(api, "lab.example")
    await record("CREATE", "NS", "ns1.test")
    await record("CREATE", "DS", made["KeySigningKey"]["DSRecord"])
    code, status_code, message = await api.error("disable_hosted_zone_dnssec", HostedZoneId=zone_id)
    assert (code, status_code) == ("KeySigningKeyInParentDSRecord", 400)
    assert message.startswith("The parent's DS record names Key Signing Key with name one")
    await create_ksk(api, zone_id, "two")
    deactivate = await api.error("deactivate_key_signing_key", HostedZoneId=zone_id, Name="one")
    assert deactivate[:2] == ("KeySigningKeyInParentDSRecord", 400)
    assert await status(api, zone_id) == ("SIGNING", {"one": "ACTIVE", "two": "ACTIVE"})
    # Until no cache holds it any more.
    await record("DELETE", "DS", made["KeySigningKey"]["DSRecord"])
    code, _, message = await api.error("disable_hosted_zone_dnssec", HostedZoneId=zone_id)
    assert (code, "caches may hold it, or DNSKEY records" in message) == ("KeySigningKeyInParentDSRecord", True)


async def test_a_ds_that_came_and_went_is_in_caches_still(api: Api) -> None:
    """Nobody asked for anything while it was there, and no look at the parent was due."""
    parent_id, zone_id = await api.create("example"), await api.create()

    async def record(action: str, rrtype: str, value: str) -> None:
        told = {"Name": "lab.example", "Type": rrtype, "TTL": 300, "ResourceRecords": [{"Value": value}]}
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": told}]}
        await api("change_resource_record_sets", HostedZoneId=parent_id, ChangeBatch=batch)

    made = await create_ksk(api, zone_id)
    await api("enable_hosted_zone_dnssec", HostedZoneId=zone_id)
    await signed(api, "lab.example")
    await record("CREATE", "NS", "ns1.test")
    await record("CREATE", "DS", made["KeySigningKey"]["DSRecord"])
    await record("DELETE", "DS", made["KeySigningKey"]["DSRecord"])
    code, _, message = await api.error("disable_hosted_zone_dnssec", HostedZoneId=zone_id)
    assert (code, "caches may hold it, or DNSKEY records" in message) == ("KeySigningKeyInParentDSRecord", True)


async def test_a_ds_that_came_and_went_in_a_file_is_in_caches_still(api: Api) -> None:
    zone_id = await api.create("lab.file.example")
    made = await create_ksk(api, zone_id)
    await api("enable_hosted_zone_dnssec", HostedZoneId=zone_id)
    await signed(api, "lab.file.example")
    config = api.registry.registered[wire_name("file.example")].config
    assert config.file is not None
    without = config.file.read_text()
    for text in (f"{without}lab 300 NS ns1.test.\nlab 300 DS {made['KeySigningKey']['DSRecord']}\n", without):
        config.file.write_text(text)
        assert [load.reason for load in await api.registry.load([config])] == [None]
    code, _, message = await api.error("disable_hosted_zone_dnssec", HostedZoneId=zone_id)
    assert (code, "caches may hold it, or DNSKEY records" in message) == ("KeySigningKeyInParentDSRecord", True)


async def test_a_key_that_the_kms_refuses_needs_action(api: Api) -> None:
    zone_id = await api.create()
    arn = await api.key()
    await create_ksk(api, zone_id, KeyManagementServiceArn=arn)
    await api("enable_hosted_zone_dnssec", HostedZoneId=zone_id)
    await signed(api, "lab.example")
    api.world.kms.disable(arn)
    # A change of the keys has it sign anew.
    await create_ksk(api, zone_id, "two")
    await until(api, zone_id, lambda told: told[0] == "ACTION_NEEDED")
    told = await api("get_dnssec", HostedZoneId=zone_id)
    one = next(ksk for ksk in told["KeySigningKeys"] if ksk["Name"] == "one")
    assert one["Status"] == "ACTION_NEEDED"
    assert "DisabledException" in one["StatusMessage"]
    assert "DisabledException" in told["Status"]["StatusMessage"]
    refused = await api.error("activate_key_signing_key", HostedZoneId=zone_id, Name="one")
    assert refused[:2] == ("InvalidKMSArn", 400)
    api.world.kms.enable(arn)
    await api("activate_key_signing_key", HostedZoneId=zone_id, Name="one")
    await until(api, zone_id, lambda told: told[0] == "SIGNING")


async def test_a_change_is_in_sync_once_what_it_leads_to_is_answered(api: Api) -> None:
    zone_id = await api.create()
    await create_ksk(api, zone_id)
    api.world.kms.delay(0.05, method="sign")
    enabled = await api("enable_hosted_zone_dnssec", HostedZoneId=zone_id)
    # One that changes nothing more is not in sync before what it asks for is there, either.
    again = await api("enable_hosted_zone_dnssec", HostedZoneId=zone_id)
    await in_sync(api, again)
    assert is_signed(api)
    await in_sync(api, enabled)
    second = await create_ksk(api, zone_id, "two")
    await in_sync(api, second)
    served = api.registry.zoneset.get(wire_name("lab.example"))
    assert served is not None and served.keys is not None
    assert sum(rdata[:2] == b"\x01\x01" for rdata in served.keys.keyset.rdatas) == 2
    await in_sync(api, await api("disable_hosted_zone_dnssec", HostedZoneId=zone_id))
    assert not is_signed(api)


async def test_a_change_that_fails_is_not_pending_for_ever(api: Api) -> None:
    zone_id = await api.create()
    await create_ksk(api, zone_id)
    fault = api.world.kms.fail("KMSInternalException", method="sign")
    await in_sync(api, await api("enable_hosted_zone_dnssec", HostedZoneId=zone_id))
    assert not is_signed(api)
    api.world.kms.heal(fault)
    api.world.kms.delay(1000, method="sign")
    pending = await api("activate_key_signing_key", HostedZoneId=zone_id, Name="one")
    await api("create_key_signing_key", **ksk_params(zone_id, await api.key(), "two"))
    # What is given up, as with the end of a zone, is not waited for.
    api.registry.key_managers.give_up(api.registry.registered[wire_name("lab.example")])
    await in_sync(api, pending)


async def test_a_kms_that_can_not_be_asked_is_tried_again_by_who_asks(api: Api) -> None:
    zone_id, arn = await api.create(), await api.key()
    params = ksk_params(zone_id, arn)
    api.world.kms.fail("ThrottlingException", method="get_public_key", times=1)
    assert (await api.error("create_key_signing_key", **params))[:2] == ("ServiceUnavailable", 503)
    api.world.kms.fail("ThrottlingException", method="get_public_key", times=1)
    await api("create_key_signing_key", api.connect(attempts=2), **params)
    api.world.kms.fail("TimedOut", method="get_public_key", times=1)
    assert (await api.error("enable_hosted_zone_dnssec", HostedZoneId=zone_id))[:2] == ("ServiceUnavailable", 503)
    await api("enable_hosted_zone_dnssec", api.connect(attempts=2), HostedZoneId=zone_id)


async def test_a_parent_that_can_not_be_asked_is_tried_again_by_who_asks(api: Api) -> None:
    zone_id = await api.create()
    await create_ksk(api, zone_id)
    with listening() as nobody:
        nowhere = ParentServers((Address(*nobody.getsockname()),))
    hosted = api.registry.registered[wire_name("lab.example")]
    hosted.config = msgspec.structs.replace(hosted.config, parent=nowhere)
    code, status, message = await api.error("enable_hosted_zone_dnssec", HostedZoneId=zone_id)
    assert (code, status, message.startswith("Cannot look up")) == ("ServiceUnavailable", 503, True)


@pytest.mark.parametrize("error", [StateUnavailable, StateOvertaken])
async def test_a_disk_that_fails_for_now_is_tried_again_by_who_asks(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    zone_id, arn = await api.create(), await api.key()
    fails = [error("disk full")]
    save = KillableStore.save

    def failing(store: KillableStore, keyring: Keyring, told: list[Entry], *others: Any) -> Any:
        if fails and any(entry.kind == "KskIntended" for entry in told):
            raise fails.pop()
        return save(store, keyring, told, *others)

    monkeypatch.setattr(KillableStore, "save", failing)
    params = ksk_params(zone_id, arn)
    assert (await api.error("create_key_signing_key", **params))[:2] == ("ServiceUnavailable", 503)
    if error is StateUnavailable:  # whom somebody else has overtaken can't be the one that it succeeds with
        await api("create_key_signing_key", **params)


async def test_a_zone_of_a_file_has_keys_too(api: Api) -> None:
    found = (await api("list_hosted_zones_by_name", DNSName="file.example"))["HostedZones"][0]
    told = await api("get_dnssec", HostedZoneId=found["Id"])
    assert told["Status"]["ServeSignature"] == "SIGNING"
    assert told["Status"]["StatusMessage"].startswith("Do not add a DS record to the parent zone before 20")
    assert [ksk["Status"] for ksk in told["KeySigningKeys"]] == ["ACTIVE"]
    assert to_text(wire_name("file.example")) == found["Name"]


@pytest.mark.parametrize("operation", ["get_dnssec", "enable_hosted_zone_dnssec"])
async def test_a_reader_of_status_changes_none(api: Api, operation: str) -> None:
    zone_id = await api.create()
    if operation == "enable_hosted_zone_dnssec":
        await api.error(operation, HostedZoneId=zone_id)
    assert await status(api, zone_id) == ("NOT_SIGNING", {})
    served = api.registry.zoneset.get(wire_name("lab.example"))
    assert served is not None and not served.zone.signed
