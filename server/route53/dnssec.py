"""The seven operations of DNSSEC: a zone's key manager is asked, its status told. Each change lets it sign anew."""

from __future__ import annotations

from base64 import b64encode

import trio

from keys.custody.key_manager import KeyManager
from keys.dnssec.ds import ds_rdata, ds_text
from keys.dnssec.registry_numbers import DIGEST_SHA256, ECDSAP256SHA256, FLAG_KSK
from keys.rules.commands import (
    NO_SUCH_KSK,
    WRONG_STATUS,
    ActivateKsk,
    Command,
    CreateKsk,
    DeactivateKsk,
    DeleteKsk,
    DisableSigning,
    EnableSigning,
    RequestRefusedError,
)
from keys.rules.key_status import Condition, KskReport, ZoneStatus
from keys.rules.keyring import Keyring, Ksk
from server.route53.api_call import ApiCall, Handler, Result, bare, change_info
from zones.recordsets.record_sets import NO_SUCH_ZONE, ZoneRequestError

LOOKS = 250
"""How often a new KSK is looked at until its public key is known; then the response goes without it."""
LONGEST_MESSAGE = 512
_PROTOCOL = 3
"""Of every DNSKEY (RFC 4034 §2.1.2)."""
_LOOK_AGAIN = 0.02
"""Seconds between two looks."""
_STATUSES = {"ACTIVE": True, "INACTIVE": False}


async def create(call: ApiCall) -> Result:
    """CreateKeySigningKey."""
    params = call.params
    name, status, zone_id = params["Name"], params["Status"], bare(params["HostedZoneId"])
    if status not in _STATUSES:
        raise RequestRefusedError(
            WRONG_STATUS,
            f"The status '{status}' is not valid for a new Key Signing Key: give ACTIVE or INACTIVE.",
        )
    key_manager = await call.zones.key_manager(zone_id)
    await key_manager.request(CreateKsk(name, params["KeyManagementServiceArn"], _STATUSES[status]))
    change = await call.zones.note_change(settled=key_manager.settling())
    await _public_key_known(key_manager, name)
    reports = [report for report in key_manager.status.ksks if report.name == name]
    return {
        "ChangeInfo": change_info(change),
        "KeySigningKey": _told(key_manager.keyring, reports[0]),
        "Location": f"{call.base}/keysigningkey/{zone_id}/{name}",
    }


async def activate(call: ApiCall) -> Result:
    """ActivateKeySigningKey."""
    return await _change_ksk(call, ActivateKsk(call.params["Name"]))


async def deactivate(call: ApiCall) -> Result:
    """DeactivateKeySigningKey."""
    return await _change_ksk(call, DeactivateKsk(call.params["Name"]))


async def delete(call: ApiCall) -> Result:
    """DeleteKeySigningKey."""
    return await _change_ksk(call, DeleteKsk(call.params["Name"]))


async def enable(call: ApiCall) -> Result:
    """EnableHostedZoneDNSSEC."""
    zone_id = bare(call.params["HostedZoneId"])
    await call.zones.check_delegation(zone_id)
    return await _changed(call, await call.zones.key_manager(zone_id), EnableSigning())


async def disable(call: ApiCall) -> Result:
    """DisableHostedZoneDNSSEC."""
    return await _changed(call, await call.zones.key_manager(bare(call.params["HostedZoneId"])), DisableSigning())


async def get(call: ApiCall) -> Result:
    """GetDNSSEC."""
    keyring, status = await call.zones.keys(bare(call.params["HostedZoneId"]))
    message = status.problem if status.condition not in (Condition.SIGNING, Condition.UNSIGNED) else None
    return {
        "Status": {"ServeSignature": _serve_signature(status), "StatusMessage": _short(message or status.ds_wait)},
        "KeySigningKeys": [_told(keyring, report) for report in status.ksks],
    }


async def _change_ksk(call: ApiCall, command: Command) -> Result:
    try:
        key_manager = await call.zones.key_manager(bare(call.params["HostedZoneId"]))
    except ZoneRequestError as error:
        if error.code != NO_SUCH_ZONE:
            raise
        # These operations have no error for a zone that is not there.
        raise RequestRefusedError(NO_SUCH_KSK, error.message) from None
    return await _changed(call, key_manager, command)


async def _changed(call: ApiCall, key_manager: KeyManager, command: Command) -> Result:
    await key_manager.request(command)
    return {"ChangeInfo": change_info(await call.zones.note_change(settled=key_manager.settling()))}


async def _public_key_known(key_manager: KeyManager, name: str) -> None:
    """Wait for the key manager to have the public key from the KMS, or to be told that it can't have it."""
    for _ in range(LOOKS):
        if any(ksk.name == name and (ksk.public_key or ksk.trouble) for ksk in key_manager.keyring.ksks):
            return
        await trio.sleep(_LOOK_AGAIN)


def _serve_signature(status: ZoneStatus) -> str:
    """The zone's status in Route 53's words."""
    if status.condition is Condition.FROZEN:
        return "INTERNAL_FAILURE"
    if not status.signing:
        return "NOT_SIGNING"
    return "ACTION_NEEDED" if any(ksk.status.value == "ACTION_NEEDED" for ksk in status.ksks) else "SIGNING"


def _ksk(keyring: Keyring, name: str) -> Ksk | None:
    """The KSK, once its public key is known."""
    return next((k for k in keyring.ksks if k.name == name and k.public_key is not None), None)


def _told(keyring: Keyring, report: KskReport) -> Result:
    """A KSK as responses tell it; what follows from its public key, as soon as that is known."""
    told: Result = {
        "Name": report.name,
        "KmsArn": report.arn,
        "Flag": FLAG_KSK,
        "SigningAlgorithmMnemonic": "ECDSAP256SHA256",
        "SigningAlgorithmType": ECDSAP256SHA256,
        "DigestAlgorithmMnemonic": "SHA-256",
        "DigestAlgorithmType": DIGEST_SHA256,
        "Status": report.status.value,
        "StatusMessage": _short(report.message),
        "CreatedDate": report.created,
        "LastModifiedDate": report.changed if report.changed is not None else report.created,
    }
    ksk = _ksk(keyring, report.name)
    if ksk is not None and ksk.public_key is not None:
        ds = ds_text(ds_rdata(keyring.origin, ksk.rdata))
        public_key = b64encode(ksk.public_key).decode()
        told |= {
            "KeyTag": ksk.key_tag,
            "DigestValue": ds.rpartition(" ")[2],
            "PublicKey": public_key,
            "DSRecord": ds,
            "DNSKEYRecord": f"{FLAG_KSK} {_PROTOCOL} {ECDSAP256SHA256} {public_key}",
        }
    return told


def _short(message: str | None) -> str | None:
    return message[:LONGEST_MESSAGE] if message is not None else None


HANDLERS: dict[str, Handler] = {
    "CreateKeySigningKey": create,
    "ActivateKeySigningKey": activate,
    "DeactivateKeySigningKey": deactivate,
    "DeleteKeySigningKey": delete,
    "EnableHostedZoneDNSSEC": enable,
    "DisableHostedZoneDNSSEC": disable,
    "GetDNSSEC": get,
}
