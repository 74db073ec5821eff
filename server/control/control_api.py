"""The server's side of the control protocol: HTTP to `Operations`, and nothing else."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, TypeVar

import dns.exception
import msgspec
import trio
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from keys.custody.disk_errors import naming
from keys.custody.zsk_encryption import StateError
from keys.rules.commands import EXISTS, NO_SUCH_KSK, Command, RequestRefusedError
from keys.rules.key_status import Condition
from server.control.command_json import COMMAND_TYPES
from server.control.server_operations import DsReport, Level, Operations, ZoneReport, ds_report, server_level
from server.control.shared_answer import SharedAnswer
from server.control.shown import Look, Screens
from server.control.zone_export import write_export
from server.settings.schema import ConfigError
from server.state.backup_archive import LARGEST, stage_archive, write_archive
from server.watching.recent_queries import LONGEST
from zones.export import CannotExportError
from zones.masterfile.reading_limits import LONGEST_NAME

_CHUNK = 1 << 16
_JSON = "application/json"
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus's text format, as the metrics come."""
_NAMED = 10
"""Zones that an error names as served: there may be thousands."""
_DAY = 86400
_FARTHEST = 5 * 366 * _DAY
"""Seconds that may be looked ahead."""
_DIGITS = 4
"""Of the columns of a terminal."""
_STATUSES = {NO_SUCH_KSK: 404, EXISTS: 409}
"""Of refused requests, as Route 53 has them; 400 for the rest."""
_COMMANDS = msgspec.json.Decoder(COMMAND_TYPES)

T = TypeVar("T")


class RefusedError(Exception):
    """An answer other than success: an HTTP status, a name for programs, a sentence for people."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message


def control_app(operations: Operations, exposition: Callable[[], bytes], screens: Screens) -> Starlette:
    """The application to serve on the control socket. `exposition` gives the text of /metrics."""
    control = _Control(operations, exposition)
    shown = _Shown(control, operations, screens)
    return Starlette(
        routes=[
            *_watching(control),
            Route("/status", control.status, methods=["GET"]),
            Route("/top", control.top, methods=["GET"]),
            Route("/reload", control.reload, methods=["POST"]),
            Route("/trust-clock", control.trust_clock, methods=["POST"]),
            Route("/shown/status", shown.status, methods=["GET"]),
            Route("/shown/ds/{zone}", shown.ds, methods=["GET"]),
            Route("/shown/reload", shown.reload, methods=["POST"]),
            Route("/zones/{zone}", control.zone, methods=["GET"]),
            Route("/zones/{zone}/ds", control.ds, methods=["GET"]),
            Route("/zones/{zone}/export", control.export, methods=["GET"]),
            Route("/zones/{zone}/chain", control.chain, methods=["GET"]),
            Route("/zones/{zone}/plan", control.plan, methods=["GET"]),
            Route("/zones/{zone}/events", control.events, methods=["GET"]),
            Route("/zones/{zone}/timeline", control.timeline, methods=["GET"]),
            Route("/zones/{zone}/commands", control.command, methods=["POST"]),
            Route("/backup", control.backup, methods=["POST"]),
            Route("/restore", control.restore, methods=["POST"]),
        ],
        exception_handlers={
            RefusedError: _refused,
            RequestRefusedError: _request_refused,
            StateError: _declared,
            ConfigError: _declared,
            HTTPException: _http_error,
        },
    )


def watching_app(operations: Operations, exposition: Callable[[], bytes]) -> Starlette:
    """What monitoring may ask without being known: /healthz and /metrics, and nothing else."""
    return Starlette(
        routes=_watching(_Control(operations, exposition)), exception_handlers={HTTPException: _http_error}
    )


def _watching(control: _Control) -> list[Route]:
    return [
        Route("/healthz", control.health, methods=["GET"]),
        Route("/metrics", control.metrics, methods=["GET"]),
    ]


class _Control:
    def __init__(self, operations: Operations, exposition: Callable[[], bytes]) -> None:
        self._operations = operations
        self._exposition = exposition
        self._looking = trio.CapacityLimiter(1)
        """Who goes through all zones in a thread: queries share the interpreter with one, not with several."""
        self._metrics = SharedAnswer(partial(self.in_thread, exposition))
        self._encoded = SharedAnswer(partial(self.in_thread, self._encoded_status))
        self._level = SharedAnswer(partial(self.in_thread, operations.status))

    async def in_thread(self, look: Callable[[], T]) -> T:
        """What looks at all zones; one at a time."""
        return await trio.to_thread.run_sync(look, limiter=self._looking)

    async def health(self, _: Request) -> Response:
        level = server_level(await self._level.get())
        return _json({"level": level.name.lower()}, 503 if level is Level.CRITICAL else 200)

    async def metrics(self, _: Request) -> Response:
        # A thousand zones take a quarter of a second, during which queries are to be answered.
        return Response(await self._metrics.get(), media_type=_EXPOSITION)

    async def status(self, _: Request) -> Response:
        return Response(await self._encoded.get(), media_type=_JSON)

    def _encoded_status(self) -> bytes:
        """Zone by zone: nothing is answered while one call encodes all, and 3,000 take 20 ms."""
        status = self._operations.status()
        zones = tuple(msgspec.Raw(msgspec.json.encode(zone)) for zone in status.zones)
        return msgspec.json.encode(msgspec.structs.replace(status, zones=zones))

    async def top(self, request: Request) -> Response:
        text = request.query_params.get("minutes", "1")
        if not (text.isascii() and text.isdigit() and len(text) <= 2 and 1 <= int(text) <= LONGEST):
            raise RefusedError(400, "InvalidInput", f"minutes={text[:20]}: give 1 to {LONGEST}")
        return _json(await self._operations.top(int(text)))

    async def reload(self, _: Request) -> Response:
        return _json(await self._operations.reload())

    async def trust_clock(self, _: Request) -> Response:
        return _json(await self._operations.trust_clock())

    async def zone(self, request: Request) -> Response:
        return _json(self._zone(request.path_params["zone"]))

    async def ds(self, request: Request) -> Response:
        return _json(self.ds_of(request))

    def ds_of(self, request: Request) -> DsReport:
        """The DS records of the zone that is asked about."""
        zone = self._zone(request.path_params["zone"])
        if not zone.signed and zone.keys is None:
            raise RefusedError(409, "NotSigned", f"{zone.origin} is served unsigned, so it has no DS record")
        if zone.keys is not None and not zone.keys.signing:
            raise RefusedError(409, "NotSigned", f"signing of {zone.origin} is disabled, so it has no DS record")
        if not zone.ds:
            problem = zone.keys.problem if zone.keys else None
            reason = f": {problem}" if problem else ""
            raise RefusedError(409, "NotReady", f"{zone.origin} has no signed key-signing key yet{reason}")
        return ds_report(zone)

    async def export(self, request: Request) -> Response:
        zone = self._zone(request.path_params["zone"])
        signed = request.query_params.get("signed", "0")
        if signed not in ("0", "1"):
            raise RefusedError(400, "InvalidInput", f"signed={signed[:20]}: give 0 or 1")
        served = self._operations.served(zone.origin) if zone.serial is not None else None
        if served is None:
            raise RefusedError(409, "NotLoaded", f"{zone.origin} is not answered now: {zone.refused or zone.withheld}")
        if signed == "1" and served.keys is None:
            why = "has no signed DNSKEY RRset yet" if zone.signed else "is served unsigned"
            raise RefusedError(409, "NotSigned", f"{zone.origin} {why}, so it can only be exported without --signed")
        spool = TemporaryFile(dir=self._operations.state.path)  # noqa: SIM115 - closed when it is sent
        try:
            await write_export(served, self._operations.now(), spool, signed=signed == "1")
            size = spool.tell()
        except CannotExportError as error:
            spool.close()
            raise RefusedError(409, "NotReady", f"{zone.origin} can't be exported: {error}") from None
        except BaseException:
            spool.close()
            raise
        return StreamingResponse(_sent(spool), media_type="text/dns", headers={"Content-Length": str(size)})

    async def chain(self, request: Request) -> Response:
        zone = self._zone(request.path_params["zone"])
        if zone.serial is None:
            raise RefusedError(409, "NotLoaded", f"{zone.origin} is not answered now: {zone.refused or zone.withheld}")
        name, rrtype = zone.example.split()
        name = request.query_params.get("name", name)
        rrtype = request.query_params.get("type", rrtype)
        if len(name) > LONGEST_NAME or len(rrtype) > LONGEST_NAME:
            raise RefusedError(400, "InvalidInput", "the name or the type is too long")
        try:
            made = await self.in_thread(partial(self._operations.trust_chain, zone.origin, name, rrtype))
        except (ValueError, dns.exception.DNSException) as error:
            raise RefusedError(400, "InvalidInput", f"{name} {rrtype}: {error}") from None
        return _json(made)

    async def plan(self, request: Request) -> Response:
        zone = self._with_keys(request)
        if zone.keys is not None and zone.keys.condition is Condition.FROZEN:
            raise RefusedError(409, "Frozen", f"nothing will be done: the keys are frozen: {zone.keys.problem}")
        now = self._operations.now()
        return _json(await self._operations.plan(zone.origin, now + _seconds(request, "ahead", 90 * _DAY)))

    async def events(self, request: Request) -> Response:
        zone = self._zone(request.path_params["zone"])
        return _json(await self._operations.events(zone.origin, _seconds(request, "since", 0, most=1 << 40)))

    async def timeline(self, request: Request) -> Response:
        zone = self._with_keys(request)
        now = self._operations.now()
        since, until = now - _seconds(request, "back", 30 * _DAY), now + _seconds(request, "ahead", 60 * _DAY)
        return _json(await self._operations.timeline(zone.origin, since, until))

    async def command(self, request: Request) -> Response:
        zone = self._with_keys(request)
        try:
            command: Command = _COMMANDS.decode(await request.body())
        except msgspec.MsgspecError as error:
            raise RefusedError(400, "InvalidInput", str(error)) from None
        await self._operations.request(zone.origin, command)
        return _json(self._zone(zone.origin))

    def _with_keys(self, request: Request) -> ZoneReport:
        zone = self._zone(request.path_params["zone"])
        if zone.keys is None:
            why = "the setting signed is false" if not zone.signed else "its file could not be loaded"
            raise RefusedError(409, "NotSigned", f"{zone.origin} has no keys: {why}")
        return zone

    async def backup(self, _: Request) -> Response:
        state = self._operations.state
        spool = TemporaryFile(dir=state.path)  # noqa: SIM115 - closed when it is sent
        try:
            configured = self._operations.configured_files()
            with _on_disk(state.path):
                await trio.to_thread.run_sync(write_archive, state, self._copy_database, spool, configured)
            size = spool.tell()
        except BaseException:
            spool.close()
            raise
        return StreamingResponse(_sent(spool), media_type="application/gzip", headers={"Content-Length": str(size)})

    def _copy_database(self, to: Any) -> None:
        """In the thread that packs the archive."""
        trio.from_thread.run(self._operations.backup_database, to)

    async def restore(self, request: Request) -> Response:
        state = self._operations.state
        with _on_disk(state.path), TemporaryFile(dir=state.path) as spool:
            await _received(request, spool)
            kept = await trio.to_thread.run_sync(stage_archive, state, spool, time.time())
        return _json({"kept": kept}, 202, BackgroundTask(self._restart))

    async def _restart(self) -> None:
        self._operations.restart()

    def _zone(self, name: str) -> ZoneReport:
        origin = name.lower().rstrip(".") + "."
        zone = self._operations.zone(origin)
        if zone is None:
            served = self._operations.origins()
            more = f" and {len(served) - _NAMED} more" if len(served) > _NAMED else ""
            named = ", ".join(served[:_NAMED]) or "none"
            raise RefusedError(404, "NoSuchZone", f"{origin} is not served here; served: {named}{more}")
        return zone


class _Shown:
    """The same for people: what a command prints, and how it ends."""

    def __init__(self, control: _Control, operations: Operations, screens: Screens) -> None:
        self._control = control
        self._operations = operations
        self._screens = screens

    async def status(self, request: Request) -> Response:
        look = _look(request)
        return _json(
            await self._control.in_thread(lambda: self._screens.status(self._operations.status(), look)),
        )

    async def ds(self, request: Request) -> Response:
        return _json(self._screens.ds(self._control.ds_of(request), _look(request), self._operations.now()))

    async def reload(self, request: Request) -> Response:
        look = _look(request)
        report = await self._operations.reload()
        return _json(await self._control.in_thread(lambda: self._screens.reload(report, look)))


def _look(request: Request) -> Look:
    given = request.query_params
    columns = given.get("columns", "")
    if columns and not (columns.isascii() and columns.isdigit() and 1 <= len(columns) <= _DIGITS):
        raise RefusedError(400, "InvalidInput", f"columns={columns[:20]}: give a number of at most {_DIGITS} digits")
    options = given.get("options", "")
    if not options.isprintable():
        raise RefusedError(400, "InvalidInput", "options: must be printable")
    width = int(columns) if columns else None
    return Look(width, given.get("colour") == "1", given.get("json") == "1", options, given.get("zone"))


def _seconds(request: Request, name: str, default: int, most: int = _FARTHEST) -> int:
    """A number of seconds from the query string."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise RefusedError(400, "InvalidInput", f"{name}={text}: give seconds, at most {most}")
    return int(text)


@contextmanager
def _on_disk(path: Path) -> Iterator[None]:
    """What the disk refuses becomes an error answer, with the file and the way out."""
    try:
        with naming(path):
            yield
    except OSError as error:
        raise RefusedError(507, "DiskTakesNoWrites", f"{error.filename}: {error.strerror}") from None


async def _sent(spool: IO[bytes]) -> AsyncIterator[bytes]:
    with spool:
        spool.seek(0)
        while chunk := spool.read(_CHUNK):
            yield chunk


async def _received(request: Request, spool: IO[bytes]) -> None:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LARGEST:
            raise RefusedError(413, "TooLarge", f"a backup may have {LARGEST} octets")
        spool.write(chunk)
    spool.seek(0)


def _json(value: Any, status: int = 200, background: BackgroundTask | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, media_type=_JSON, background=background)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return _json({"error": error.error, "message": error.message}, error.status)


async def _request_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRefusedError)
    return _json({"error": error.code, "message": error.message}, _STATUSES.get(error.code, 400))


async def _declared(_: Request, error: Exception) -> Response:
    return _json({"error": type(error).__name__, "message": str(error)}, 422)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail.replace(" ", ""), "message": error.detail}, error.status_code)
