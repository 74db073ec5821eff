"""Master files: what is read, and that each refusal names the file, the line and the rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from zones import names
from zones.masterfile.load import ZoneFileError, load_zone, parse_zone
from zones.zone import Zone

APEX = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\n"
DS = "1 13 2 " + "AB" * 32


def parse(text: str, *, signed: bool = True) -> Zone:
    return parse_zone(APEX + text, "lab.example", file="lab.zone", signed=signed)


def owners(zone: Zone) -> set[str]:
    return {names.to_text(owner).removesuffix("lab.example.").removesuffix(".") or "@" for owner in zone.nodes}


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a BOGUS x\n", 4, "unknown record type BOGUS"),
        ("a A 192.0.2\n", 4, "A: expected an IPv4 address, found 192.0.2"),
        ("\n; comment\na A 192.0.2.1\nb A 192.0.2.256\n", 7, "A: expected an IPv4 address, found 192.0.2.256"),
        ('a TXT (\n "x" )\nb MX ( 10\n no..name )\n', 6, "label is empty"),
        ('a TXT "open\nb A 192.0.2.1\n', 4, "quoted string"),
        ("a TXT ( x\n", 4, "paren"),
        ("x" * 64 + " A 192.0.2.1\n", 4, "> 63 octets"),
        (".".join(["x" * 63] * 4) + " A 192.0.2.1\n", 4, "> 255 octets"),
        ("a CH A 192.0.2.1\n", 4, "class"),
        ("$FOO bar\n", 4, "$FOO"),
        ("a A 192.0.2.1\n$INCLUDE other\n", 5, "$INCLUDE"),  # text has no folder to include from
        ("$TTL soon\na A 192.0.2.1\n", 4, "TTL"),
        ("a A 192.0.2.1\n\n$GENERATE 1-2 h$ A 192.0.2.999\n", 6, "A: expected an IPv4 address, found 192.0.2.999"),
        ("a A 192.0.2.1\n$GENERATE 1-2 h$.other. A 192.0.2.$\n", 5, "h1.other. is outside the zone lab.example."),
        ("h2 30 A 192.0.2.9\n$GENERATE 1-2 h$ A 192.0.2.$\n", 5, "TTL 60 differs from the 30"),
        ("a.other. A 192.0.2.1\n", 4, "a.other. is outside the zone lab.example."),
        ("xlab.example. A 192.0.2.1\n", 4, "outside the zone"),
        ("$ORIGIN other.\na A 192.0.2.1\n", 5, "outside the zone"),
        ("a 60 A 192.0.2.1\n\na 61 A 192.0.2.2\n", 6, "TTL 61 differs from the 60 of the RRset's first record, line 4"),
        ("a 2147483648 A 192.0.2.1\n", 4, "RFC 2181 §8"),
        ("a CNAME b\na A 192.0.2.1\n", 5, "CNAME and other data (A)"),
        ("a A 192.0.2.1\na CNAME b\n", 5, "CNAME and other data (A)"),
        ("@ CNAME b\n", 4, "CNAME and other data"),
        ("a CNAME b\na CNAME c\n", 5, "a second CNAME"),
        ("a DNAME b\na DNAME c\n", 5, "a second DNAME"),
        ("a DNAME b\na NS c\n", 4, "DNAME at a delegation point"),
        ("@ SOA ns host 2 2 3 4 5\n", 4, "a second SOA"),
        ("a SOA ns host 1 2 3 4 5\n", 4, "SOA below the apex"),
        (f"a DS {DS}\n", 4, "DS without NS"),
        (f"@ DS {DS}\n", 4, "DS at the apex"),
        ("*.a NS b\n", 4, "NS at a wildcard"),
        ("*.a DNAME b\n", 4, "DNAME at a wildcard"),
        (f"*.a DS {DS}\n", 4, "DS at a wildcard"),
        ("a NSEC b A\n", 4, "the server generates NSEC records"),
        ("@ NSEC3PARAM 1 0 0 -\n", 4, "the server generates NSEC3PARAM records"),
        (
            "a RRSIG A 13 2 60 20300101000000 20290101000000 1 lab.example. AAAA\n",
            4,
            "the server generates RRSIG records",
        ),
        ("@ DNSKEY 257 3 13 AAAA\n", 4, "signed = false"),
        ("a TYPE128 \\# 0\n", 4, "NXNAME is not a data type"),
        ("a TYPE41 \\# 0\n", 4, "OPT is not a data type"),
        ("a TYPE200 \\# 0\n", 4, "TYPE200 is not a data type"),
        ("".join(f'big TXT "{n:03} {"x" * 240}"\n' for n in range(270)), 4, "fits no DNS message"),
    ],
)
def test_a_refusal_names_the_line_and_the_reason(text: str, line: int, reason: str) -> None:
    with pytest.raises(ZoneFileError) as caught:
        parse(text)
    assert (caught.value.file, caught.value.line) == ("lab.zone", line)
    assert reason in caught.value.reason
    assert str(caught.value) == f"lab.zone:{line}: {caught.value.reason}"


@pytest.mark.parametrize(
    ("text", "missing"), [("@ 60 NS ns\n", "SOA"), ("@ 60 SOA ns host 1 2 3 4 5\n", "NS"), ("", "SOA")]
)
def test_an_apex_has_soa_and_ns(text: str, missing: str) -> None:
    with pytest.raises(ZoneFileError, match=f"lab.zone: no {missing} record at the apex lab.example."):
        parse_zone(text, "lab.example", file="lab.zone")


@pytest.mark.parametrize("origin", ["a..b", "x" * 64, ".."])
def test_an_origin_that_is_no_name(origin: str) -> None:
    with pytest.raises(ZoneFileError, match="invalid origin"):
        parse_zone(APEX, origin)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$ORIGIN sub\na A 192.0.2.1\n", {"@", "sub", "a.sub"}),
        ("$ORIGIN a.b.lab.example.\n@ A 192.0.2.1\n", {"@", "b", "a.b"}),
        ("$GENERATE 8-10 h${0,3} A 192.0.2.$\n", {"@", "h008", "h009", "h010"}),
        ("A.B A 192.0.2.1\na.b A 192.0.2.1\n", {"@", "b", "a.b"}),
        ("a TXT $INCLUDE file\n", {"@", "a"}),
        ("child NS ns.child\nns.child A 192.0.2.1\nx.child TXT x\n", {"@", "child"}),  # below a cut: not ours
        ("old DNAME new\nx.old A 192.0.2.1\n", {"@", "old"}),
        ("a TYPE65400 \\# 3 010203\n", {"@", "a"}),
        ("a\\.b A 192.0.2.1\n", {"@", "a\\.b"}),
        ("\\000 A 192.0.2.1\n", {"@", "\\000"}),
        ("a A 192.0.2.1\n  AAAA 2001:db8::1 ; the same owner\n", {"@", "a"}),
    ],
)
def test_what_is_read(text: str, expected: set[str]) -> None:
    assert owners(parse(text)) == expected


def test_duplicates_are_dropped_and_spelling_is_kept() -> None:
    zone = parse("a MX 10 Mail\nA.Lab.Example. MX 10 mail.lab.example.\na MX 20 Other\n")
    rrset = zone.nodes[names.from_text("a.lab.example")].rrsets[15]
    assert len(rrset.records) == len(rrset.canonical) == 2
    assert any(b"Mail" in record or b"mail" in record for record in rrset.records)
    assert any(b"Other" in record for record in rrset.records)
    assert all(rdata == rdata.lower() for rdata in rrset.canonical)


def test_dnskey_may_stand_in_an_unsigned_zone() -> None:
    zone = parse("@ DNSKEY 257 3 13 AAAA\n", signed=False)
    assert 48 in zone.nodes[zone.origin].rrsets


def test_ttls_are_capped_to_a_week_where_signed() -> None:
    for signed, expected in ((True, 604800), (False, 700000)):
        zone = parse("a 700000 A 192.0.2.1\n", signed=signed)
        assert zone.nodes[names.from_text("a.lab.example")].rrsets[1].ttl == expected


# Files


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "zone"


def test_an_include_is_relative_to_the_zone_file(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        zone=APEX + '$INCLUDE sub/one here\n$INCLUDE "sub/one"\nlast A 192.0.2.1\n',
        sub__one="a A 192.0.2.1\n$INCLUDE sub/two\n",
        sub__two="b A 192.0.2.1\n",
    )
    assert owners(load_zone(path, "lab.example")) == {"@", "here", "a.here", "b.here", "a", "b", "last"}


@pytest.mark.parametrize(
    ("zone", "one", "file", "line", "reason"),
    [
        ("$INCLUDE one\n", "a A 192.0.2.1\n\nb A 192.0.2\n", "one", 3, "A: expected an IPv4 address, found 192.0.2"),
        ("$INCLUDE one\n", "a.other. A 192.0.2.1\n", "one", 1, "outside the zone"),
        ("a A 192.0.2.1\n$INCLUDE none\n", "", "zone", 5, "cannot include"),
        ("$INCLUDE one\n", "a A 192.0.2.1\n$INCLUDE none\n", "one", 2, "No such file"),
        ("$INCLUDE one\n", "\n$INCLUDE one\n", "one", 2, "$INCLUDE within $INCLUDE"),
        ("$INCLUDE .\n", "", "zone", 4, "Is a directory"),
    ],
)
def test_an_error_in_an_included_file(tmp_path: Path, zone: str, one: str, file: str, line: int, reason: str) -> None:
    with pytest.raises(ZoneFileError) as caught:
        load_zone(write(tmp_path, zone=APEX + zone, one=one), "lab.example")
    assert (caught.value.file, caught.value.line) == (str(tmp_path / file), line)
    assert reason in caught.value.reason


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ZoneFileError, match="cannot be read: No such file") as caught:
        load_zone(tmp_path / "none", "lab.example")
    assert caught.value.line == 0


@pytest.mark.parametrize("octets", [b"\xe4", b"\x00", b"\xff\xfe"])
def test_a_file_that_is_no_text(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "zone"
    path.write_bytes(APEX.encode() + octets + b" A 192.0.2.1\n" + octets)
    try:
        zone = load_zone(path, "lab.example")
    except ZoneFileError as error:
        assert error.file == str(path)
    else:
        assert "\\000" in owners(zone)


@pytest.mark.parametrize("how", ["bom", "crlf"])
def test_a_file_from_another_editor(tmp_path: Path, how: str) -> None:
    path = tmp_path / "zone"
    text = (APEX + "a A 192.0.2.1\n").encode()
    path.write_bytes(b"\xef\xbb\xbf" + text if how == "bom" else text.replace(b"\n", b"\r\n"))
    assert owners(load_zone(path, "lab.example")) == {"@", "a"}


def test_the_samples_are_read() -> None:
    folder = Path(__file__).parents[3] / "zones" / "samples"
    for path in sorted(folder.glob("*.zone")):
        assert load_zone(path, path.stem).rrset_count > 2, path
