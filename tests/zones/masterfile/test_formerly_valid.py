"""A record that earlier versions served and that is invalid now is left out; what no version served is refused."""

from __future__ import annotations

import pytest

from zones import names
from zones.masterfile.load import ZoneFileError, ZoneWarning, parse_zone
from zones.zone import Zone

APEX = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"
LOC = "LOC 1 N 1 E 1e3m"
MD = "TYPE3 \\# 1 01"

NEVER_SERVED = [
    (f"x.other.test. {LOC}", 5, "x.other.test. is outside the zone lab.example."),
    (f"x.other.test. {MD}", 5, "x.other.test. is outside the zone lab.example."),
    (f"x 4294967295 {LOC}", 5, "TTL 4294967295 is greater than 2147483647"),
    (f"x 2147483648 {MD}", 5, "TTL 2147483648 is greater than 2147483647"),
]
NEVER_SERVED_IN_ALL = [
    (f"x CNAME ns\nx {MD}", 6, "has a CNAME and other data (MD)"),
    (f"x {LOC}\nx CNAME ns", 6, "has a CNAME and other data (LOC)"),
    (f"x 60 LOC 1 N 1 E 1m\nx 61 {LOC}", 6, "TTL 61 differs from the 60 of the RRset's first record"),
]


def parse(text: str, *, lenient: bool = True) -> tuple[Zone, list[ZoneWarning]]:
    warned: list[ZoneWarning] = []
    return parse_zone(f"{APEX}{text}\n", "lab.example", file="zone", lenient=lenient, warned=warned.extend), warned


@pytest.mark.parametrize(("text", "line", "reason"), NEVER_SERVED + NEVER_SERVED_IN_ALL)
def test_a_zone_that_no_version_served_is_refused(text: str, line: int, reason: str) -> None:
    with pytest.raises(ZoneFileError) as caught:
        parse(text)
    assert caught.value.line == line
    assert reason in caught.value.reason


@pytest.mark.parametrize(("text", "line", "reason"), NEVER_SERVED)
def test_check_names_what_every_version_refused_first(text: str, line: int, reason: str) -> None:
    with pytest.raises(ZoneFileError) as caught:
        parse(text, lenient=False)
    assert caught.value.line == line
    assert reason in caught.value.reason


@pytest.mark.parametrize("text", [f"x {LOC}", f"x {MD}", f"x {LOC}\nx {LOC}\nx {MD}"])
def test_an_owner_of_which_all_is_left_out_does_not_exist(text: str) -> None:
    zone, warned = parse(text)
    assert names.from_text("x.lab.example") not in zone.nodes
    assert [warning.line for warning in warned] == list(range(5, 6 + text.count("\n")))
    with pytest.raises(ZoneFileError, match=r"zone:5: (LOC: expected an altitude|MD: the rdata ends within a name)"):
        parse(text, lenient=False)


def test_the_rest_of_an_rrset_is_served() -> None:
    zone, warned = parse(f"x {LOC}\nx LOC 1 N 1 E 1m\nx {LOC}")
    assert len(zone.nodes[names.from_text("x.lab.example")].rrsets[29].records) == 1
    assert [warning.line for warning in warned] == [5, 7]


def test_a_dangling_target_is_warned_of_where_its_only_record_is_left_out() -> None:
    _, warned = parse(f"@ MX 1 x\nx {MD}")
    assert [str(warning).partition(",")[0] for warning in warned] == [
        "zone:5: lab.example. MX: x.lab.example. has no records here",
        "zone:6: x.lab.example. MD: left out",
    ]
