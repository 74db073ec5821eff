"""The query log: its lines, and what becomes of them where the disk is full, slow, or the file is moved away."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.finished_response import truncated
from server.watching import query_log
from server.watching.log_lines import LogLines
from server.watching.query_facts import FactsReader
from server.watching.query_log import QueryLog, QueryLogSpec
from tests.lab import NOW, query, served, surprised

ZONES = served("@ 300 SOA ns host 1 2 3 4 60\n@ 300 NS ns\nwww 60 A 192.0.2.1\n", "lab.example")
WWW = query("WWW.lab.example", "A")[2:]
HOST = bytes([192, 0, 2, 7])


def answers(queries: list[bytes]) -> list[bytes | None]:
    return Responder(lambda: ZONES, Caches(), surprised).datagrams(queries, NOW)


ANSWER = answers([WWW])


def lines(log: LogLines, queries: list[bytes], after: list[bytes | None] | None = None) -> list[dict[str, Any]]:
    before = answers(queries)
    made = log.lines(queries, before, after or before, lambda _: HOST, lambda: b"T", over_tcp=False)
    return [json.loads(line) for line in b"".join(made).splitlines()]


def test_a_line_says_all_of_a_query_and_its_response() -> None:
    log = LogLines(FactsReader(lambda: ZONES))
    expected = {
        "time": "T",
        "client": "192.0.2.7",
        "transport": "udp",
        "name": "www.lab.example.",
        "type": "A",
        "class": "IN",
        "rcode": "NOERROR",
        "outcome": "sent",
        "flags": ["aa"],
        "size": len(ANSWER[0] or b"") + 2,
        "edns": 1232,
        "do": True,
        "cookie": "none",
        "zone": "lab.example.",
    }
    for _ in range(2):  # made, and remembered
        assert lines(log, [WWW]) == [expected]
    odd = [
        query(r"a\.b\010.lab.example", "TYPE999", edns=False)[2:],
        query("x.test", "A", size=4096, do=False)[2:],
        b"",
    ]
    one, other = lines(log, odd)
    assert (one["name"], one["type"], one["edns"], one["do"]) == (r"a\.b\010.lab.example.", "TYPE999", None, False)
    assert (other["rcode"], other["zone"], other["edns"]) == ("REFUSED", None, 4096)
    malformed = WWW[:2] + b"\x00\x02" + WWW[4:]
    (unread,) = lines(log, [malformed])
    assert (unread["rcode"], unread["name"], unread["type"]) == ("FORMERR", None, None)


def test_what_a_limit_made_of_a_response_is_said() -> None:
    log = LogLines(FactsReader(lambda: ZONES))
    assert ANSWER[0] is not None
    cut = truncated(ANSWER[0])
    before = ANSWER * 3
    made = log.lines([WWW] * 3, before, [before[0], cut, None], lambda _: HOST, lambda: b"T", over_tcp=True)
    found = [json.loads(line) for line in b"".join(made).splitlines()]
    assert [one["outcome"] for one in found] == ["sent", "slipped", "dropped"]
    assert [one["size"] for one in found] == [len(ANSWER[0]) + 2, len(cut) + 2, len(ANSWER[0]) + 2]
    assert {one["transport"] for one in found} == {"tcp"}


def test_clients_by_prefix_and_one_of_many() -> None:
    log = LogLines(FactsReader(lambda: ZONES), every=4, prefixes=True)
    found = lines(log, [WWW] * 400)
    assert len(found) == pytest.approx(100, abs=2)
    assert {(one["client"], one["one_of"]) for one in found} == {("192.0.2.0/24", 4)}


@given(st.binary(max_size=100), st.binary(min_size=12, max_size=40))
def test_whatever_is_asked_is_one_line_of_json(asked: bytes, response: bytes) -> None:
    log = LogLines(FactsReader(lambda: ZONES))
    made = b"".join(log.lines([asked], [response], [response], lambda _: HOST, lambda: b"T", over_tcp=False))
    assert made.count(b"\n") == 1
    assert json.loads(made)["client"] == "192.0.2.7"


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.watching.log_lines._MOST", 10)
    log = LogLines(FactsReader(lambda: ZONES))
    for number in range(40):
        host = bytes([192, 0, 2, number])
        asked = query(f"n{number}.lab.example", "A")[2:]
        log.lines([asked], ANSWER, ANSWER, lambda _: host, lambda: b"T", over_tcp=False)  # noqa: B023 - called at once
        assert max(len(log._known), len(log._clients)) <= 10


# --- the file


@contextmanager
def logging(file: Path, *, again: float = 0.01, **settings: Any) -> Iterator[QueryLog]:
    log = QueryLog(
        QueryLogSpec(str(file), **settings), LogLines(FactsReader(lambda: ZONES)), lambda: NOW, pause=0.01, again=again
    )
    log.start()
    try:
        yield log
    finally:
        log.close()


def ask(log: QueryLog, count: int = 1) -> None:
    log([WWW] * count, ANSWER * count, ANSWER * count, lambda _: HOST, over_tcp=False)


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def names_in(file: Path) -> list[str]:
    return [json.loads(line)["name"] for line in file.read_text().splitlines()]


def test_lines_are_written_to_a_file_of_its_owner_and_the_rest_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "q.json"
    with logging(file) as log:
        ask(log, 3)
        until(lambda: log.written == 3)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        ask(log, 2)
    assert names_in(file) == ["www.lab.example."] * 5
    assert (log.written, log.lost) == (5, 0)
    with logging(file) as log:
        ask(log)
    assert len(names_in(file)) == 6


def test_the_mode_is_the_operators_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with logging(tmp_path / "q.json", mode=0o644) as log:
            ask(log)
            until(lambda: log.written == 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "q.json").stat().st_mode) == 0o644


def test_a_file_that_was_moved_away_is_made_anew_on_request(tmp_path: Path) -> None:
    file = tmp_path / "q.json"
    with logging(file) as log:
        ask(log, 2)
        until(lambda: log.written == 2)
        file.rename(tmp_path / "q.json.1")
        ask(log)
        until(lambda: log.written == 3)
        log.reopen()
        until(file.exists)
        ask(log, 4)
    assert (len(names_in(tmp_path / "q.json.1")), len(names_in(file))) == (3, 4)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_stops_the_log_alone_and_it_goes_on_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "q.json"
    file.symlink_to("/dev/full")
    with logging(file, again=0.05) as log:
        ask(log, 5)
        until(lambda: log.failure is not None)
        assert log.failure == f"{file}: No space left on device: free some space on the disk of {tmp_path}"
        ask(log, 7)
        assert log.lost >= 12  # counted at once, and nothing is kept for later
        assert not log._waiting
        file.unlink()
        until(lambda: log.failure is None)
        lost = log.lost
        ask(log, 2)
        until(lambda: log.written == 2)
        assert log.lost == lost
    assert len(names_in(file)) == 2


def test_a_missing_folder_keeps_nobody_from_anything(tmp_path: Path) -> None:
    file = tmp_path / "later" / "q.json"
    with logging(file) as log:
        until(lambda: log.failure is not None)
        assert "No such file" in str(log.failure)
        file.parent.mkdir()
        until(lambda: log.failure is None)
        ask(log)
    assert len(names_in(file)) == 1


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, cut = os.write, threading.Event()

    def short(fd: int, octets: memoryview) -> int:
        if cut.is_set():
            return write(fd, octets)
        if len(octets) > 200:
            return write(fd, octets[: len(octets) - 30])
        cut.set()
        raise OSError(28, "No space left on device")

    opened, opens = list[str](), query_log._opened

    def noted(file: str, mode: int) -> int:
        opened.append(file)
        return opens(file, mode)

    monkeypatch.setattr(query_log, "_opened", noted)
    monkeypatch.setattr("server.watching.query_log.os.write", short)
    with logging(tmp_path / "q.json") as log:
        ask(log)
        until(lambda: len(opened) == 2 and log.failure is None)  # it has failed, and goes on
        ask(log, 3)
    broken, *whole = (tmp_path / "q.json").read_text().splitlines()
    assert broken.startswith('{"time":')
    assert not broken.endswith("}")
    assert [json.loads(line)["type"] for line in whole] == ["A"] * 3
    assert (log.written, log.lost) == (3, 1)


def test_a_disk_that_hangs_holds_nobody_up_and_takes_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, write, held = threading.Event(), os.write, []

    def slow(fd: int, octets: memoryview) -> int:
        hangs.wait(60)
        return write(fd, octets)

    monkeypatch.setattr("server.watching.query_log.os.write", slow)
    monkeypatch.setattr(query_log, "BUFFER", 100_000)
    with logging(tmp_path / "q.json") as log:
        for _ in range(200):  # 3 MB, each of which returns
            ask(log, 64)
            held.append(log._put - log._taken)
        assert max(held) <= 100_000 + 64 * 300
        assert log.lost > 0
        hangs.set()
    assert log.written + log.lost == 200 * 64
    assert len(names_in(tmp_path / "q.json")) == log.written


def test_a_pipe_that_nobody_reads_is_told_as_a_failure(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "q.json")
    with logging(tmp_path / "q.json") as log:
        until(lambda: log.failure is not None)
        ask(log)
        assert log.lost == 1
