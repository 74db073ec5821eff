"""Zone files of somebody who means harm: what reading them takes is bounded, and nothing of other files is shown."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.growth import growth
from tests.lab import wire_name
from zones.masterfile import regular_files
from zones.masterfile.load import LimitError, ReadingLimits, ZoneFileError, load_zone, parse_zone
from zones.masterfile.regular_files import open_below, open_regular

APEX = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.53\n"
SECRET = "hunter2:$6$salt$hash:19000"
LIMITS = ReadingLimits(includes=6, depth=3, octets=5000, generated=10)


def load(folder: Path, text: str, limits: ReadingLimits = LIMITS, **files: str) -> int:
    """How many RRsets the zone has."""
    for name, content in files.items():
        (folder / name).write_text(content)
    (folder / "lab.zone").write_text(APEX + text)
    return load_zone(folder / "lab.zone", "lab.example", limits=limits).rrset_count


def refusal(folder: Path, text: str, limits: ReadingLimits = LIMITS, **files: str) -> ZoneFileError:
    with pytest.raises(ZoneFileError) as caught:
        load(folder, text, limits, **files)
    return caught.value


# Bounds


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("$GENERATE 1-2000000000 h$ A 192.0.2.1\n", 5),
        ("$GENERATE 0-10 h$ A 192.0.2.1\n", 5),
        ("$GENERATE 1-5 a$ A 192.0.2.1\n$GENERATE 1-12/2 b$ A 192.0.2.1\n", 6),
    ],
)
def test_records_that_are_generated_are_counted_before_they_are_made(tmp_path: Path, text: str, line: int) -> None:
    error = refusal(tmp_path, text)
    assert isinstance(error, LimitError)
    assert error.line == line
    assert "more than 10 records; allow more by zone_files.generated" in error.reason
    assert load(tmp_path, "$GENERATE 1-5 a$ A 192.0.2.1\n$GENERATE 1-10/2 b$ A 192.0.2.1\n") == 13


@pytest.mark.parametrize(
    ("text", "files", "setting"),
    [
        ("$INCLUDE a\n", {"a": "$INCLUDE a\n$INCLUDE a\n"}, "include_depth"),
        ("$INCLUDE a\n" * 2, {"a": "$INCLUDE b\n" * 3, "b": ""}, "includes"),
        ("$INCLUDE a\n" * 5, {"a": ";" * 1000}, "octets"),
        (";" * 5000, {}, "octets"),
    ],
)
def test_what_is_included_is_counted_as_often_as_it_is(
    tmp_path: Path, text: str, files: dict[str, str], setting: str
) -> None:
    assert f"allow more by zone_files.{setting}" in refusal(tmp_path, text, LIMITS, **files).reason
    more = replace(LIMITS, includes=8, octets=10_000)
    assert setting == "include_depth" or load(tmp_path, text, more, **files) == 3


def test_a_file_of_any_size_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "lab.zone").open("wb") as file:
        file.truncate(1 << 42)
    with pytest.raises(LimitError, match=r"zone_files\.octets"):
        load_zone(tmp_path / "lab.zone", "lab.example")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"a {'9' * 65} A 192.0.2.1\n", "expected a TTL, class or type of at most 64 characters"),
        (f"$TTL {'9' * 5000}w\n", "expected a word of a directive of at most 4096 characters"),
        (f"{'x' * 1025} A 192.0.2.1\n", "expected a domain name of at most 1024 characters"),
        (f"a MX 10 {'ä' * 1025}\n", "expected a domain name of at most 1024 characters"),
        (f"a SOA a b 1 {'9' * 65}w 2 3 4\n", "expected a time of at most 64 characters"),
        (f"$GENERATE 1-{'9' * 65} h$ A 192.0.2.1\n", "expected a range of at most 64 characters"),
        (f"$GENERATE 1-2 h$ A {'$' * 4097}\n", "expected a word of a directive of at most 4096 characters"),
        ("$GENERATE 1-2 h${0,128} A 192.0.2.1\n", "width is too large"),
        ("a TXT (" + " x" * 600_000 + " )\n", "a record of more than 1048576 octets of text"),
    ],
)
def test_words_are_bounded(text: str, reason: str) -> None:
    with pytest.raises(ZoneFileError) as caught:
        parse_zone(APEX + text, "lab.example", file="lab.zone")
    assert reason in caught.value.reason
    assert (caught.value.file, caught.value.line) == ("lab.zone", 5)
    assert len(caught.value.reason) < 200


def test_the_longest_of_each_kind_are_read() -> None:
    name = ".".join(["\\120" * 63, "\\120" * 63, "\\120" * 63, "\\120" * 49])
    octets = "AB" * 64_000
    text = (
        f"; {'x' * 600_000}\n{name} A 192.0.2.1\na TYPE65400 \\# 64000 {octets}\nb TYPE65400 \\# 64000 ( {octets} )\n"
    )
    assert parse_zone(APEX + text, "lab.example").rrset_count == 6


def test_a_record_without_an_owner_after_generated_ones_belongs_to_the_last_that_is_written() -> None:
    zone = parse_zone(APEX + "web A 192.0.2.10\n$GENERATE 1-2 g$ A 192.0.2.$\n TXT x\n", "lab.example")
    assert [owner for owner, node in zone.nodes.items() if 16 in node.rrsets] == [wire_name("web.lab.example")]


# Other files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a zone file, beside which there is a file that others own."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    made = tmp_path / "zones"
    made.mkdir()
    (made / "link").symlink_to("../secret")
    (made / "up").symlink_to("..")
    return made


@pytest.mark.parametrize("word", ["../secret", "{absolute}", "link", "up/secret", "../none", "/etc/none", "/dev/zero"])
def test_an_include_from_elsewhere_is_refused_and_nothing_of_it_is_told(folder: Path, word: str) -> None:
    word = word.format(absolute=folder.parent / "secret")
    (folder / "lab.zone").write_text(f"{APEX}$INCLUDE {word}\n")
    with pytest.raises(ZoneFileError) as caught:
        load_zone(folder / "lab.zone", "lab.example")
    outside = f"it is not below {folder}; put it there, or name its folder in zone_files.include_folders"
    assert caught.value.reason.endswith(outside)
    assert "hunter2" not in str(caught.value)


def test_folders_that_are_named_may_be_included_from(folder: Path) -> None:
    shared = folder.parent / "shared"
    shared.mkdir()
    (shared / "more").write_text("more A 192.0.2.1\n")
    limits = replace(LIMITS, folders=(str(shared),))
    assert load(folder, "$INCLUDE ../shared/more\n", limits) == 4
    (folder / "there").symlink_to(shared / "more")
    assert load(folder, "$INCLUDE there\n", limits) == 4
    assert "not below" in refusal(folder, "$INCLUDE ../secret\n", limits).reason


def test_a_zone_file_that_is_a_link_elsewhere_is_read_and_nothing_of_it_is_told(folder: Path) -> None:
    file = folder / "lab.zone"
    file.symlink_to("../secret")
    with pytest.raises(ZoneFileError) as caught:
        load_zone(file, "lab.example")
    assert str(caught.value).startswith(f"{file}:1: is invalid; nothing of the text is shown")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ZoneFileError, match="missing field: record type"):
        load_zone(file, "lab.example", limits=ReadingLimits(folders=(str(folder.parent),)))
    (folder.parent / "secret").write_text(APEX)
    assert load_zone(file, "lab.example").rrset_count == 3


def test_a_link_that_is_put_there_while_the_file_is_opened_leads_nowhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    included = folder / "more"
    included.write_text("")

    def opening(path: str) -> object:
        (folder / "link").replace(included)
        return open_regular(path)

    monkeypatch.setattr(regular_files, "open_regular", opening)
    assert open_below(str(included), [str(folder)]) is None


# Time


def reading(text: str) -> Callable[[], None]:
    def read() -> None:
        with suppress(ZoneFileError):
            parse_zone(APEX + text, "lab.example")

    return read


@pytest.mark.parametrize(
    "made",
    [
        lambda size: "a TXT " + "(" * size + "\n",
        lambda size: "a TXT " + "( " * size + ") " * size + "x\n",
        lambda size: "a TXT ( ;" + "x" * size + "\n x )\n",
        lambda size: 'a TXT "' + "\\\\" * size + "\n",
        lambda size: f"a {'9' * 4 * size}w A 192.0.2.1\n",
        lambda size: f"a A {'9' * 4 * size}w\n",
        lambda size: f"$TTL {'9' * 4 * size}w\n",
        lambda size: "".join(chr(0x4E00 + number) for number in range(4 * size)) + " A 192.0.2.1\n",
        lambda size: "a." * size + " A 192.0.2.1\n",
        lambda size: "a A " + "\0" * size + "\n",
        lambda size: "\0" * size,
        lambda size: "a SVCB 1 . " + "key1 " * size + "\n",
        lambda size: "a SVCB 1 . alpn=" + "h," * size + "\n",
        lambda size: "a APL " + "1:192.0.2.0/24 " * (size // 8) + "x\n",
        lambda size: "a TYPE65400 \\# 9 " + "AB " * size + "\n",
        lambda size: "a TXT " + '"x" ' * size + "(\n",
        lambda size: "".join(f"a{number} TXT ( x )\n" for number in range(size // 16)),
        lambda size: "".join(f"@ TXT {number}\n" for number in range(size // 8)) + "(\n",
        lambda size: f"$GENERATE 1-{size // 16} {'$' * 9} A 192.0.2.1\n",
    ],
)
def test_eight_times_the_text_takes_at_most_twelve_times_the_time(made: Callable[[int], str]) -> None:
    size = 500
    gc.disable()  # each collection goes over all that the tests have made
    try:
        assert growth(reading(made(size)), reading(made(8 * size))) <= 12
    finally:
        gc.enable()
