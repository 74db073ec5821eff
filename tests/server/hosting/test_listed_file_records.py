"""Zones of files as record sets: each once, in the order of listings, from anywhere on; and the count is theirs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.hosting.listed_file_records import count, listed
from tests.lab import new_key
from tests.strategies import MadeZone, zones
from zones.masterfile.load import parse_zone
from zones.recordsets.record_sets import Position, RecordSet
from zones.recordsets.route53_names import order
from zones.storage.zone_image import image_of, read_image
from zones.zone import Zone


def mapped(zone: Zone) -> Zone:
    return read_image(memoryview(b"".join(image_of(zone, (), new_key)))).zone


def by_position(record_set: RecordSet) -> tuple[str, str]:
    return order(record_set.name), record_set.type


@given(zones(), st.booleans(), st.integers(1, 4))
def test_every_page_goes_on_where_the_last_one_ended(made: MadeZone, is_mapped: bool, size: int) -> None:
    zone = parse_zone(made.text, made.origin.to_text())
    zone = mapped(zone) if is_mapped else zone
    whole = listed(zone, None, 10_000)
    assert count(zone) == len(whole)
    assert list(whole) == sorted(whole, key=by_position)
    assert len({(each.name, each.type) for each in whole}) == len(whole)
    paged: list[RecordSet] = []
    while page := listed(zone, Position(whole[len(paged)].name, whole[len(paged)].type), size):
        paged += page
        if len(paged) == len(whole):
            break
    assert paged == list(whole)


def test_glue_is_listed_and_counted_once() -> None:
    text = (
        "@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns.elsewhere.test.\n"
        "one 300 NS ns.one\none 300 NS ns.two\ntwo 300 NS ns.two\nns.one 60 A 192.0.2.1\nns.two 60 A 192.0.2.2\n"
        "own 300 NS own\nown 60 AAAA 2001:db8::1\nhidden.one 60 TXT x\n"
    )
    zone = parse_zone(text, "zone.example")
    names = [(each.name.removesuffix("zone.example."), each.type) for each in listed(zone, None, 100)]
    assert names == [
        *(("", "NS"), ("", "SOA"), ("one.", "NS"), ("ns.one.", "A")),
        *(("own.", "AAAA"), ("own.", "NS"), ("two.", "NS"), ("ns.two.", "A")),
    ]
    assert count(zone) == count(mapped(zone)) == len(names)
