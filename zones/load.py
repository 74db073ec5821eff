"""From a master file (RFC 1035 §5) to a compiled zone; every error names the file, the line and the reason.

dnspython reads the master file: directives, escapes, every rdata type and unknown ones (RFC 3597).
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.tokenizer
import dns.zonefile

from zones import names
from zones.build import build_zone
from zones.validate import Entry, ZoneFileError, validated_rrsets
from zones.zone import Denial, Zone

_INCLUDE_DEPTH = 8

__all__ = ["ZoneFileError", "load_zone", "parse_zone"]


def load_zone(path: Path, origin: str, *, signed: bool = True, denial: Denial = Denial.COMPACT) -> Zone:
    """Read the zone `origin` from the master file at `path`. Raises `ZoneFileError`."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            return _compile(file, origin, str(path), path.parent, signed=signed, denial=denial)
    except OSError as error:
        raise ZoneFileError(str(path), 0, f"cannot be read: {error.strerror}") from None


def parse_zone(
    text: str, origin: str, *, file: str = "<text>", signed: bool = True, denial: Denial = Denial.COMPACT
) -> Zone:
    """Read the zone `origin` from the text of a master file; `file` is what errors call it. Raises `ZoneFileError`."""
    return _compile(io.StringIO(text), origin, file, None, signed=signed, denial=denial)


def _compile(source: IO[str], origin: str, file: str, folder: Path | None, *, signed: bool, denial: Denial) -> Zone:
    try:
        apex = dns.name.from_text(origin)
    except dns.exception.DNSException as error:
        raise ZoneFileError(file, 0, f"{origin!r} is no domain name: {error}") from None
    entries = _Reader(source, apex, file, folder).entries()
    wire_origin = names.from_dnspython(apex)
    return build_zone(
        wire_origin, validated_rrsets(entries, wire_origin, file, signed=signed), signed=signed, denial=denial
    )


class _Tokenizer(dns.tokenizer.Tokenizer):
    """Takes the file that $INCLUDE names as relative to the folder of the zone file, not of the process."""

    def __init__(self, source: IO[str], file: str, folder: Path | None) -> None:
        super().__init__(source, file)
        self._folder = folder
        self._after_include = False
        self.directive_line = 0

    def get(self, want_leading: bool = False, want_comment: bool = False) -> dns.tokenizer.Token:
        token = super().get(want_leading, want_comment)
        if self._after_include and self._folder is not None:
            token.value = str(self._folder / token.value)
        # Only where a line may begin does the reader want comments, and only there is a word a directive.
        is_directive = want_comment and token.is_identifier() and token.value.startswith("$")
        self._after_include = is_directive and token.value.upper() == "$INCLUDE"
        if is_directive:
            self.directive_line = self.where()[1]
        return token


class _Collector:
    """Stands where dnspython's reader expects a transaction, and keeps each record with its line."""

    def __init__(self, origin: dns.name.Name) -> None:
        self.manager = self
        self.origin = origin
        self.place = ("", 0)
        self.entries: list[Entry] = []

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        return self.origin, False, self.origin

    def check_put_rdataset(self, check: Any) -> None:
        """Checks of whole RRsets are made by `zones.validate`, which knows every line."""

    def _set_origin(self, origin: dns.name.Name) -> None:
        """$ORIGIN: the reader itself keeps track."""

    def add_unicode(self, version: str) -> None:
        """$UNICODE: the tokenizer itself keeps track."""

    def add(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        wire, canonical = rdata.to_wire(), rdata.to_digestable()
        assert wire is not None  # only with a file to write to is there none
        assert canonical is not None
        self.entries.append(Entry(names.from_dnspython(name), ttl, int(rdata.rdtype), wire, canonical, *self.place))


class _Reader(dns.zonefile.Reader):
    """dnspython's reader, which also remembers on which line each record began."""

    _tokenizer: _Tokenizer

    def __init__(self, source: IO[str], origin: dns.name.Name, file: str, folder: Path | None) -> None:
        self._collector = _Collector(origin)
        self._folder = folder
        super().__init__(
            _Tokenizer(source, file, folder),
            dns.rdataclass.IN,
            self._collector,  # type: ignore[arg-type]
            allow_include=folder is not None,
        )
        # The reader passes over names outside its zone without a word; we want to see and refuse them.
        self.zone_origin = dns.name.root

    @property
    def tok(self) -> dns.tokenizer.Tokenizer:
        """Reads the file that is open now."""
        return self._tokenizer

    @tok.setter
    def tok(self, tokenizer: dns.tokenizer.Tokenizer) -> None:
        # The reader makes a plain one for each file that it includes.
        if not isinstance(tokenizer, _Tokenizer):
            if len(self.saved_state) > _INCLUDE_DEPTH:
                raise ZoneFileError(*self._directive(), f"$INCLUDE within $INCLUDE, more than {_INCLUDE_DEPTH} deep")
            tokenizer = _Tokenizer(tokenizer.file, tokenizer.filename, self._folder)
        self._tokenizer = tokenizer

    def entries(self) -> list[Entry]:
        self._collector.place = self.tok.where()
        try:
            self.read()
        except ZoneFileError:
            raise
        except OSError as error:
            raise ZoneFileError(*self._directive(), f"cannot include {error.filename}: {error.strerror}") from None
        except (dns.exception.DNSException, ValueError) as error:
            file, line = self.tok.where()
            reason = str(error).removeprefix(f"{file}:{line}: ") or type(error).__name__
            # Errors of records are caught in _rr_line: what comes here is a directive's.
            raise ZoneFileError(*self._directive(), reason) from None
        finally:
            for included in (self.current_file, *(state[3] for state in self.saved_state)):
                if included is not None:
                    included.close()
        return self._collector.entries

    def _directive(self) -> tuple[str, int]:
        """The file and line of the directive that was read last, or where the reader is."""
        file, line = self.tok.where()
        return file, self._tokenizer.directive_line or line

    def _generate_line(self) -> None:
        self._collector.place = self._directive()
        super()._generate_line()  # type: ignore[no-untyped-call]

    def _rr_line(self) -> None:
        self._collector.place = file, line = self.tok.where()
        try:
            super()._rr_line()
        except (dns.exception.DNSException, ValueError) as error:
            # A record that ends at its line's end leaves the tokenizer on the next line: name the one it began on.
            raise ZoneFileError(file, line, str(error) or type(error).__name__) from None
