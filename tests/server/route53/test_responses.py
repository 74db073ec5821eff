"""Responses, read back by botocore's own parser."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any
from xml.etree import ElementTree

import pytest
from botocore.model import ServiceModel
from botocore.parsers import create_parser

from server.route53 import unsupported_operations
from server.route53.responses import SLICE, Rendered, render, render_error, render_in_slices
from server.route53.service_model import load_model
from tests.growth import growth
from tests.server.route53.test_requests import service

model = cache(load_model)


def read(name: str, rendered: Rendered) -> Any:
    known: ServiceModel = service()
    shape = known.operation_model(name).output_shape
    response = {"body": rendered.body, "status_code": rendered.status, "headers": rendered.headers}
    return create_parser("rest-xml").parse(response, shape)


CHANGE = {"Id": "/change/C1", "Status": "PENDING", "SubmittedAt": 1_767_225_600, "Comment": None}


def test_a_result_is_read_as_it_was_told() -> None:
    result = {
        "HostedZone": {
            "Id": "/hostedzone/Z1",
            "Name": "example.com.",
            "CallerReference": "<&>",
            "Config": {"PrivateZone": False},
            "ResourceRecordSetCount": 2,
        },
        "ChangeInfo": CHANGE,
        "DelegationSet": {"NameServers": ["ns1.example", "ns2.example"]},
        "Location": "https://host/2013-04-01/hostedzone/Z1",
    }
    rendered = render(model().operations["CreateHostedZone"], result)
    told = read("CreateHostedZone", rendered)
    assert rendered.status == 201
    del told["ResponseMetadata"]
    submitted = told["ChangeInfo"].pop("SubmittedAt")
    assert submitted == datetime(2026, 1, 1, tzinfo=UTC)
    expected: Any = {**result, "ChangeInfo": {"Id": "/change/C1", "Status": "PENDING"}}
    assert told == expected


def test_a_quotation_mark_is_an_entity_in_text() -> None:
    """Clients that split responses at quotation marks, as acme.sh does, find only those of the markup."""
    info = {**CHANGE, "Comment": "\"&<'>"}
    body = render(model().operations["GetChange"], {"ChangeInfo": info}).body.decode()
    assert "<Comment>&quot;&amp;&lt;'&gt;</Comment>" in body
    assert render_error(400, "Code", 'a "b"', "1").body.count(b"&quot;") == 2


def test_the_document_itself() -> None:
    rendered = render(model().operations["GetChange"], {"ChangeInfo": CHANGE})
    assert rendered == (
        200,
        {},
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<GetChangeResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeInfo><Id>/change/C1</Id>'
        b"<Status>PENDING</Status><SubmittedAt>2026-01-01T00:00:00.000Z</SubmittedAt></ChangeInfo></GetChangeResponse>",
    )


def test_elements_are_in_the_models_order_whatever_the_results() -> None:
    result = {
        "KeySigningKeys": [{"Status": "ACTIVE", "Name": "one", "Flag": 257}],
        "Status": {"ServeSignature": "SIGNING"},
    }
    root = ElementTree.fromstring(render(model().operations["GetDNSSEC"], result).body)
    tags = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert tags == [
        "GetDNSSECResponse",
        "Status",
        "ServeSignature",
        "KeySigningKeys",
        "member",
        "Name",
        "Flag",
        "Status",
    ]


def test_a_result_that_the_model_does_not_have_is_a_bug() -> None:
    with pytest.raises(KeyError, match="Nonsense"):
        render(model().operations["GetChange"], {"Nonsense": 1})


def test_what_xml_cannot_carry_is_replaced() -> None:
    result = {"HostedZone": {"Id": "Z", "Name": "a\x00b\ufffe", "CallerReference": "c"}}
    told = read("UpdateHostedZoneComment", render(model().operations["UpdateHostedZoneComment"], result))
    assert told["HostedZone"]["Name"] == "a\ufffdb"


@pytest.mark.parametrize(("status", "kind"), [(400, "Sender"), (404, "Sender"), (500, "Receiver")])
def test_an_error_is_read_as_one(status: int, kind: str) -> None:
    rendered = render_error(status, "NoSuchHostedZone", "No <zone> & more", "r-1")
    told = read("GetHostedZone", rendered)
    assert told["Error"] == {"Type": kind, "Code": "NoSuchHostedZone", "Message": "No <zone> & more"}
    assert told["ResponseMetadata"]["RequestId"] == "r-1"
    assert told["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize("name", sorted(unsupported_operations.HANDLERS))
def test_empty_lists_have_all_that_the_model_requires(name: str) -> None:
    result = unsupported_operations.EMPTY[name]
    if name == "ListVPCAssociationAuthorizations":
        result = {"HostedZoneId": "Z1", **result}
    told = read(name, render(model().operations[name], result))
    assert set(service().operation_model(name).output_shape.required_members) <= told.keys()


async def test_a_long_page_is_made_in_slices() -> None:
    operation = model().operations["ListResourceRecordSets"]
    records = [{"Value": f"192.0.2.{number}"} for number in range(100)]
    sets = [{"Name": f"h{number}.", "Type": "A", "TTL": 60, "ResourceRecords": records} for number in range(100)]
    result = {"ResourceRecordSets": sets, "IsTruncated": False, "MaxItems": 300}
    pauses = 0

    async def pause() -> None:
        nonlocal pauses
        pauses += 1

    assert await render_in_slices(operation, result, pause) == render(operation, result)
    assert pauses >= 100 * 100 * 2 // SLICE


def test_text_costs_no_more_than_its_length() -> None:
    for text in ("a", "\x00", "\ufffe", "<", "é"):
        small, large = ({"ChangeInfo": {**CHANGE, "Comment": text * size}} for size in (5_000, 40_000))
        operation = model().operations["GetChange"]
        assert growth(lambda: render(operation, small), lambda: render(operation, large)) <= 12, text  # noqa: B023
