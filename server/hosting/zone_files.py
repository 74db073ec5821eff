"""Zone files to zones: small ones are read here, large ones mapped from their images, which a program makes."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Collection
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import structlog
import trio

from keys.blocking_calls import RunBlocking
from server.child_programs import command, environment
from server.hosting.compile_zone import CompileOutcome, CompileProgress, Made, Order, Refused, Report, Unwritten
from server.hosting.zone_image_files import Images
from server.settings.configuration import ZoneConfig
from zones import names
from zones.masterfile.load import LimitError, ReadingLimits, ZoneFileError, ZoneWarning, load_zone
from zones.masterfile.warnings import first
from zones.storage.mapped_nodes import image_digest
from zones.storage.zone_image import Image, ImageError
from zones.zone import Zone

LARGE = 4 << 20
"""Octets of a zone file, with what it includes, from which on it is mapped.

That is 100,000 records, which are read in less than a second.
"""
_INCLUDES, _GENERATED, _UNPLAIN, _GLUE = 1000, 10_000, 512 << 10, 64 << 20
"""What else is read here in about a second: included files, records of $GENERATE, octets of lines that aren't plain,
octets of glue, which each delegation has for itself. A file that has more is mapped.
"""
_COMPILED_AT_ONCE = 2
"""Programs: each may need gigabytes, and one that is slow is to leave room for another one."""
_TELL_EVERY = 2.0  # seconds
_READ_WITHIN, _FOUND_WITHIN, _NEWS_WITHIN = 60.0, 600.0, 300.0
"""Seconds for a small file to be read, for the image of a large one to be found and compared with it, and between two
reports of the program that makes one. What takes longer hangs.
"""
_ENDS_WITHIN = 2.0
"""Seconds in which a program that was killed is waited for: one that waits for a disk can't even be killed."""
_KILLED = (
    "the program that compiles it was killed, probably for lack of memory: it needs about a gigabyte for "
    "a million records; provide more memory, then reload"
)
T = TypeVar("T")
_log = structlog.get_logger("signwright.zones")


class LoadedZone(NamedTuple):
    """A zone that was read."""

    zone: Zone
    fingerprint: bytes
    """Tells whether it is another one than before."""
    warnings: tuple[str, ...] = ()
    """Warnings about it (`zones.masterfile.warnings.first`); of an image that was found, only of left-out records."""


class ZoneFiles:
    """Reads zone files."""

    def __init__(self, images: Images | None, run_blocking: RunBlocking, large: int = LARGE) -> None:
        """Without `images`, all are read here; else those of `large` octets or more are mapped.

        Where `run_blocking` abandons what it runs, a file that hangs is refused after a while, and then each other one
        of its folder, until the thread that hangs comes back: there is never more than one for each folder.
        """
        self._images = images
        self._run_blocking = run_blocking
        self._large = large
        self._hanging: set[Path] = set()
        self._known_large: set[Path] = set()
        """Files that were mapped when they were loaded last: reading them here again would be for nothing."""
        self._turns = trio.CapacityLimiter(_COMPILED_AT_ONCE)

    async def load(self, config: ZoneConfig) -> LoadedZone:
        """The zone of a file. Raises `ZoneFileError`."""
        file = config.file
        assert file is not None
        images = self._images
        if images is None:
            return await self._within(_READ_WITHIN, file, lambda: _read(config, config.files.reading))
        if file not in self._known_large:
            # Of thousands of small ones, a thread for each costs as much as reading it.
            small = await self._within(_READ_WITHIN, file, lambda: self._small(config))
            if small is not None:
                return small
        self._known_large.discard(file)
        image, warnings = await self._image(config, file, images)
        if image is not None:
            self._known_large.add(file)
            zone = await self._run_blocking(lambda: _ready(image.zone, config))
            return LoadedZone(zone, sha256(_manner(config) + image.content).digest(), warnings)
        return await self._within(_FOUND_WITHIN, file, lambda: _read(config, config.files.reading))

    async def _within(self, seconds: float, file: Path, function: Callable[[], T]) -> T:
        """What `function` finds in `file`. Raises `ZoneFileError` where that takes longer than so many seconds."""
        folder, came_back = file.parent, False
        if folder in self._hanging:
            raise ZoneFileError(str(file), 0, "cannot be read: another file in its folder hangs; check the disk")

        def watched() -> T:
            nonlocal came_back
            try:
                return function()
            finally:
                came_back = True
                self._hanging.discard(folder)

        try:
            with trio.fail_after(seconds):
                return await self._run_blocking(watched)
        except trio.TooSlowError:
            self._hanging.add(folder)
            if came_back:
                self._hanging.discard(folder)
            reason = f"cannot be read: no data for {seconds:.0f} s; check the disk, then reload"
            raise ZoneFileError(str(file), 0, reason) from None

    async def forget(self, kept: Collection[Zone]) -> None:
        """Remove the images of zones that are not among these. All others must be out of use, in every process."""
        images = self._images
        if images is not None:
            digests = {digest for zone in kept if (digest := image_digest(zone)) is not None}
            try:
                await self._run_blocking(lambda: images.keep_only(digests))
            except OSError as error:  # they only take room
                _log.warning("cannot remove images of former zones", reason=str(error))

    def _small(self, config: ZoneConfig) -> LoadedZone | None:
        """The zone of a file that is read within a second or so; None for any other. Raises `ZoneFileError`."""
        file, reading = config.file, config.files.reading
        assert file is not None
        try:
            if file.stat().st_size >= self._large:
                return None
        except (OSError, ValueError):
            pass  # as reading it will tell
        here = msgspec.structs.replace(
            reading,
            octets=min(reading.octets, self._large),
            includes=min(reading.includes, _INCLUDES),
            generated=min(reading.generated, _GENERATED),
            unplain=_UNPLAIN,
        )
        try:
            return _read(config, here, _GLUE)
        except LimitError:
            return None  # the program that compiles it has the limits of the configuration

    async def _image(self, config: ZoneConfig, file: Path, images: Images) -> tuple[Image | None, tuple[str, ...]]:
        """An image of the file as it is now, or None if it cannot be made; and its warnings.

        An image that was found has only those of left-out records.
        """
        origin = names.from_text(config.origin)

        def unused(path: Path, error: ImageError) -> None:
            _log.warning("image not used", zone=config.origin, file=str(path), reason=str(error))

        try:
            find = partial(
                images.find,
                origin,
                file,
                signed=config.signed,
                denial=config.denial,
                unused=unused,
                largest=config.files.reading.octets,
            )
            found = await self._within(_FOUND_WITHIN, file, find)
            if found is not None:
                return found, found.left_out
            made = await self._made(config, file, images)
            return await self._run_blocking(lambda: images.open(origin, bytes.fromhex(made.digest))), made.warnings
        except (OSError, ImageError, UnicodeEncodeError) as error:  # the last for a path that is not UTF-8
            _log.warning("zone not mapped", zone=config.origin, reason=str(error))
            return None, ()

    async def _made(self, config: ZoneConfig, file: Path, images: Images) -> Made:
        """An image that was made. Raises `ZoneFileError`, and `ImageError` where it can't be made.

        What is killed has most likely run out of memory. The zone is refused then: a server that read it here would be
        the next.
        """
        _log.info("compiling zone", zone=config.origin, file=str(file))
        order = Order(
            str(file),
            config.origin,
            config.signed,
            config.denial.value,
            str(images.folder),
            config.files.reading,
            config.files.memory,
        )
        async with self._turns:
            outcome = await _ordered_within(config.files.time, order, _Teller(config.origin).tell)
        match outcome:
            case Made() as made:
                return made
            case Refused(where, line, reason):
                raise ZoneFileError(where, line, reason)
            case Unwritten(reason):
                raise ImageError(reason)
            case status if status == -signal.SIGKILL:
                raise ZoneFileError(str(file), 0, _KILLED)
            case status if status < 0:
                raise ZoneFileError(str(file), 0, f"the program that compiles it was killed by signal {-status}")
            case status:
                raise ImageError(f"the program that compiles it failed (status {status})")


class _Teller:
    """Logs how far it is, now and then."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._next = trio.current_time() + _TELL_EVERY

    def tell(self, progress: CompileProgress) -> None:
        if trio.current_time() >= self._next:
            self._next = trio.current_time() + _TELL_EVERY
            _log.info(f"compiling zone: {progress.step} {progress.done:.0%}", zone=self._zone)


async def _ordered_within(
    seconds: float, order: Order, tell: Callable[[CompileProgress], None]
) -> CompileOutcome | int:
    """As `_ordered`. Raises `ZoneFileError` where it takes longer than so many seconds."""
    try:
        with trio.fail_after(seconds):
            return await _ordered(order, tell)
    except trio.TooSlowError:
        reason = f"compiling it takes longer than {seconds:.0f} s; raise zone_files.time"
        raise ZoneFileError(order.file, 0, reason) from None


async def _ordered(order: Order, tell: Callable[[CompileProgress], None]) -> CompileOutcome | int:
    """Have a program of its own do it; where it dies, its status. It ends with this task."""
    process = await trio.lowlevel.open_process(
        command("server.hosting.compile_zone"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with process.stdin:
                await process.stdin.send_all(msgspec.json.encode(order))
        except trio.BrokenResourceError:
            return await process.wait()
        rest = b""
        while received := await _news(process.stdout, order):
            *lines, rest = (rest + received).split(b"\n")
            for line in lines:
                report: Report = msgspec.json.decode(line, type=Report)
                if not isinstance(report, CompileProgress):
                    return report
                tell(report)
        return await process.wait()
    finally:
        process.kill()
        with trio.move_on_after(_ENDS_WITHIN, shield=True):
            await process.wait()
        with trio.CancelScope(shield=True):
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    await pipe.aclose()


async def _news(stdout: trio.abc.ReceiveStream, order: Order) -> bytes:
    """What the program reports next. Raises `ZoneFileError` where nothing comes for long."""
    try:
        with trio.fail_after(_NEWS_WITHIN):
            return bytes(await stdout.receive_some())
    except trio.TooSlowError:
        reason = f"the program that compiles it has made no progress for {_NEWS_WITHIN:.0f} s; check the disk"
        raise ZoneFileError(order.file, 0, reason) from None


def _read(config: ZoneConfig, limits: ReadingLimits, most_glue: int | None = None) -> LoadedZone:
    """The zone of a file. Raises `ZoneFileError`, as `LimitError` beyond the limits or for more octets of glue."""
    assert config.file is not None
    warnings: list[ZoneWarning] = []
    zone = load_zone(
        config.file,
        config.origin,
        signed=config.signed,
        denial=config.denial,
        warned=warnings.extend,
        lenient=True,
        limits=limits,
    )
    digest, glue = sha256(_manner(config)), 0
    for owner in sorted(zone.nodes):
        node = zone.nodes[owner]
        for rrtype, rrset in sorted(node.rrsets.items()):
            digest.update(owner + rrtype.to_bytes(2) + b"".join(sorted(rrset.records)))
        for target, rrset in node.glue + node.sibling_glue:
            octets = b"".join(rrset.records)
            digest.update(target + octets)
            glue += len(octets)
        if most_glue is not None and glue > most_glue:
            raise LimitError(str(config.file), 0, f"more than {most_glue} octets of glue")
    return LoadedZone(_ready(zone, config), digest.digest(), first(warnings))


def _manner(config: ZoneConfig) -> bytes:
    """How a zone is answered: two zones of the same data and another manner differ."""
    of_floods = f" {config.flood_denial}" if config.flood_denial is not None else ""
    return f"{config.signed} {config.denial}{of_floods}".encode()


def _ready(zone: Zone, config: ZoneConfig) -> Zone:
    """The zone with the chain that a flood would want: made where it is read, and not while others wait for answers."""
    return zone.answered_as(
        signed=zone.signed, denial=zone.denial.mode, flood_denial=config.flood_denial
    ).with_chain_ready()
