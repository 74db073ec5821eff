"""What scripts/bench-abuse says of what was seen, and that its queries are what they say."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import dns.message
import dns.rdatatype
import msgspec
import pytest

from bench.abuse.cases import Seen
from bench.abuse.datagrams import Receiver, Sender, from_address, wildcard_socket
from bench.abuse.figures import BEGIN, END, markdown
from bench.abuse.flood import between
from bench.abuse.limits import Variant, _set, configure
from bench.abuse.packets import LABEL, addresses, packet, server_cookie, whole
from bench.abuse.prober import summary
from bench.abuse.verdicts import disturbed, verdicts
from bench.documents import replaced
from bench.servers import Site
from bench.zone import ORIGIN, ZoneFiles
from server.settings.schema import Settings


def hot(p99: float, lost: int = 0) -> dict[str, Any]:
    return {"p99_ms": p99, "lost": lost, "samples": 1000}


def random(server: str, p99: float, lost: int = 0, answers: int = 9500) -> Seen:
    values = {"hot": hot(p99, lost), "died": False, "gone_seconds": 1.0, "flood": [{"answers_per_second": answers}]}
    return Seen("random", "10,000/s", Variant(server), values)


PEAK = Seen("random", "as many as are answered", Variant("signwright"), {"answers_per_second": 20_000, "busy": 1.0})


def reached(*seen: Seen) -> dict[str, bool | None]:
    return {verdict.measure: verdict.reached for verdict in verdicts(seen)}


def test_a_peer_faster_than_half_a_millisecond_counts_as_that() -> None:
    peers = [random("nsd", 0.1), random("knot", 3.0)]
    assert reached(PEAK, random("signwright", 1.0), *peers)["hot p99"] is True
    assert reached(PEAK, random("signwright", 1.01), *peers)["hot p99"] is False
    assert reached(PEAK, random("signwright", 5.0), random("knot", 3.0))["hot p99"] is True


def test_nothing_may_be_lost_and_denials_be_as_many_as_signing_allows() -> None:
    seen = reached(PEAK, random("signwright", 1.0, lost=1, answers=8999), random("nsd", 1.0))
    assert (seen["hot queries lost"], seen["denials"]) == (False, False)
    assert reached(PEAK, random("signwright", 1.0, answers=9000), random("nsd", 1.0))["denials"] is True
    # Where signing allows less than the rate, less is enough.
    low = Seen("random", "peak", Variant("signwright"), {"answers_per_second": 5000})
    assert reached(low, random("signwright", 1.0, answers=4500), random("nsd", 1.0))["denials"] is True


def test_a_server_that_loses_one_in_a_hundred_has_reached_nothing() -> None:
    assert reached(PEAK, random("signwright", 2000.0), random("nsd", 2000.0))["hot p99"] is False


def test_the_slowest_end_of_all_counts() -> None:
    slow = Seen("tcp", "x", Variant("signwright"), {**random("signwright", 1).values, "gone_seconds": 5.1,
                "newcomers": {"asked": 3, "answered": 3}, "memory_mib": 65.0})  # fmt: skip
    seen = reached(PEAK, random("signwright", 1.0), slow)
    assert seen["gone"] is False
    assert seen["new clients answered"] is True
    assert seen["memory"] is False


def test_what_was_not_built_is_not_measured() -> None:
    seen = [Seen("flood-denial", "x", Variant(name), {"answers_per_second": 10}) for name in ("signwright", "powerdns")]
    assert {verdict.reached for verdict in verdicts(seen)} == {None}


def test_a_core_that_others_used_is_told() -> None:
    assert not disturbed([PEAK])
    assert len(disturbed([Seen("random", "x", Variant("nsd"), {"foreign": 0.06, "steal": 0.0})])) == 1


def test_what_is_lost_counts_among_the_waits() -> None:
    assert summary([1_000_000] * 99, 0)["p99_ms"] == 1.0
    assert summary([1_000_000] * 97, 3)["p99_ms"] == 2000.0


def test_a_rate_is_of_the_time_asked_for() -> None:
    marks = [[at / 10, at * 10, at * 5, at * 500] for at in range(100)]
    counted = between(marks, 2.0, 4.0)
    assert (counted.sent, counted.answers, counted.octets) == (100, 50, 5000)
    with pytest.raises(ValueError, match="no two marks"):
        between(marks, 20.0, 30.0)


def test_a_packet_is_a_query_with_a_label_of_its_own() -> None:
    one = packet("127.9.0.1", ORIGIN, "A", cookie=b"12345678", varies=True)
    message = dns.message.from_wire(whole(one, 7, b"0123456789ab"))
    assert message.question[0].name.to_text() == f"0123456789ab.{ORIGIN}"
    assert message.options[0].to_wire() == b"12345678"
    assert dns.message.from_wire(whole(packet("127.0.0.1", ORIGIN, "TXT"), 1)).question[0].rdtype == dns.rdatatype.TXT
    assert server_cookie(b"x" * 20 + b"\0\x0a\0\x18abuse-15" + bytes(16) + b"y") == b"abuse-15" + bytes(16)


def test_addresses_stand_in_prefixes_of_their_own() -> None:
    assert addresses(255, 2) == ["127.0.255.1", "127.1.0.1"]
    assert addresses(9 * 256, 3, each_prefix=2) == ["127.9.0.1", "127.9.0.2", "127.9.1.1"]


@pytest.mark.skipif(not hasattr(socket, "AF_PACKET"), reason="Linux")
def test_datagrams_leave_from_their_addresses_and_are_counted() -> None:
    sources = addresses(9 * 256, 3)
    with wildcard_socket() as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        sender = Sender(sock, server.getsockname()[1], [packet(one, ORIGIN, "A", varies=True) for one in sources])
        receiver = Receiver(sock)
        sent = 0
        while sent < 6:
            sent += sender.send(6 - sent)
        seen = [server.recvfrom(512) for _ in range(6)]
        assert [source for _, (source, _) in seen] == sources * 2
        assert len({octets[13 : 13 + LABEL] for octets, _ in seen}) == 6
        for octets, source in seen:
            server.sendto(octets[:2] + b"\x82\x03" + octets[4:], source)
        while receiver.answers < 6:
            receiver.receive()
        assert (receiver.truncated, receiver.rcodes[3], receiver.octets) == (6, 6, sum(len(one) for one, _ in seen))
    assert from_address("127.0.0.1")[2] == bytes(4) + b"\x7f\0\0\1" + bytes(4)


@pytest.mark.parametrize("server", ["signwright", "nsd", "knot", "bind"])
@pytest.mark.parametrize("limited", [True, False])
def test_each_server_has_its_limits_written(tmp_path: Path, server: str, limited: bool) -> None:
    site = Site(tmp_path, 5300, ZoneFiles(1, tmp_path / "plain", tmp_path / "signed"))
    variant = Variant(server, limited=limited, http=server == "signwright")
    _, ports = configure(variant, site)
    assert (ports is not None) == (server == "signwright")
    if server == "signwright":
        written = msgspec.toml.decode((tmp_path / "signwright.toml").read_bytes(), type=dict[str, Any])
        assert written.keys() <= set(Settings.__struct_fields__)
        assert written["route53"]["users"] == {"audit": "read-only"}


def test_a_setting_gets_its_value_whether_its_table_is_there_or_not(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    for text in ("a = 1\n\n[kms]\nb = 2\n", "a = 1\n[limits]\nc = 1\nresponses = 9\n\n[kms]\nb = 2\n"):
        path.write_text(text)
        _set(path, "limits", "responses", "500")
        written = msgspec.toml.decode(path.read_bytes())
        assert (written["a"], written["kms"], written["limits"]["responses"]) == (1, {"b": 2}, 500)
        assert ("c = 1" in text) == ("c" in written["limits"])


def test_the_page_gets_its_table() -> None:
    about = {"started": "2030-01-01T", "cpu": "x", "python": "3", "versions": {"nsd": "4.6"}, "seconds": 60.0}
    page = replaced(f"a\n{BEGIN}\n{END}\nb\n", markdown(about, verdicts([PEAK, random("signwright", 1.0)])), BEGIN, END)
    assert "| random: 10,000/s | hot queries lost |" in page
    assert page.startswith("a\n")
