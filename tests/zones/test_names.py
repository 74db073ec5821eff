r"""Names in wire form, against dnspython's own order and against brute force."""

from __future__ import annotations

import dns.name
import pytest
from dns.name import Name
from hypothesis import example, given
from hypothesis import strategies as st

from tests.validator.denial import immediate_successor
from zones import names

ORIGIN = dns.name.from_text("zone.example.")


def wire(name: Name) -> bytes:
    return names.from_dnspython(name)


labels = st.binary(min_size=1, max_size=4) | st.sampled_from([b"*", b"\x00", b"\xff" * 63, b"A", b"Z", b"@", b"["])
made_names = st.lists(labels, max_size=3).map(lambda made: Name((*made, *ORIGIN.labels)))


def filled(*first: bytes, total: int = 255) -> Name:
    """A name in the zone that begins with these labels, and has `total` octets."""
    missing = total - sum(len(label) + 1 for label in (*first, *ORIGIN.labels))
    middle = []
    while missing:
        size = min(missing, 64 if missing != 65 else 60)
        middle.append(b"m" * (size - 1))
        missing -= size
    return Name((*first, *middle, *ORIGIN.labels))


@given(made_names, made_names)
def test_the_canonical_key_sorts_as_dnspython_does(one: Name, other: Name) -> None:
    ours = names.canonical_key(wire(one)) < names.canonical_key(wire(other))
    assert ours == (one < other)


@given(made_names, made_names)
def test_a_subdomain_is_what_dnspython_calls_one(one: Name, other: Name) -> None:
    assert names.is_subdomain(wire(one), wire(other)) == one.is_subdomain(other)


def test_octets_that_end_a_longer_label_are_no_origin() -> None:
    # The origin's octets are the tail of one label: \x04zone\x07example\x00 within \x0fxx\x04zone\x07example.
    name = b"\x0fxx\x04zone\x07example\x00"
    assert name.endswith(names.from_text("zone.example"))
    assert not names.is_subdomain(name, names.from_text("zone.example"))


@given(made_names)
@example(dns.name.from_text("WWW.Zone.EXAMPLE."))
def test_names_are_lower_case_and_read_back(name: Name) -> None:
    assert dns.name.from_wire(wire(name), 0)[0] == name
    assert wire(name) == wire(name).lower()
    assert names.labels(wire(name)) == name.canonicalize().labels[:-1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # RFC 9824 §3.1: usually \000 in front.
        (dns.name.from_text("a.zone.example."), rb"\000.a.zone.example."),
        (filled(b"a", total=253), None),
        # RFC 4471 §3.1.2: no room for a label, but for an octet.
        (filled(b"a", total=254), rb"a\000."),
        # No room at all: the last octet counted up, past the capitals.
        (filled(b"a", total=255), "b."),
        (filled(b"@", total=255), "[."),
        (filled(b"a\xff", total=255), "b."),
        # A full label cannot grow, even where the name could.
        (filled(b"y" * 63, total=254), "y" * 62 + "z."),
    ],
)
def test_the_successor_near_the_limits(name: Name, expected: str | bytes | None) -> None:
    following = dns.name.from_wire(names.successor(wire(name), wire(ORIGIN)), 0)[0]
    if expected is None:
        assert following == Name((b"\x00", *name.labels))
    else:
        first = expected.decode() if isinstance(expected, bytes) else expected
        assert following.to_text().startswith(first)
    assert following > name


@pytest.mark.parametrize("total", [254, 255])
def test_behind_the_last_child_comes_the_parents_next_sibling(total: int) -> None:
    last_child = filled(b"\xff" * 63, b"p", total=total)
    following = dns.name.from_wire(names.successor(wire(last_child), wire(ORIGIN)), 0)[0]
    assert following.labels == (b"p\x00", *last_child.labels[2:])  # and not q, which would deny what is between


def test_behind_the_last_name_of_all_comes_the_apex() -> None:
    last = filled(b"\xff" * (255 - 3 * 64 - 14 - 1), *[b"\xff" * 63] * 3, total=255)
    assert names.successor(wire(last), wire(ORIGIN)) == wire(ORIGIN)


long_labels = st.builds(
    lambda octet, size, end: (octet * size + end)[-63:],
    st.sampled_from([b"\xff", b"@", b"a", b"\x00"]),
    st.integers(1, 63),
    st.sampled_from([b"", b"\xff", b"@", b"\x60"]),
)


@given(st.lists(long_labels, min_size=3, max_size=5))
def test_the_successor_is_the_one_found_by_trying(made: list[bytes]) -> None:
    apex = dns.name.from_text("example.")
    while sum(len(label) + 1 for label in made) + len(wire(apex)) > 255:
        made[0] = made[0][1:]  # so that many fill a name to the last octet
        made = [label for label in made if label]
    name = Name((*made, *apex.labels))
    assert names.successor(wire(name), wire(apex)) == wire(immediate_successor(name, apex))
