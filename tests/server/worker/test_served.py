"""`signwright serve --workers`, as people run it: one server to all who query, reload, change, watch or end it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import boto3
import dns.edns
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
from botocore.configloader import load_config

from server.net.listen import bind
from tests.processes import Serving, run, runs, serving

ZONE = """\
@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300
@ 300 NS ns1
ns1 300 A 192.0.2.1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lab.example.zone").write_text(ZONE)
    return tmp_path


def until(what: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def workers(folder: Path) -> list[dict[str, int | None]]:
    told = run("status", "--json", cwd=folder)
    found: list[dict[str, int | None]] = json.loads(told.stdout)["workers"]
    return found


def pids(folder: Path) -> list[int]:
    return [pid for worker in workers(folder) if (pid := worker["pid"]) is not None]


def serials(server: Serving) -> set[int]:
    """What many queries, each from another port, find: each worker answers some of them."""
    return {server.serial("lab.example") for _ in range(24)}


def metrics(folder: Path) -> dict[str, float]:
    # The path of a Unix socket is short; and a folder that this process stays in is missed once it is gone.
    with socket.socket(socket.AF_UNIX) as sock, chdir(folder):
        sock.connect("state/control.sock")
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    return {name: float(value) for name, value in re.findall(r"^(signwright_\S+) (\S+)\r?$", text, re.MULTILINE)}


def test_the_life_of_a_server_with_two_workers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with serving(folder, "lab.example.zone", "--workers", 2) as server:
        assert " (UDP and TCP) by 2 workers, KMS " in server.banner[-1]
        first = pids(folder)
        assert len(set(first)) == 2
        query = dns.message.make_query("ns1.lab.example", "A", want_dnssec=True)
        for _ in range(20):
            signed = dns.query.udp(query, server.address.host, port=server.address.port, timeout=60)
            assert [rrset.rdtype for rrset in signed.answer] == [1, 46]

        (folder / "lab.example.zone").write_text(ZONE.replace("hostmaster 1 ", "hostmaster 2 "))
        assert run("reload", cwd=folder).stdout == "lab.example. replaced serial 2\n"
        assert serials(server) == {2}

        told = run("status", cwd=folder)
        assert told.returncode == 0
        assert re.search(rf"^1 +{first[0]} +answers +\d+ ", told.stdout, re.MULTILINE)
        until(lambda: metrics(folder)['signwright_queries_total{rcode="NOERROR",transport="udp"}'] == 44)

        for number in (signal.SIGINT, signal.SIGTERM):  # as a terminal or a supervisor sends to all
            os.kill(first[0], number)
        assert serials(server) == {2}
        until(lambda: metrics(folder)['signwright_queries_total{rcode="NOERROR",transport="udp"}'] == 68)
        os.kill(first[0], signal.SIGKILL)
        server.wait_for("worker replaced", 60)
        assert 'reason="was killed by SIGKILL"' in server.log
        until(lambda: all(worker["version"] is not None for worker in workers(folder)))
        assert [worker["restarts"] for worker in workers(folder)] == [1, 0]
        assert serials(server) == {2}
        until(lambda: metrics(folder)['signwright_queries_total{rcode="NOERROR",transport="udp"}'] == 92)
        found = metrics(folder)
        assert (found["signwright_workers"], found["signwright_worker_restarts_total"]) == (2, 1)

        # Another server finds the port taken, although the workers share it among themselves.
        other = run("serve", "lab.example.zone", "--workers", 2, "--state", "o", "--listen", server.address, cwd=folder)
        assert other.returncode == 3
        assert f"UDP {server.address} is in use by another process" in other.stderr

        last = pids(folder)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        assert not any(runs(pid) for pid in (*first, *last))
        assert "Traceback" not in server.log
        again = bind(server.address)
        again.udp.close()
        again.tcp.close()


def test_workers_end_with_the_control_process_however_that_ends(folder: Path) -> None:
    with serving(folder, "lab.example.zone", "--workers", 2) as server:
        running = pids(folder)
        server.process.kill()
        server.process.wait()
        until(lambda: not any(runs(pid) for pid in running))
        server.wait_for("worker=2")
        assert server.log.count("the control process has ended") == 2
    with serving(folder, "lab.example.zone", "--workers", 1, "--listen", server.address) as server:
        assert serials(server) == {1}


def test_a_change_by_the_api_is_in_sync_once_all_answer_it(folder: Path) -> None:
    with serving(folder, "lab.example.zone", "--workers", 2) as server:
        keys = load_config(str(folder / "state/aws/credentials"))["profiles"]["default"]
        session = boto3.Session(keys["aws_access_key_id"], keys["aws_secret_access_key"], region_name="us-east-1")
        url = next(line.strip() for line in server.banner if line.strip().startswith("http://127.0.0.1:"))
        route53 = session.client("route53", endpoint_url=url)
        zone = route53.create_hosted_zone(Name="api.example", CallerReference="1")

        def put(value: str) -> str:
            records = {"Name": "www.api.example", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": value}]}
            change: str = route53.change_resource_record_sets(
                HostedZoneId=zone["HostedZone"]["Id"],
                ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": records}]},
            )["ChangeInfo"]["Id"]
            return change

        def answers() -> set[str]:
            query = dns.message.make_query("www.api.example", "A")
            return {
                dns.query.udp(query, server.address.host, port=server.address.port, timeout=60).answer[0][0].to_text()
                for _ in range(24)
            }

        def is_in_sync(change: str) -> bool:
            return bool(route53.get_change(Id=change)["ChangeInfo"]["Status"] == "INSYNC")

        for value in ("192.0.2.7", "192.0.2.8", "192.0.2.9"):
            change = put(value)
            until(lambda change=change: is_in_sync(change))  # type: ignore[misc]
            assert answers() == {value}

        # One that does nothing now has not taken up the change, so that is not everywhere.
        stopped = pids(folder)[0]
        os.kill(stopped, signal.SIGSTOP)
        change = put("192.0.2.10")
        assert not is_in_sync(change)
        os.kill(stopped, signal.SIGCONT)
        until(lambda: is_in_sync(change))
        assert answers() == {"192.0.2.10"}


def test_a_control_process_that_does_nothing_stops_no_worker_from_answering(folder: Path) -> None:
    with serving(folder, "lab.example.zone", "--workers", 2) as server:
        running = pids(folder)
        server.process.send_signal(signal.SIGSTOP)
        try:
            # Names that nobody has asked for: each takes a signature. Both workers have their part.
            for number in range(500):
                query = dns.message.make_query(f"x{number}.lab.example", "A", want_dnssec=True)
                answer = dns.query.udp(query, server.address.host, port=server.address.port, timeout=60)
                assert answer.rcode() == dns.rcode.NOERROR  # compact denial
                assert any(rrset.rdtype == dns.rdatatype.RRSIG for rrset in answer.authority)
        finally:
            server.process.send_signal(signal.SIGCONT)
        (folder / "lab.example.zone").write_text(ZONE.replace("hostmaster 1 ", "hostmaster 2 "))
        assert run("reload", cwd=folder).stdout == "lab.example. replaced serial 2\n"
        assert serials(server) == {2}
        assert pids(folder) == running
        assert [worker["restarts"] for worker in workers(folder)] == [0, 0]


def test_a_setting_of_the_configuration(folder: Path) -> None:
    (folder / "quick.toml").write_text(
        'listen = ["127.0.0.1:0"]\nworkers = 1\n[kms]\nemulator = "127.0.0.1:0"\n[route53]\nlisten = false\n'
    )
    with serving(folder, "lab.example.zone") as server:
        assert " by 1 worker, KMS " in server.banner[-1]
        assert len(pids(folder)) == 1
        assert serials(server) == {1}
    with serving(folder, "lab.example.zone", "--workers", 0) as server:
        assert " by " not in server.banner[-1]
        assert workers(folder) == []


def cookie_of(server: Serving, cookie: bytes, *, tcp: bool = False) -> bytes:
    """The COOKIE option that a query with `cookie` gets, from a port of its own."""
    option = dns.edns.GenericOption("COOKIE", cookie)
    query = dns.message.make_query("lab.example.", "SOA", use_edns=0, options=[option, dns.edns.NSIDOption(b"")])
    ask = dns.query.tcp if tcp else dns.query.udp
    answer = ask(query, "127.0.0.1", port=server.address.port, timeout=60)
    told = {option.otype: option.to_wire() or b"" for option in answer.options}
    assert told[dns.edns.OptionType.NSID] == b"fra1"
    return told[dns.edns.OptionType.COOKIE]


def test_one_cookie_for_all_workers_and_after_a_restart(folder: Path) -> None:
    (folder / "told.toml").write_text(
        'listen = ["127.0.0.1:0"]\n[edns]\nnsid = "fra1"\n[chaos]\nid = "ns1"\n'
        '[kms]\nemulator = "127.0.0.1:0"\n[route53]\nlisten = false\n'
    )
    arguments = ("lab.example.zone", "--config", "told.toml")
    with serving(folder, *arguments, "--workers", 2) as server:
        mine = cookie_of(server, b"abcdefgh")
        assert {cookie_of(server, mine) for _ in range(12)} == {mine}
        assert cookie_of(server, mine, tcp=True) == mine
        chaos = dns.message.make_query("id.server.", "TXT", "CH")
        assert '"ns1"' in dns.query.udp(chaos, "127.0.0.1", port=server.address.port, timeout=60).to_text()
        until(
            lambda: (
                sum(
                    metrics(folder).get(f'signwright_cookies_total{{standing="{one}"}}', 0)
                    for one in ("valid", "client_only")
                )
                >= 14
            )
        )
    with serving(folder, *arguments) as server:
        assert cookie_of(server, mine) == mine


def test_a_flood_over_udp_is_limited_and_tcp_is_not(folder: Path) -> None:
    with serving(folder, "lab.example.zone", "--workers", 1) as server:
        query = dns.message.make_query("lab.example.", "SOA")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", server.address.port))

            def is_limited() -> bool:
                for _ in range(200):
                    sock.send(query.to_wire())
                return any(
                    count
                    for name, count in metrics(folder).items()
                    if name.startswith("signwright_limited_responses_total") and "slipped" in name
                )

            until(is_limited)
        answer = dns.query.tcp(query, "127.0.0.1", port=server.address.port, timeout=60)
        assert answer.answer
