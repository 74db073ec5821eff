"""The control protocol: the real client against the real application on a real Unix socket."""

from __future__ import annotations

import errno
import io
import os
import socket
import stat
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx2
import msgspec
import pytest
import trio

from keys.aws.http_server import serve_http
from keys.custody.state_database import Store
from keys.custody.zsk_encryption import StateError
from keys.rules.bars import Row, Span, Timeline
from keys.rules.commands import (
    ActivateKsk,
    Command,
    CreateKsk,
    DeactivateKsk,
    DeleteKsk,
    DisableSigning,
    EmergencyRollover,
    EnableSigning,
    OfferDs,
    RequestRefusedError,
    StartRollover,
    TrustClock,
    WithdrawDs,
)
from keys.rules.events import Entry
from keys.rules.key_status import Condition, ZoneStatus
from server.control.control_api import control_app, watching_app
from server.control.control_client import ControlClient, ControlError, NoServerError
from server.control.control_socket import LIMITS, bind_control
from server.control.server_operations import (
    ClockTrust,
    Level,
    Planned,
    ReloadOutcome,
    ReloadReport,
    ServerStatus,
    ZoneReload,
    ZoneReport,
    server_level,
    zone_level,
)
from server.control.trust_chain import TrustChain
from server.display.screens import ForPeople
from server.settings.schema import ConfigError
from server.state.backup_archive import write_archive
from server.state.directory import StateDir, finish_restore, open_state
from server.watching.recent_queries import TopReport, TopRow
from zones.zoneset import ServedZone

NOW = 1_767_225_600
DS = "lab.example. 3600 IN DS 1 13 2 " + "AB" * 32


def keys(condition: Condition, problem: str | None = None, runway: int = 5 * 86400) -> ZoneStatus:
    return ZoneStatus(
        zone="lab.example.",
        hosted_zone_id="Z00000000000000000000",
        condition=condition,
        problem=problem,
        notice=None,
        valid_until=NOW + runway,
        refreshed=NOW,
        next_action=None,
        next_why=None,
        next_at=None,
        ksks=(),
        zsks=(),
    )


def zone(origin: str, **values: object) -> ZoneReport:
    known: dict[str, object] = {"file": "f", "serial": 1, "signed": True, "denial": "compact", "example": "x A"}
    return ZoneReport(origin=origin, **{**known, **values})  # type: ignore[arg-type]


ZONES = (
    zone("lab.example.", ds=(DS,), keys=keys(Condition.SIGNING)),
    zone("plain.example.", signed=False),
    zone("new.example.", keys=keys(Condition.STARTING, "Sign: AccessDeniedException: no")),
)
PLAN = (Planned(NOW + 60, "SignKeyset", "regular refresh"),)
EVENTS = (Entry(NOW - 60, "KeysetSigned", "regular refresh", ("r-1", "r-2")),)
TIMELINE = Timeline("lab.example.", 0, 5, 9, None, (Row("ZSK 1", 7, (Span(1, 9, "active"),)),))
RELOADED = ReloadReport(
    (
        ZoneReload(origin="lab.example.", outcome=ReloadOutcome.REPLACED, serial=2),
        ZoneReload(origin="plain.example.", outcome=ReloadOutcome.REFUSED, serial=1, reason="f:3: no"),
    )
)

TOP = TopReport(seconds=5, queries=10, read=10, octets=900, names=(TopRow("www.lab.example.", 10, 10),))
TRUSTED = ClockTrust(86400, ("lab.example.",), {"new.example.": "StateUnavailable: the disk is full"})


class Server:
    """Operations over a real state, without the DNS around it."""

    def __init__(self, state: StateDir, store: Store) -> None:
        self.state = state
        self.store = store
        self.zones: tuple[ZoneReport, ...] = ZONES
        self.restarted = trio.Event()
        self.asked: list[tuple[object, ...]] = []
        self.refusal: RequestRefusedError | None = None

    async def request(self, origin: str, command: Command) -> None:
        await trio.lowlevel.checkpoint()
        self.asked.append((origin, command))
        if self.refusal is not None:
            raise self.refusal

    async def plan(self, origin: str, until: int) -> tuple[Planned, ...]:
        self.asked.append((origin, until))
        return PLAN

    async def events(self, origin: str, since: int) -> tuple[Entry, ...]:
        self.asked.append((origin, since))
        return EVENTS

    async def timeline(self, origin: str, since: int, until: int) -> Timeline:
        self.asked.append((origin, since, until))
        return TIMELINE

    def now(self) -> int:
        return NOW

    def origins(self) -> list[str]:
        return [zone.origin for zone in self.zones]

    def zone(self, origin: str) -> ZoneReport | None:
        return {zone.origin: zone for zone in self.zones}.get(origin)

    def trust_chain(self, origin: str, name: str, rrtype: str) -> TrustChain:
        return TrustChain(origin, name, rrtype, NOW, "valid", "", ())

    def served(self, origin: str) -> ServedZone | None:
        del origin
        return None

    def status(self) -> ServerStatus:
        return ServerStatus(
            version="1",
            pid=os.getpid(),
            now=NOW,
            started=NOW - 60,
            state=str(self.state.path),
            listeners=("127.0.0.1:5300",),
            kms="http://127.0.0.1:5381",
            zones=self.zones,
        )

    async def top(self, minutes: int) -> TopReport:
        await trio.lowlevel.checkpoint()
        self.asked.append(("top", minutes))
        return TOP

    async def reload(self) -> ReloadReport:
        await trio.lowlevel.checkpoint()
        return RELOADED

    async def trust_clock(self) -> ClockTrust:
        await trio.lowlevel.checkpoint()
        return TRUSTED

    def configured_files(self) -> Iterator[Path]:
        return iter(())

    async def backup_database(self, to: Path) -> None:
        await trio.to_thread.run_sync(self.store.backup, to)

    def restart(self) -> None:
        self.restarted.set()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDir]:
    with open_state(tmp_path / "state") as opened:
        yield opened


@asynccontextmanager
async def running(state: StateDir) -> AsyncIterator[Server]:
    with Store.open(state.path, os.urandom) as store:
        server = Server(state, store)
        async with trio.open_nursery() as nursery:
            app = control_app(server, lambda: b"up 1\n", ForPeople())
            await nursery.start(partial(serve_http, app, bind_control(state.control_socket), limits=LIMITS))
            yield server
            nursery.cancel_scope.cancel()


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


async def test_the_socket_is_its_owners_alone(state: StateDir) -> None:
    state.control_socket.touch()  # a leftover
    async with running(state):
        found = state.control_socket.stat().st_mode
        assert stat.S_ISSOCK(found)
        assert stat.S_IMODE(found) == 0o600


async def test_status_reload_and_ds(state: StateDir) -> None:
    client = ControlClient(state)
    async with running(state) as server:
        assert await trio.to_thread.run_sync(client.status) == server.status()
        assert await trio.to_thread.run_sync(client.reload) == RELOADED
        assert await trio.to_thread.run_sync(client.trust_clock) == TRUSTED
        for name in ("lab.example", "LAB.example."):
            report = await trio.to_thread.run_sync(client.ds, name)
            assert [record.record for record in report.records] == [DS]
        for name, message in [
            ("other.example", r"other.example. is not served here; served: lab.example., plain.example., new.example."),
            ("plain.example", r"plain.example. is served unsigned"),
            ("new.example", r"no signed key-signing key yet: Sign: AccessDeniedException: no"),
        ]:
            with pytest.raises(ControlError, match=message):
                await trio.to_thread.run_sync(client.ds, name)
        server.zones = tuple(zone(f"z{number}.") for number in range(12))
        with pytest.raises(ControlError, match=r"is not served here; served: z0\., .*, z9\. and 2 more"):
            await trio.to_thread.run_sync(client.ds, "other.example")


async def test_top_tells_who_asks_for_what(state: StateDir) -> None:
    client = ControlClient(state)
    async with running(state) as server:
        assert await trio.to_thread.run_sync(client.top, 5) == TOP
        assert server.asked == [("top", 5)]
        for minutes in (0, 16, 10**30, -1):
            with pytest.raises(ControlError, match="give 1 to 15"):
                await trio.to_thread.run_sync(client.top, minutes)


COMMANDS: list[Command] = [
    CreateKsk("ksk_2", None, active=False),
    ActivateKsk("ksk_2"),
    DeactivateKsk("ksk_1", force=True),
    DeleteKsk("ksk_1"),
    StartRollover(),
    EmergencyRollover(),
    EnableSigning(),
    DisableSigning(force=True),
    TrustClock(),
    WithdrawDs("ksk_1"),
    WithdrawDs("ksk_1", force=True),
    OfferDs("ksk_1"),
]


async def test_every_command_reaches_the_keys_of_its_zone(state: StateDir) -> None:
    client = ControlClient(state)
    async with running(state) as server:
        for command in COMMANDS:
            after = await trio.to_thread.run_sync(client.request, "LAB.example", command)
            assert after == ZONES[0]
        assert server.asked == [("lab.example.", command) for command in COMMANDS]
    assert {type(command) for command in COMMANDS} == set(Command.__subclasses__())


async def test_a_refusal_is_route_53s_code_and_message(state: StateDir) -> None:
    transport = httpx2.AsyncHTTPTransport(uds=str(state.control_socket))
    async with running(state) as server, httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
        for code, status in [
            ("NoSuchKeySigningKey", 404),
            ("KeySigningKeyAlreadyExists", 409),
            ("KeySigningKeyInParentDSRecord", 400),
        ]:
            server.refusal = RequestRefusedError(code, "No.")
            response = await client.post("/zones/lab.example/commands", json={"type": "ActivateKsk", "name": "k"})
            assert (response.status_code, response.json()) == (status, {"error": code, "message": "No."})
        with pytest.raises(ControlError, match=r"^KeySigningKeyInParentDSRecord: No\.$") as raised:
            await trio.to_thread.run_sync(ControlClient(state).request, "lab.example", StartRollover())
        assert raised.value.code == "KeySigningKeyInParentDSRecord"
        for body in (b"", b"{}", b'{"type": "Explode"}', b'{"type": "ActivateKsk"}', b"\xff"):
            response = await client.post("/zones/lab.example/commands", content=body)
            assert (response.status_code, response.json()["error"]) == (400, "InvalidInput")
        response = await client.post("/zones/plain.example/commands", json={"type": "StartRollover"})
        assert (response.status_code, response.json()) == (
            409,
            {"error": "NotSigned", "message": "plain.example. has no keys: the setting signed is false"},
        )


async def test_what_was_and_what_will_be(state: StateDir) -> None:
    client = ControlClient(state)
    async with running(state) as server:
        assert await trio.to_thread.run_sync(client.plan, "lab.example", 600) == list(PLAN)
        assert await trio.to_thread.run_sync(client.events, "lab.example", 7) == list(EVENTS)
        assert await trio.to_thread.run_sync(client.timeline, "lab.example", 60, 600) == TIMELINE
        assert server.asked == [
            ("lab.example.", NOW + 600),
            ("lab.example.", 7),
            ("lab.example.", NOW - 60, NOW + 600),
        ]
        for ahead in (-1, 10**9):
            with pytest.raises(ControlError, match="give seconds, at most"):
                await trio.to_thread.run_sync(client.plan, "lab.example", ahead)


async def test_monitoring_may_ask_how_things_are_and_nothing_else(state: StateDir) -> None:
    with Store.open(state.path, os.urandom) as store:
        app = watching_app(Server(state, store), lambda: b"up 1\n")
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://x") as client:
            response = await client.get("/metrics")
            assert (response.status_code, response.text) == (200, "up 1\n")
            assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert (await client.get("/healthz")).json() == {"level": "warning"}
            for path in ("/status", "/zones/lab.example/plan", "/backup"):
                assert (await client.get(path)).status_code == 404
            assert (await client.post("/zones/lab.example/commands")).status_code == 404


async def test_backup_and_restore(state: StateDir, tmp_path: Path) -> None:
    client = ControlClient(state)
    state.kms.mkdir()
    (state.kms / "a.json").write_text("a" * 300_000)
    async with running(state) as server:
        server.store.hosted_zone_id(b"\x03lab\x00", lambda: "Z1", NOW)
        file = tmp_path / "b.tar.gz"
        await trio.to_thread.run_sync(client.backup, file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with pytest.raises(FileExistsError):
            await trio.to_thread.run_sync(client.backup, file)
        server.store.hosted_zone_id(b"\x04late\x00", lambda: "Z2", NOW)
        with file.open("rb") as archive:
            kept = await trio.to_thread.run_sync(client.restore, archive)
        with trio.fail_after(60):
            await server.restarted.wait()
        assert names(tmp_path) == ["b.tar.gz", "state"]
    assert finish_restore(state) == [kept]
    with Store.open(state.path, os.urandom) as store:
        assert store.hosted_zone_id(b"\x03lab\x00", lambda: "none", NOW) == "Z1"
        assert store.hosted_zone_id(b"\x04late\x00", lambda: "none", NOW) == "none"


async def test_a_backup_that_is_refused_changes_nothing(state: StateDir) -> None:
    async with running(state) as server:
        with pytest.raises(ControlError, match="not a complete Signwright backup"):
            await trio.to_thread.run_sync(ControlClient(state).restore, io.BytesIO(b"x" * 100_000))
        assert not server.restarted.is_set()
        assert not any(list(state.path.glob(f"{name}-*")) for name in ("partial", "restore", "backup"))
        with tarfile.open(fileobj=io.BytesIO(await _packed(server))) as members:
            assert "state.key" in members.getnames()


async def _packed(server: Server) -> bytes:
    to = io.BytesIO()
    await trio.to_thread.run_sync(write_archive, server.state, server.store.backup, to)
    return to.getvalue()


async def test_a_wrong_configuration_is_said(state: StateDir) -> None:
    async with running(state) as server:

        async def wrong() -> ReloadReport:
            raise ConfigError("unknown setting", file="s.toml", line=3, key="zones")

        server.reload = wrong  # type: ignore[method-assign]
        with pytest.raises(ControlError, match=r"s.toml:3: zones: unknown setting"):
            await trio.to_thread.run_sync(ControlClient(state).reload)


async def test_a_full_disk_is_said_with_the_folder_and_the_way_out(
    state: StateDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("server.control.control_api.write_archive", full)
    said = f"^{state.path}: No space left on device: free some space on the disk of {state.path}$"
    async with running(state):
        with pytest.raises(ControlError, match=said):
            await trio.to_thread.run_sync(ControlClient(state).backup, tmp_path / "b.tar.gz")
    assert not (tmp_path / "b.tar.gz").exists()


async def test_a_backup_that_fails_is_said_and_leaves_no_file(state: StateDir, tmp_path: Path) -> None:
    async with running(state) as server:

        async def full(to: Path) -> None:
            raise StateError("the disk is full")

        server.backup_database = full  # type: ignore[method-assign]
        with pytest.raises(ControlError, match="the disk is full"):
            await trio.to_thread.run_sync(ControlClient(state).backup, tmp_path / "b.tar.gz")
    assert names(tmp_path) == ["state"]


async def test_health_and_what_is_not_there(state: StateDir) -> None:
    transport = httpx2.AsyncHTTPTransport(uds=str(state.control_socket))
    async with running(state) as server, httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
        response = await client.get("/healthz")
        assert (response.status_code, response.json()) == (200, {"level": "warning"})
        server.zones = (zone("lab.example.", keys=keys(Condition.FAILING)),)
        response = await client.get("/healthz")
        assert (response.status_code, response.json()) == (503, {"level": "critical"})
        assert (await client.get("/metrics")).text == "up 1\n"
        response = await client.get("/nowhere")
        assert (response.status_code, response.json()) == (404, {"error": "NotFound", "message": "Not Found"})
        response = await client.get("/reload")
        assert (response.status_code, response.json()["error"]) == (405, "MethodNotAllowed")
        # msgspec's own form is the protocol: a status goes through JSON unharmed
        assert msgspec.json.decode((await client.get("/status")).content, type=ServerStatus) == server.status()


def test_levels() -> None:
    levels = {
        Level.OK: [
            zone("a.", keys=keys(Condition.SIGNING)),
            zone("b.", signed=False),
            zone("a.", keys=keys(Condition.UNSIGNED)),
        ],
        Level.WARNING: [
            zone("a.", keys=keys(Condition.TROUBLED, "x")),
            zone("a.", keys=keys(Condition.STARTING)),
            zone("a.", keys=keys(Condition.SIGNING), refused="f:1: no"),
        ],
        Level.CRITICAL: [
            zone("a.", keys=keys(Condition.TROUBLED, "x", runway=86399)),
            zone("a.", keys=msgspec.structs.replace(keys(Condition.TROUBLED, "x"), safe_until=NOW + 86399)),
            zone("a.", keys=keys(Condition.FAILING)),
            zone("a.", keys=keys(Condition.FROZEN)),
            zone("a."),
            zone("b.", signed=False, serial=None, refused="f:1: no"),
        ],
    }
    for level, reports in levels.items():
        assert {zone_level(report, NOW) for report in reports} == {level}


def test_a_server_without_zones_is_critical(state: StateDir) -> None:
    server = Server(state, None)  # type: ignore[arg-type]
    server.zones = ()
    assert server_level(server.status()) is Level.CRITICAL


def test_no_server(tmp_path: Path, state: StateDir) -> None:
    with pytest.raises(NoServerError, match=r"no server runs on .*/state: nothing listens on .*/control.sock; start"):
        ControlClient(state).status()
    with pytest.raises(NoServerError, match="the directory does not exist"):
        ControlClient(StateDir(tmp_path / "none")).status()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(state.control_socket))
    with pytest.raises(NoServerError, match=r"nothing answers on .*refused.*; start one with: signwright serve"):
        ControlClient(state).status()
    with pytest.raises(StateError, match="the path of a Unix socket is limited to 107"):
        ControlClient(StateDir(tmp_path / ("x" * 100))).status()
