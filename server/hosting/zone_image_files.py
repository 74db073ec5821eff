"""The images of large zones (`zones.storage.zone_image`) as files in one folder of the state directory.

They are a cache: what is missing or damaged is made again from the zone file. A name says of which zone it is and what
is in it, so a file never changes, and it is complete before it has its name. A process that has one open keeps it, even
when it is gone from the folder.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Collection, Iterable
from hashlib import file_digest
from pathlib import Path
from tempfile import NamedTemporaryFile

from keys.custody.disk_errors import naming
from server.hosting.mapped_file import MappedFile
from zones import names
from zones.denial import DenialMode
from zones.masterfile.regular_files import open_regular
from zones.storage.zone_image import Image, ImageError, SourceFile, digest_of, read_image

_SUFFIX = ".image"
_PARTIAL = ".partial"
_LONGEST_STEM = 100
_LARGEST_SOURCE = 1 << 40  # octets
_DIGEST_SHOWN = 32  # hexadecimal digits
_CHANGING = threading.Lock()
"""Held while this process writes or removes images, so that none is written twice, or removed half written."""


class Images:
    """The images in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, origin: bytes, pieces: Iterable[bytes | memoryview]) -> bytes:
        """Keep an image of the zone `origin`; its digest. Raises `OSError`. Who opens it sees whether it is whole."""
        digest = b""
        with naming(self.folder), NamedTemporaryFile(dir=self.folder, suffix=_PARTIAL, delete=False) as file:
            partial = Path(file.name)
            try:
                for piece in pieces:
                    digest = digest or digest_of(piece)
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
                partial.rename(self._path(origin, digest))
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        return digest

    def provide(self, origin: bytes, digest: bytes, octets: memoryview) -> bool:
        """Keep an image that is mapped as `octets`, if it is in the folder no more, or not whole; whether that was so.

        Raises `OSError`.
        """
        with _CHANGING:
            try:
                if self._path(origin, digest).stat().st_size == len(octets):
                    return False
            except FileNotFoundError:
                pass
            self.write(origin, [octets])
            return True

    def open(self, origin: bytes, digest: bytes) -> Image:
        """The image of a zone with that digest. Raises `ImageError`."""
        image = _open(self._path(origin, digest))
        if image.digest != digest:
            raise ImageError("its content does not match its name")
        return image

    def find(
        self,
        origin: bytes,
        file: Path,
        *,
        signed: bool,
        denial: DenialMode,
        unused: Callable[[Path, ImageError], object],
        largest: int = _LARGEST_SOURCE,
    ) -> Image | None:
        """An image of the zone, made in this way from a file that has not changed since, nor any that it includes.

        A file of more than `largest` octets counts as changed, as it would take long to look at.
        `unused` is called for one that can't be used. It is left to `keep_only`: another process may need it.
        """
        for path in sorted(self.folder.glob(f"{_stem(origin)}-*{_SUFFIX}")):
            try:
                image = _open(path)
            except ImageError as error:
                unused(path, error)
                continue
            zone = image.zone
            is_alike = (zone.origin, zone.signed, zone.denial.mode) == (origin, signed, denial)
            if (
                is_alike
                and image.sources[0].path == str(file)
                and all(_is_unchanged(source, largest) for source in image.sources)
            ):
                return image
        return None

    def keep_only(self, digests: Collection[bytes]) -> None:
        """Remove all other images, and what was left by those who were interrupted."""
        kept = {digest.hex()[:_DIGEST_SHOWN] for digest in digests}
        with _CHANGING:
            for path in self.folder.iterdir():
                if path.suffix == _PARTIAL or (path.suffix == _SUFFIX and path.stem[-_DIGEST_SHOWN:] not in kept):
                    path.unlink(missing_ok=True)

    def _path(self, origin: bytes, digest: bytes) -> Path:
        return self.folder / image_file(origin, digest)


def image_file(origin: bytes, digest: bytes) -> str:
    """The name of the file that has the image of the zone `origin` with that digest."""
    return f"{_stem(origin)}-{digest.hex()[:_DIGEST_SHOWN]}{_SUFFIX}"


def _stem(origin: bytes) -> str:
    """The zone's name as far as a file can have it. Two zones may share one: an image knows its own."""
    return re.sub(r"[^a-z0-9.-]", "_", names.to_text(origin).rstrip("."))[:_LONGEST_STEM]


def _open(path: Path) -> Image:
    try:
        with path.open("rb") as file:
            mapped = MappedFile(file)
    except (OSError, ValueError) as error:  # ValueError: it is empty
        raise ImageError(f"cannot map it: {error}") from None
    image = read_image(mapped.octets)
    # Its checksum is read, and all of it is in memory now. What nobody asks for need not count as ours.
    mapped.is_not_needed_now()
    return image


def _is_unchanged(source: SourceFile, largest: int) -> bool:
    try:
        with open_regular(source.path) as file:
            return os.fstat(file.fileno()).st_size <= largest and file_digest(file, "sha256").digest() == source.digest
    except OSError:
        return False
