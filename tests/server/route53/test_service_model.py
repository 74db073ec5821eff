"""Routes and errors, as the service's model has them."""

from __future__ import annotations

from functools import cache

import pytest

from server.route53.service_model import Model, load_model

model = cache(load_model)


def matched(method: str, path: str) -> tuple[str, dict[str, str]] | None:
    found = model().match(method, path)
    return None if found is None else (found.operation.name, dict(found.labels))


@pytest.mark.parametrize(
    ("method", "path", "name", "labels"),
    [
        ("GET", "/2013-04-01/hostedzone", "ListHostedZones", {}),
        ("POST", "/2013-04-01/hostedzone", "CreateHostedZone", {}),
        ("GET", "/2013-04-01/hostedzone/Z1", "GetHostedZone", {"Id": "Z1"}),
        ("POST", "/2013-04-01/hostedzone/Z1/rrset/", "ChangeResourceRecordSets", {"Id": "Z1"}),
        ("POST", "/2013-04-01/hostedzone/Z1/rrset", "ChangeResourceRecordSets", {"Id": "Z1"}),
        ("GET", "/2013-04-01/hostedzone/Z1/rrset", "ListResourceRecordSets", {"Id": "Z1"}),
        (
            "POST",
            "/2013-04-01/keysigningkey/Z1/ksk_1/activate",
            "ActivateKeySigningKey",
            {"HostedZoneId": "Z1", "Name": "ksk_1"},
        ),
        (
            "GET",
            "/2013-04-01/tags/hostedzone/Z%31",
            "ListTagsForResource",
            {"ResourceType": "hostedzone", "ResourceId": "Z1"},
        ),
        ("GET", "/2013-04-01/trafficpolicyinstances/hostedzone", "ListTrafficPolicyInstancesByHostedZone", {}),
        ("GET", "/2013-04-01/hostedzone/a%2Fb", "GetHostedZone", {"Id": "a/b"}),
    ],
)
def test_a_request_line_names_an_operation(method: str, path: str, name: str, labels: dict[str, str]) -> None:
    assert matched(method, path) == (name, labels)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "*",
        "/2013-04-01",
        "/2012-02-29/hostedzone",
        "/2013-04-01/nonsense",
        "/2013-04-01/hostedzone/Z1/rrset/more",
        "/2013-04-01/hostedzone//rrset",
        "/2013-04-01/hostedzone/../hostedzone",
        "/2013-04-01/./hostedzone",
        "2013-04-01/hostedzone",
    ],
)
def test_anything_else_names_none(path: str) -> None:
    assert matched("GET", path) is None
    assert matched("PATCH", "/2013-04-01/hostedzone") is None


def test_every_operation_is_found_by_its_own_line() -> None:
    known: Model = model()
    for operation in known.operations.values():
        path = "/" + "/".join("x" if segment.startswith("{") else segment for segment in operation.segments)
        assert matched(operation.method, path) is not None
        assert matched(operation.method, path)[0] == operation.name  # type: ignore[index]


def test_errors_have_their_status() -> None:
    statuses = {code: model().status(code) for code in ("NoSuchHostedZone", "KeySigningKeyAlreadyExists")}
    assert statuses == {"NoSuchHostedZone": 404, "KeySigningKeyAlreadyExists": 409}
    assert model().status("InvalidInput") == 400
    assert model().status("InvalidChangeBatch") == 400
    assert model().status("HostedZoneAlreadyExists") == 409


def test_what_writes_is_known() -> None:
    writes = {name for name, operation in model().operations.items() if operation.writes}
    assert {
        "CreateHostedZone",
        "ChangeTagsForResource",
        "EnableHostedZoneDNSSEC",
        "AssociateVPCWithHostedZone",
    } <= writes
    assert not writes & {"ListTagsForResources", "TestDNSAnswer", "GetDNSSEC", "ListHostedZonesByName"}
