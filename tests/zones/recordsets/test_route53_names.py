r"""Names as Route 53 spells them: `*` is `\052`, and labels reversed make the order of listings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zones.recordsets.route53_names import NameSpellingError, from_text, normalised, order, to_text


@pytest.mark.parametrize(
    ("given_text", "kept"),
    [
        ("WWW.Example.com", "www.example.com."),
        ("*.example.com.", r"\052.example.com."),
        (r"\052.example.com", r"\052.example.com."),
        (r"\101.example.com", "a.example.com."),
        ("_dmarc.a-b.example.com", "_dmarc.a-b.example.com."),
        ("a!/b.example.com", r"a\041\057b.example.com."),
        (r"a\056b.example.com", r"a\056b.example.com."),
        (".", "."),
    ],
)
def test_one_spelling_is_kept(given_text: str, kept: str) -> None:
    assert normalised(given_text) == kept
    assert normalised(kept) == kept


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "DomainNameEmpty"),
        ("a..example.com", "DomainLabelEmpty"),
        (".example.com", "DomainLabelEmpty"),
        ("x" * 64 + ".com", "DomainLabelTooLong"),
        (".".join(["x" * 60] * 5), "DomainNameTooLong"),
        ("bücher.example", "UnsupportedCharacter"),
        ("a b.example", "UnsupportedCharacter"),
        (r"a\9.example", "InvalidEscapeSequence"),
        ("a\\", "InvalidEscapeSequence"),
    ],
)
def test_what_is_no_name_is_told_as_route_53_tells_it(text: str, code: str) -> None:
    with pytest.raises(NameSpellingError, match=rf"FATAL problem: {code} \(.+\) encountered with '"):
        from_text(text)


@pytest.mark.parametrize(("text", "character"), [("bücher.example", "ü"), ("a b.example", " ")])
def test_an_unsupported_character_is_named(text: str, character: str) -> None:
    with pytest.raises(NameSpellingError, match=rf"encountered with '{character}'\Z"):
        from_text(text)


@given(st.lists(st.binary(min_size=1, max_size=9).map(bytes.lower), max_size=6))
def test_every_name_can_be_spelled(labels: list[bytes]) -> None:
    wire = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    assert from_text(to_text(wire)) == wire


def test_the_order_has_labels_reversed() -> None:
    listed = ["example.com.", r"\052.example.com.", "a.example.com.", "z.a.example.com.", "b.example.com."]
    listed.reverse()
    assert sorted(listed, key=order) == listed[::-1]
    assert order("www.example.com.") == "com.example.www."
    assert order(".") == "."
