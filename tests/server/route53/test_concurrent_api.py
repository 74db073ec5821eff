"""Many boto3 clients at one zone of a real server: nothing is lost and no batch seen by half, SIGKILL or not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import dns.message
import dns.query
import dns.rdatatype
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.interop.operator import Operator
from tests.processes import Serving, serving

pytestmark = pytest.mark.interop  # delv has the last word

ZONE = "lab.example."
PAIR = f"one.{ZONE}", f"two.{ZONE}"
"""Two names that every batch gives the same new value: a client that sees two values saw half a batch."""
COUNTER = f"counter.{ZONE}"
CLIENTS, COUNTERS, TURNS = 50, 8, 3
CONFIG = """\
listen = ["127.0.0.1:0"]
[kms]
emulator = "127.0.0.1:0"
[route53]
listen = "127.0.0.1:0"
rate = 100000
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "quick.toml").write_text(CONFIG)
    return tmp_path


class Clients:
    """Many clients of one server, each with connections of its own."""

    def __init__(self, operator: Operator, count: int) -> None:
        session = boto3.Session(*operator.access_key, region_name="us-east-1")
        config = Config(retries={"total_max_attempts": 1}, read_timeout=60)
        url = operator.urls["route_53"]
        self.all: list[Any] = [session.client("route53", endpoint_url=url, config=config) for _ in range(count)]

    def run(self, work: Callable[[Any, int], None], first: int = 0) -> None:
        """Let each do its work at once with the others; `work` gets the client and its number."""
        with ThreadPoolExecutor(len(self.all)) as pool:
            for done in [pool.submit(work, client, first + number) for number, client in enumerate(self.all)]:
                done.result()

    def close(self) -> None:
        for client in self.all:
            client.close()


def text(name: str, value: str) -> dict[str, Any]:
    return {"Name": name, "Type": "TXT", "TTL": 60, "ResourceRecords": [{"Value": f'"{value}"'}]}


def change(client: Any, zone: str, *changes: tuple[str, dict[str, Any]]) -> str:
    """The id of the change."""
    batch = [{"Action": action, "ResourceRecordSet": record_set} for action, record_set in changes]
    made: str = client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": batch})["ChangeInfo"][
        "Id"
    ]
    return made


def own_names(batch: str) -> list[str]:
    return [f"{part}.{batch}.{ZONE}" for part in ("a", "b", "c")]


def write(client: Any, zone: str, batch: str) -> str:
    """Carry out a batch: names of its own, and the pair that all batches change."""
    created = [("CREATE", text(name, batch)) for name in own_names(batch)]
    return change(client, zone, *created, *(("UPSERT", text(name, batch)) for name in PAIR))


def ask(server: Serving, name: str, rrtype: str = "TXT") -> list[str]:
    """What DNS has at a name, and that it is signed."""
    query = dns.message.make_query(name, rrtype, want_dnssec=True)
    response = dns.query.udp(query, server.address.host, port=server.address.port, timeout=60)
    types = {rrset.rdtype for rrset in response.answer}
    assert not types or dns.rdatatype.RRSIG in types
    found = [rdata for rrset in response.answer for rdata in rrset if rrset.rdtype != dns.rdatatype.RRSIG]
    return [rdata.to_text().strip('"') for rdata in found]


def listed(client: Any, zone: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone):
        yield from page["ResourceRecordSets"]


def value_of(record_set: dict[str, Any]) -> str:
    value: str = record_set["ResourceRecords"][0]["Value"]
    return value.strip('"')


class Watch:
    """Looks at the pair all the while, over DNS and over the API."""

    def __init__(self, server: Serving, client: Any, zone: str) -> None:
        self._server, self._client, self._zone = server, client, zone
        self.seen: dict[str, set[str]] = {"DNS": set(), "API": set()}
        self.halves: list[tuple[str, ...]] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=look) for look in (self._dns, self._api)]

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _dns(self) -> None:
        # No value comes back once it is gone: two equal answers about one name frame the other's.
        while not self._over.is_set():
            before, between, after = (ask(self._server, name) for name in (PAIR[0], PAIR[1], PAIR[0]))
            self.seen["DNS"].update(between)
            if before == after != between:
                self.halves.append(("DNS", *before, *between))

    def _api(self) -> None:
        while not self._over.is_set():
            page = self._client.list_resource_record_sets(
                HostedZoneId=self._zone, StartRecordName=PAIR[0], StartRecordType="TXT", MaxItems="2"
            )["ResourceRecordSets"]
            values = {value_of(record_set) for record_set in page if record_set["Name"] in PAIR}
            self.seen["API"] |= values
            if len(values) > 1:
                self.halves.append(("API", *values))


def test_fifty_clients_lose_nothing_and_never_see_half_a_batch(folder: Path) -> None:
    with serving(folder) as server:
        operator = Operator(folder, server)
        zone = operator.zone(ZONE, www="192.0.2.1")
        operator.sign(zone)
        change(operator.route53, zone, ("CREATE", text(COUNTER, "0")), *(("CREATE", text(n, "none")) for n in PAIR))
        began = server.serial(ZONE)
        changes: list[str] = []
        refused: list[str] = []

        def work(client: Any, number: int) -> None:
            for turn in range(TURNS):
                changes.append(write(client, zone, f"c{number}-{turn}"))
            if number < COUNTERS:
                count(client)

        def count(client: Any) -> None:
            """Add one; only who knows the value that is there may replace it."""
            while True:
                (there,) = ask(server, COUNTER)
                swap = ("DELETE", text(COUNTER, there)), ("CREATE", text(COUNTER, str(int(there) + 1)))
                try:
                    changes.append(change(client, zone, *swap))
                except ClientError as error:
                    assert error.response["Error"]["Code"] == "InvalidChangeBatch"
                    refused.append(there)
                else:
                    return

        clients = Clients(operator, CLIENTS)
        with Watch(server, operator.route53, zone) as watch:
            clients.run(work)
        assert not watch.halves
        assert all(len(values) > TURNS for values in watch.seen.values()), watch.seen
        assert len(set(changes)) == CLIENTS * TURNS + COUNTERS
        assert ask(server, COUNTER) == [str(COUNTERS)]
        assert server.serial(ZONE) == began + len(changes)
        written = {f"c{number}-{turn}" for number in range(CLIENTS) for turn in range(TURNS)}
        assert_whole(server, operator.route53, zone, written, written)
        assert {operator.route53.get_change(Id=one)["ChangeInfo"]["Status"] for one in changes} == {"INSYNC"}
        assert operator.is_valid(PAIR[0], "TXT", ZONE.rstrip("."))
        clients.close()
        operator.close()


@pytest.mark.parametrize("answered_before", [7, 40])
def test_sigkill_loses_no_answered_change_and_leaves_no_half(folder: Path, answered_before: int) -> None:
    answered: set[str] = set()
    attempted: set[str] = set()
    with serving(folder) as server:
        operator = Operator(folder, server)
        zone = operator.zone(ZONE, www="192.0.2.1")
        operator.sign(zone)
        began = server.serial(ZONE)

        def work(client: Any, number: int) -> None:
            turn = 0
            while True:
                batch = f"c{number}-{(turn := turn + 1)}"
                attempted.add(batch)
                try:
                    write(client, zone, batch)
                except (BotoCoreError, KeyError):  # nobody listens any more, or an answer ended behind its headers
                    return
                answered.add(batch)

        clients = Clients(operator, 12)
        killing = threading.Thread(target=kill, args=(server, answered, answered_before))
        killing.start()
        clients.run(work)
        killing.join()
        clients.close()
        operator.close()
    assert answered_before <= len(answered) < len(attempted)
    with serving(folder) as server:
        operator = Operator(folder, server)
        there = assert_whole(server, operator.route53, zone, answered, attempted)
        assert server.serial(ZONE) == began + len(there)
        assert operator.is_valid(PAIR[0], "TXT", ZONE.rstrip("."))
        write(operator.route53, zone, "afterwards")
        assert ask(server, PAIR[1]) == ["afterwards"]
        operator.close()


def kill(server: Serving, answered: set[str], enough: int) -> None:
    deadline = time.monotonic() + 60
    while len(answered) < enough and time.monotonic() < deadline:
        time.sleep(0.002)
    server.process.kill()


def assert_whole(server: Serving, client: Any, zone: str, answered: set[str], attempted: set[str]) -> set[str]:
    """Each answered batch is there, each other one whole or not at all, in the API as in DNS; those that are there."""
    values = {record_set["Name"]: value_of(record_set) for record_set in listed(client, zone)}
    there = {batch for batch in attempted if own_names(batch)[0] in values}
    assert answered <= there
    for batch in attempted:
        for name in own_names(batch):
            assert values.get(name) == (batch if batch in there else None)
            assert ask(server, name) == ([batch] if batch in there else [])
    names = {name for batch in there for name in own_names(batch)}
    assert {name for name, value in values.items() if value in attempted} == names | set(PAIR)
    assert values[PAIR[0]] == values[PAIR[1]]
    assert ask(server, PAIR[0]) == ask(server, PAIR[1]) == [values[PAIR[0]]]
    return there
