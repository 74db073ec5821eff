"""Requests as values, by botocore's own serializer where it can make them, by hand where it would not."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import botocore.session
import pytest
from botocore.model import ServiceModel
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from server.route53.api_errors import ApiError
from server.route53.constraints import check_constraints
from server.route53.records import given_change
from server.route53.requests import parse_request
from server.route53.service_model import NAMESPACE, Model, load_model
from server.route53.strict_xml import MAXIMUM_DEPTH, parse_xml

model = cache(load_model)


@cache
def service() -> ServiceModel:
    return ServiceModel(botocore.session.get_session().get_service_model("route53")._service_description, "route53")


def sent(name: str, **params: Any) -> Any:
    """The parameters as they arrive, when botocore sends them."""
    request = create_serializer("rest-xml", include_validation=False).serialize_to_request(
        params, service().operation_model(name)
    )
    match = model().match(request["method"], request["url_path"])
    assert match is not None
    assert match.operation.name == name
    body = request["body"]
    query = urlencode(request["query_string"])
    return parse_request(match, query, {}, body if isinstance(body, bytes) else body.encode())


def parse(name: str, body: bytes, query: str = "", *, zone: str = "Z1") -> Any:
    operation = model().operations[name]
    path = "/" + "/".join(zone if segment.startswith("{") else segment for segment in operation.segments)
    match = model().match(operation.method, path)
    assert match is not None
    return parse_request(match, query, {}, body)


def refused(name: str, body: bytes, query: str = "") -> tuple[str, str]:
    with pytest.raises(ApiError) as caught:
        parse(name, body, query)
    return caught.value.code, caught.value.message


def comment(inner: str, declaration: str = "") -> bytes:
    root = "UpdateHostedZoneCommentRequest"
    return f'{declaration}<{root} xmlns="{NAMESPACE}">{inner}</{root}>'.encode()


RECORD_SET = {
    "Name": "www.example.com",
    "Type": "A",
    "SetIdentifier": "one",
    "Weight": 3,
    "TTL": 300,
    "ResourceRecords": [{"Value": "192.0.2.1"}, {"Value": " 192.0.2.2 & <more>"}],
}
ALIAS = {
    "Name": "a.example.com",
    "Type": "AAAA",
    "AliasTarget": {"HostedZoneId": "Z1", "DNSName": "b.example.com", "EvaluateTargetHealth": False},
    "MultiValueAnswer": True,
    "GeoProximityLocation": {"Coordinates": {"Latitude": "1.5", "Longitude": "-2"}, "Bias": -7},
}


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("CreateHostedZone", {"Name": "é.example", "CallerReference": "1", "HostedZoneConfig": {"PrivateZone": True}}),
        ("ListHostedZones", {"Marker": "a b&c", "MaxItems": "7"}),
        ("ListHostedZones", {}),
        (
            "ChangeResourceRecordSets",
            {
                "HostedZoneId": "Z1",
                "ChangeBatch": {
                    "Comment": "two",
                    "Changes": [
                        {"Action": "CREATE", "ResourceRecordSet": RECORD_SET},
                        {"Action": "DELETE", "ResourceRecordSet": ALIAS},
                    ],
                },
            },
        ),
        ("ChangeTagsForResource", {"ResourceType": "hostedzone", "ResourceId": "Z", "RemoveTagKeys": ["a", "b"]}),
        ("ActivateKeySigningKey", {"HostedZoneId": "Z1", "Name": "a_1"}),
    ],
)
def test_what_botocore_sends_arrives(name: str, params: dict[str, Any]) -> None:
    assert sent(name, **params) == params


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_text_arrives_as_it_is(text: str) -> None:
    assert sent("UpdateHostedZoneComment", Id="Z1", Comment=text)["Comment"] == text


def test_a_namespace_is_the_services_or_none() -> None:
    assert parse("UpdateHostedZoneComment", comment("<Comment>x</Comment>")) == {
        "Id": "Z1",
        "Comment": "x",
    }
    plain = b"<UpdateHostedZoneCommentRequest><Comment>x</Comment></UpdateHostedZoneCommentRequest>"
    assert parse("UpdateHostedZoneComment", plain) == {"Id": "Z1", "Comment": "x"}
    code, message = refused("UpdateHostedZoneComment", comment("").replace(b"2013", b"2012"))
    assert code == "MalformedInput"
    assert "2012" in message


BOMB = '<!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE b [<!ENTITY b SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    "body",
    [
        b" ",
        b"no xml",
        b"<a>",
        b"\xff\xfe<",
        comment("<Comment>&b;</Comment>"),
        comment("<Comment>&b;</Comment>", BOMB),
        comment("<Comment>&b;</Comment>", OUTSIDE),
        comment("", "<!DOCTYPE b>"),
        b'<?xml version="1.0" encoding="none-such"?><UpdateHostedZoneCommentRequest/>',
        b'<?xml version="1.0" encoding="shift_jis"?><UpdateHostedZoneCommentRequest/>',
        b'<?xml version="1.0" encoding="idna"?><UpdateHostedZoneCommentRequest/>',
        comment("<a>" * MAXIMUM_DEPTH + "</a>" * MAXIMUM_DEPTH),
        comment("") + comment(""),
        b"<CreateHostedZoneRequest/>",
        comment("<Comment>\x01</Comment>"),
        comment('<Comment xmlns="urn:other">x</Comment>'),
    ],
)
def test_what_is_no_document_of_ours_is_malformed(body: bytes) -> None:
    assert refused("UpdateHostedZoneComment", body)[0] == "MalformedInput"


def test_no_body_has_no_members() -> None:
    assert sent("UpdateHostedZoneComment", Id="Z1") == parse("UpdateHostedZoneComment", b"") == {"Id": "Z1"}


def test_the_root_is_named_where_it_is_wrong() -> None:
    assert refused("UpdateHostedZoneComment", b"<ChangeBatch/>") == (
        "MalformedInput",
        "ChangeBatch is not valid, expected UpdateHostedZoneCommentRequest",
    )


@pytest.mark.parametrize(
    "inner",
    [
        "<Nonsense/>",
        "<Comment>a</Comment><Comment>b</Comment>",
        "<Comment><b>a</b></Comment>",
        "text",
        "<Comment>a</Comment>text",
        "<Id>Z2</Id>",
    ],
)
def test_content_that_the_shape_does_not_have_is_refused(inner: str) -> None:
    code, message = refused("UpdateHostedZoneComment", comment(inner))
    assert code == "InvalidInput"
    assert message.startswith("Invalid XML ; ")


@pytest.mark.parametrize("ttl", ["", "x", "1.5", "1e3", "9" * 30, "٣"])
def test_numbers_are_numbers(ttl: str) -> None:
    body = f"<ChangeResourceRecordSetsRequest><ChangeBatch><Changes><Change><ResourceRecordSet><TTL>{ttl}</TTL>" + (
        "</ResourceRecordSet></Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
    )
    assert refused("ChangeResourceRecordSets", body.encode())[0] == "InvalidInput"


def test_items_of_a_list_have_their_name() -> None:
    body = b"<ChangeResourceRecordSetsRequest><ChangeBatch><Changes><member/></Changes></ChangeBatch>"
    code, message = refused("ChangeResourceRecordSets", body + b"</ChangeResourceRecordSetsRequest>")
    assert code == "InvalidInput"
    assert "Expected: Change" in message


@pytest.mark.parametrize("query", ["marker=a&marker=b", "marker=%ff", "&".join(f"a{n}=1" for n in range(99))])
def test_query_strings_that_are_none(query: str) -> None:
    assert refused("ListHostedZones", b"", query)[0] == "InvalidInput"


def test_an_empty_parameter_of_the_query_string_is_none() -> None:
    assert parse("ListHostedZones", b"", "marker=&maxitems=3&other=4") == {"MaxItems": "3"}


@given(st.binary(max_size=200))
def test_any_bytes_give_a_document_or_the_one_error(body: bytes) -> None:
    try:
        parse_xml(body, NAMESPACE)
    except ApiError as error:
        assert error.code == "MalformedInput"


TAGS = [
    "ChangeResourceRecordSetsRequest",
    "ChangeBatch",
    "Changes",
    "Change",
    "Comment",
    "Action",
    "ResourceRecordSet",
    "Name",
    "Type",
    "TTL",
    "Weight",
    "SetIdentifier",
    "MultiValueAnswer",
    "ResourceRecords",
    "ResourceRecord",
    "Value",
    "AliasTarget",
    "HostedZoneId",
    "DNSName",
    "EvaluateTargetHealth",
    "GeoProximityLocation",
    "Bias",
    "Coordinates",
    "Latitude",
    "CidrRoutingConfig",
    "CollectionId",
    "HealthCheckId",
]
TEXTS = st.sampled_from(["", " ", "CREATE", "A", "a.example", "1", "-1", "99999999999", "true", "x", "é", "\\052"])
TREES = st.recursive(
    TEXTS,
    lambda inner: st.lists(st.tuples(st.sampled_from(TAGS), inner), max_size=6),
    max_leaves=30,
)


def document(tree: Any) -> str:
    if isinstance(tree, str):
        return escape(tree)
    return "".join(f"<{tag}>{document(inner)}</{tag}>" for tag, inner in tree)


@given(TREES)
def test_any_document_becomes_record_sets_or_the_errors_of_input(tree: Any) -> None:
    """Around what is drawn stand the elements that a batch begins with, so that some of it goes deep."""
    record_set = f"<Action>CREATE</Action><ResourceRecordSet>{document(tree)}</ResourceRecordSet>"
    change = f"<ChangeBatch><Changes><Change>{record_set}</Change></Changes></ChangeBatch>"
    for inner in (document(tree), change):
        body = f"<ChangeResourceRecordSetsRequest>{inner}</ChangeResourceRecordSetsRequest>"
        try:
            params = parse("ChangeResourceRecordSets", body.encode())
            check("ChangeResourceRecordSets", **params)
        except ApiError as error:
            assert error.code in ("InvalidInput", "MalformedInput")
        else:
            assert [given_change(item) for item in params["ChangeBatch"]["Changes"]]


# Limits


def check(name: str, **params: Any) -> None:
    known: Model = model()
    check_constraints(known.operations[name].input, params)


def problem(name: str, **params: Any) -> str:
    with pytest.raises(ApiError) as caught:
        check(name, **params)
    assert caught.value.code == "InvalidInput"
    return caught.value.message


def test_limits_in_the_words_of_aws() -> None:
    assert problem("CreateHostedZone", Name="a", CallerReference="") == (
        "1 validation error detected: Value '' at 'callerReference' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1"
    )
    assert problem("CreateHostedZone").startswith("2 validation errors detected: Value null at 'name' failed to")
    assert "Member must have length less than or equal to 32" in problem("GetHostedZone", Id="Z" * 33)
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": {"Name": "a", "Type": "NONSENSE", "TTL": -1}}]}
    told = problem("ChangeResourceRecordSets", HostedZoneId="Z1", ChangeBatch=batch)
    assert "Value '-1' at 'changeBatch.changes.1.member.resourceRecordSet.tTL'" in told
    assert "Member must have value greater than or equal to 0" in told
    assert "'NONSENSE'" in told
    assert "Member must satisfy enum value set: [SOA, A, " in told
    asked = {"HostedZoneId": "Z1", "RecordName": "a", "RecordType": "A"}
    assert "regular expression pattern" in problem("TestDNSAnswer", **asked, ResolverIP="300.1.1.1")
    check("TestDNSAnswer", **asked, ResolverIP="192.0.2.1")


def test_a_message_has_an_end() -> None:
    changes = [{"Action": "x" * 1000, "ResourceRecordSet": {"Name": "a", "Type": "A"}}] * 1000
    told = problem("ChangeResourceRecordSets", HostedZoneId="Z1", ChangeBatch={"Changes": changes})
    assert told.startswith("1000 validation errors detected")
    assert len(told) < 10_000
