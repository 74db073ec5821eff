"""The table of errors: for each call, each error of its model is provoked through boto3, or can't occur here."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from server.route53.api import HANDLERS
from server.route53.service_model import load_model
from tests.server.route53.provoked import PROVOKED, TAGS
from tests.server.route53.served import Api, served

model = cache(load_model)
ALL = "*"

WAITING = "requests for one zone wait for each other"
ONE_ERROR = "what it is about is answered as InvalidInput"
IMPOSSIBLE = {
    (ALL, "PriorRequestNotComplete"): WAITING,
    (ALL, "ConcurrentModification"): WAITING,
    (ALL, "InvalidArgument"): ONE_ERROR,
    (ALL, "DelegationSetNotReusable"): "there are no reusable delegation sets: NoSuchDelegationSet",
    ("CreateHostedZone", "TooManyHostedZones"): "their number has no limit",
    ("CreateHostedZone", "DelegationSetNotAvailable"): "the name servers are those of the configuration",
    ("GetHostedZoneCount", "InvalidInput"): "it takes no parameters",
    ("DeleteHostedZone", "InvalidDomainName"): "the zone is named by its id",
    ("DeleteKeySigningKey", "InvalidKMSArn"): "the KMS is not asked about a key that goes",
    ("DisableHostedZoneDNSSEC", "InvalidKMSArn"): "the KMS is not asked about keys that stop signing",
    ("DisableHostedZoneDNSSEC", "InvalidKeySigningKeyStatus"): "KSKs of any status may stop signing",
    ("EnableHostedZoneDNSSEC", "InvalidKeySigningKeyStatus"): "without an ACTIVE one it is another error",
    ("EnableHostedZoneDNSSEC", "DNSSECNotFound"): "DNSSEC is there for every zone",
    ("ListHealthChecks", "IncompatibleVersion"): "there are no health checks of another version",
    ("ListTrafficPolicyInstances", "NoSuchTrafficPolicyInstance"): "a marker is from no page: InvalidInput",
    ("ListTrafficPolicyInstancesByHostedZone", "NoSuchTrafficPolicyInstance"): "a marker is from no page: InvalidInput",
}

THROTTLED: dict[str, tuple[str, dict[str, Any]]] = {
    "ChangeTagsForResource": ("change_tags_for_resource", {**TAGS, "RemoveTagKeys": ["a"]}),
    "ListTagsForResource": ("list_tags_for_resource", TAGS),
    "ListTagsForResources": ("list_tags_for_resources", {"ResourceType": "hostedzone", "ResourceIds": ["1"]}),
}


def errors() -> list[tuple[str, str]]:
    """Every error of every call."""
    return [(name, code) for name in sorted(HANDLERS) for code in sorted(model().operations[name].errors)]


def test_each_error_is_provoked_or_has_its_reason() -> None:
    throttled = {(name, "ThrottlingException") for name in THROTTLED}
    provoked = PROVOKED.keys() | throttled
    impossible = {(name, code) for name, code in errors() if {(name, code), (ALL, code)} & IMPOSSIBLE.keys()}
    assert provoked | impossible == set(errors())
    assert not provoked & impossible
    codes = {code for _, code in errors()}
    assert all(code in codes if name == ALL else (name, code) in errors() for name, code in IMPOSSIBLE)


@pytest.mark.parametrize(("operation", "code"), sorted(PROVOKED), ids=str)
async def test_an_error(api: Api, operation: str, code: str) -> None:
    told, status, message = await PROVOKED[operation, code](api)
    assert (told, status) == (code, model().status(code))
    assert message


@pytest.mark.parametrize("operation", THROTTLED)
async def test_tags_have_an_error_of_their_own_for_too_many_requests(tmp_path: Path, operation: str) -> None:
    async with served(tmp_path, rate=1) as api:
        await api("get_hosted_zone_count")
        call, params = THROTTLED[operation]
        assert await api.error(call, **params) == ("ThrottlingException", 400, "Rate exceeded")
