"""The records of a master file (RFC 1035 §5), each with its file and line, and what is wrong with those that are none.

dnspython reads it: directives, escapes, every rdata type and unknown ones (RFC 3597). Where a line begins that
`zones.masterfile.simple_lines` can read, it reads from there on, as far as it is certain of each line; the next one is
dnspython's again, as if it had read all others too. So whatever is wrong, dnspython finds it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from io import BufferedReader
from os import devnull, fsdecode, fstat
from pathlib import Path
from typing import Any, Protocol

import dns.exception
import dns.grange
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer
import dns.zonefile
from dns.rdtypes.ANY.LOC import LOC

from zones import names
from zones.dnspython_errors import interruption
from zones.masterfile.formerly_valid import NoLongerValidError
from zones.masterfile.loc_rdata import LocationError, exact_octets
from zones.masterfile.obsolete_types import OLD_TYPES, in_lower_case
from zones.masterfile.octets_as_text import in_ascii, in_octets, with_octets
from zones.masterfile.rdata_beyond_dnspython import READ_BEYOND
from zones.masterfile.rdata_fields import FaultError, short
from zones.masterfile.rdata_rules import broken_rule
from zones.masterfile.reading_limits import (
    DEFAULT_LIMITS,
    LONGEST_NAME,
    LONGEST_RECORD,
    LONGEST_TEMPLATE,
    LONGEST_WORD,
    Consumption,
    LimitError,
    ReadingLimits,
)
from zones.masterfile.record_faults import fault_of, rdata_words, record_beyond
from zones.masterfile.record_recovery import end_of_record, lost_by
from zones.masterfile.regular_files import open_below, real_path
from zones.masterfile.simple_lines import Record, State, read_plain
from zones.masterfile.zone_rules import LenientGathering, ZoneFileError

_UNKNOWN_NAME = dns.name.from_wire(LenientGathering.UNKNOWN, 0)[0]
_UNKNOWN_TTL = LenientGathering.UNKNOWN_TTL
_NEWLINE = b"\n"[0]
_ASCII = [chr(octet) for octet in range(0x80)]
_GROWS = 0x100000  # octets that a file may have more than when it was opened
_GENERATED_A_STEP = 4096  # records between two reports of progress
_FIRST_BLOCK, _LARGEST_BLOCK = 2048, 0x10000  # octets that are read at once, where plain lines begin and further on

Progress = Callable[[int, int], None]
"""Told now and then how many octets have been read, of how many; included files count once they are met."""


class Recovery(Protocol):
    """Takes what is wrong with a record, after which reading goes on behind it."""

    def wants(self, file: str, line: int) -> bool:
        """Whether the reason of an error on this line matters, or only that there is one."""

    def take(self, error: ZoneFileError) -> None:
        """Take an error."""

    def lose(self, owner: bytes | None, word: str) -> None:
        """What stands at `owner` is not known as a whole, or of any name where that is None.

        `word` is the type or directive that could not be read, upper case, empty where that is not known either.
        """


class Taker(Protocol):
    """Takes the records as they are read."""

    def add(self, records: Sequence[Record]) -> None:
        """Take the next ones. Raises `ZoneFileError` for the first that is refused."""

    def take_outdated(self, record: Record, reason: str) -> None:
        """Take a record that is no longer valid, for the `reason` given. Raises `ZoneFileError` if it is refused."""


def with_newlines(source: bytes) -> bytes:
    """The lines' ends as they are in text files of Unix."""
    return source.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in source else source


class Reading:
    """What is the same for a zone file and all that it includes."""

    def __init__(
        self,
        file: str,
        folder: Path | None,
        progress: Progress | None = None,
        read: Callable[[str, bytes], None] | None = None,
        *,
        plain: bool,
        limits: ReadingLimits = DEFAULT_LIMITS,
    ) -> None:
        """`read` is called with the path and the octets of each file."""
        self.file = file
        self.folder = folder
        self.folders = [] if folder is None else [real_path(folder), *map(real_path, limits.folders)]
        """What is below these may be included: real paths."""
        self.plain = plain
        self.taken = Consumption(limits)
        self.refusal: ZoneFileError | None = None
        """What was raised while dnspython was reading, which makes an error of its own of it."""
        self._read_file = read
        self._progress = progress
        self._read = self._total = self._told = 0

    def take(self, file: BufferedReader, path: str, place: tuple[str, int]) -> bytes:
        """The octets of a file that was opened. `place` is where it is named. Raises `LimitError` and `OSError`."""
        size = fstat(file.fileno()).st_size
        self.taken.take_file(place, size)
        octets = file.read(size + _GROWS)
        self.taken.take_file(place, len(octets) - size)
        if len(octets) == size + _GROWS:
            raise OSError(0, "it grows while it is read", path)
        if self._read_file is not None:
            self._read_file(path, octets)
        return octets

    def begin(self, octets: int) -> None:
        """A file of so many octets is to be read."""
        self._total += octets

    def advance(self, octets: int, unplain: int, file: str) -> None:
        """So many more of them were read, of which so many by dnspython. Raises `LimitError`."""
        self.taken.take_unplain(file, unplain)
        self._read += octets
        if self._read >= self._told + _LARGEST_BLOCK or self._read == self._total:
            self.tell()

    def tell(self) -> None:
        """Tell that reading goes on."""
        self._told = self._read
        if self._progress is not None and self._total:
            self._progress(self._read, self._total)

    def refuse(self, file: str, line: int, reason: str) -> ZoneFileError:
        """What is to be raised while dnspython is reading."""
        self.refusal = ZoneFileError(file, line, reason)
        return self.refusal


class _Source:
    """A file's octets as ASCII text, read by the character or by the block of lines."""

    def __init__(self, octets: bytes, file: str, reading: Reading) -> None:
        octets = in_ascii(octets)
        self._octets = octets
        self._file = file
        self._reading = reading
        self._position = self._told = self._skipped = 0
        reading.begin(len(octets))

    def read(self, _: int) -> str:
        """The next character; none at the end."""
        start = self._position
        if start >= len(self._octets):
            return ""
        self._position = start + 1
        return _ASCII[self._octets[start]]

    @property
    def size(self) -> int:
        """How many octets there are."""
        return len(self._octets)

    @property
    def position(self) -> int:
        """How many octets have been read."""
        return self._position

    def text_from(self, start: int) -> str:
        """The text from a position on, as far as a record may reach."""
        return self._octets[start : start + LONGEST_RECORD].decode("ascii")

    def text_since(self, start: int) -> str:
        """The text from a position on that has been read."""
        return self._octets[start : self._position].decode("ascii")

    def lines(self, size: int) -> list[bytes]:
        """The next lines, without their ends, about so many octets of them; none where no line begins or ends."""
        self.tell()
        start = self._position
        if start and self._octets[start - 1] != _NEWLINE:
            return []
        end = self._octets.rfind(b"\n", start, start + size)
        if end < 0:
            end = self._octets.find(b"\n", start)
        return self._octets[start:end].split(b"\n") if end >= 0 else []

    def octets_from(self, start: int, most: int) -> bytes:
        """So many of the octets from a position on."""
        return self._octets[start : start + most]

    def end_of_record(self, start: int) -> tuple[int, int]:
        """Where the record at a position ends, which is wrong, and how many octets were looked at in vain for that."""
        return end_of_record(self._octets, start)

    def go_to(self, position: int) -> None:
        """Read on from here."""
        self.tell()
        self._reading.advance(position - self._position, 0, self._file)
        self._position = self._told = position

    def skip(self, lines: Sequence[bytes]) -> None:
        """Go on after these, which are the next."""
        octets = sum(map(len, lines)) + len(lines)
        self._position += octets
        self._skipped += octets

    def tell(self) -> None:
        """Tell how far it was read."""
        octets = self._position - self._told
        self._reading.advance(octets, octets - self._skipped, self._file)
        self._told, self._skipped = self._position, 0


class _Tokenizer(dns.tokenizer.Tokenizer):
    """Tells where a line begins, has included files opened elsewhere, and bounds what takes the square of its length.

    dnspython computes TTLs digit by digit: 32,000 digits take 34 times as long as 4,000.
    """

    def __init__(
        self,
        source: _Source,
        file: str,
        reading: Reading,
        begin_line: Callable[[], None],
        include: Callable[[str], str],
    ) -> None:
        """`include` takes the word behind $INCLUDE, and gives the path that dnspython is to open in its place."""
        super().__init__(source, file)
        self.source = source
        self.began = 1
        """The line on which the record or directive begins that is being read."""
        self.began_at = 0
        """Its position in the source."""
        self._reading = reading
        self._begin_line = begin_line
        self._include = include
        self._in_directive = self._after_include = False

    def get(self, want_leading: bool = False, want_comment: bool = False) -> dns.tokenizer.Token:
        # Only where a line may begin does the reader want comments, and only there is a word a directive.
        if want_comment and self.ungotten_char is None and self.ungotten_token is None:
            self._begin_line()
            self.began, self.began_at = self.line_number, self.source.position
        token = super().get(want_leading, want_comment)
        if token.is_comment() or token.is_eol_or_eof():
            self._in_directive = self._after_include = False
            return token
        if self.source.position - self.began_at > LONGEST_RECORD:
            raise self.refuse(f"a record of more than {LONGEST_RECORD} octets of text")
        if self._in_directive:
            self.check_length(token, LONGEST_TEMPLATE, "a word of a directive")
        if self._after_include:
            token.value = self._include(fsdecode(in_octets(token.value)))
        if want_comment:
            self._in_directive = token.is_identifier() and token.value.startswith("$")
        self._after_include = want_comment and token.is_identifier() and token.value.upper() == "$INCLUDE"
        return with_octets(token)

    def check_length(self, token: dns.tokenizer.Token, most: int, what: str) -> None:
        """Raises `ZoneFileError` for a word of more than `most` characters."""
        if len(token.value) > most:
            found = f'"{short(token.value)}" of {len(token.value)}'
            raise self.refuse(f"expected {what} of at most {most} characters, found {found}")

    def refuse(self, reason: str) -> ZoneFileError:
        """What is to be raised of the record or directive that is being read."""
        return self._reading.refuse(self.filename, self.began, reason)

    def as_name(
        self,
        token: dns.tokenizer.Token,
        origin: dns.name.Name | None = None,
        relativize: bool = False,
        relativize_to: dns.name.Name | None = None,
    ) -> dns.name.Name:
        self.check_length(token, LONGEST_NAME, "a domain name")
        return super().as_name(token, origin, relativize, relativize_to)

    def get_ttl(self) -> int:
        token = self.get()
        self.check_length(token, LONGEST_WORD, "a time")
        self.unget(token)
        return super().get_ttl()


class _Collector:
    """Stands where dnspython's reader expects a transaction, and passes each record on with its line."""

    def __init__(
        self, origin: dns.name.Name, taker: Taker, words: Callable[[], list[str]], tell: Callable[[], None]
    ) -> None:
        """`words` gives those of the rdata of the record that was read last; `tell` is called while many are made."""
        self._words = words
        self._tell = tell
        self.manager = self
        self.origin = origin
        self.place = ("", 0)
        self.made = 0
        """How many records came from the line of $GENERATE that is read."""
        self._taker = taker

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        return self.origin, False, self.origin

    def check_put_rdataset(self, check: Any) -> None:
        """Checks of whole RRsets are made by `zones.masterfile.zone_rules`, which knows their lines."""

    def _set_origin(self, origin: dns.name.Name) -> None:
        """$ORIGIN: the reader itself keeps track."""

    def add_unicode(self, version: str) -> None:
        """$UNICODE: the tokenizer itself keeps track."""

    def add(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        owner, rrtype = names.from_dnspython(name), int(rdata.rdtype)
        wire = canonical = b""
        try:
            if isinstance(rdata, LOC):
                wire = canonical = self._location(rdata)
            else:
                given, canonical = rdata.to_wire(), rdata.to_digestable()
                assert given is not None  # only with a file to write to is there none
                wire = given
            if rrtype in OLD_TYPES:
                wire = canonical = in_lower_case(rrtype, wire)
        except NoLongerValidError as error:
            refusal: str | None = str(error)
        else:
            refusal = broken_rule(rrtype, wire)
        if refusal is not None:
            self._taker.take_outdated((owner, ttl, rrtype, wire, wire, *self.place), refusal)
        else:
            self._taker.add([(owner, ttl, rrtype, wire, canonical, *self.place)])
        self.made += 1
        if self.made % _GENERATED_A_STEP == 0:
            self._tell()

    def _location(self, rdata: LOC) -> bytes:
        """The rdata of a LOC record, from its text, since dnspython's metres are not exact.

        Raises `NoLongerValidError` for text that dnspython takes and RFC 1876 does not, and what `to_wire` raises for
        a location that does not fit: no version served it. $GENERATE makes no LOC, as its rdata is a single word.
        """
        words = self._words()
        if words[0] == "\\#":
            return rdata.to_digestable()
        try:
            return exact_octets(rdata, words)
        except LocationError as error:
            reason = str(error)
        rdata.to_wire()
        raise NoLongerValidError(reason)


class Reader(dns.zonefile.Reader):
    """dnspython's reader, which leaves plain lines out, and remembers on which line each record began."""

    _tokenizer: _Tokenizer

    def __init__(
        self,
        source: bytes,
        origin: dns.name.Name,
        reading: Reading,
        taker: Taker,
        recovery: Recovery | None = None,
    ) -> None:
        """With a `recovery`, an error does not end the reading, except one that exceeds a limit."""
        self._recovery = recovery
        self._in_vain = 0
        """Octets that were looked at once more after an error."""
        self._reading = reading
        self._taker = taker
        self._collector = _Collector(origin, taker, self._rdata_words, reading.tell)
        self._included: tuple[str, bytes] | None = None
        """The file that is to be read next, and its octets."""
        self._state = State(names.spelled(origin))
        self._known_octets = self._state.origin, self._state.owner
        self._known_origin = self._known_owner = origin
        super().__init__(
            self._tokenizer_of(source, reading.file),
            dns.rdataclass.IN,
            self._collector,  # type: ignore[arg-type]
            allow_include=reading.folder is not None,
        )
        # The reader passes over names outside its zone without a word; we want to see and refuse them.
        self.zone_origin = dns.name.root

    def _tokenizer_of(self, octets: bytes, file: str) -> _Tokenizer:
        source = _Source(octets, file, self._reading)
        return _Tokenizer(source, file, self._reading, self._read_plain_lines, self._include)

    @property
    def tok(self) -> dns.tokenizer.Tokenizer:
        """Reads the file that is open now."""
        return self._tokenizer

    @tok.setter
    def tok(self, tokenizer: dns.tokenizer.Tokenizer) -> None:
        # The reader makes a plain one for each file that it includes.
        if not isinstance(tokenizer, _Tokenizer):
            assert self._included is not None
            (file, octets), self._included = self._included, None
            tokenizer = self._tokenizer_of(with_newlines(octets), file)
        self._tokenizer = tokenizer

    def _include(self, word: str) -> str:
        """Read the file that is to be included; the path of an empty one, which the reader is to open in its place.

        It could open another one than was looked at. Raises `ZoneFileError`, and `OSError` as `open_regular`.
        """
        reading, place = self._reading, self._began()
        if reading.folder is None:
            return word  # the reader allows no $INCLUDE
        reading.taken.take_include(place, len(self.saved_state) + 1)
        path = str(reading.folder / word)
        file = open_below(path, reading.folders)
        if file is None:
            raise ZoneFileError(
                *place,
                f"cannot include {short(word)}: it is not below {reading.folder}; put it there, "
                "or name its folder in zone_files.include_folders",
            )
        with file:
            self._included = path, reading.take(file, path, place)
        return devnull

    def read_all(self) -> None:
        """Read the file and all that it includes. Raises `ZoneFileError`.

        Whatever dnspython raises is the fault of the line that it reads, except a lack of memory and what interrupts.
        """
        outer = sys.exc_info()[1]
        is_read = False
        try:
            while not is_read:
                try:
                    is_read = self._read_on(outer)
                except ZoneFileError as error:
                    if self._recovery is None or isinstance(error, LimitError) or not self._recover(error):
                        raise
        finally:
            for included in (self.current_file, *(state[3] for state in self.saved_state)):
                if included is not None:
                    included.close()

    def _read_on(self, outer: BaseException | None) -> bool:
        """Whether all is read: else there is more behind a record that was read otherwise than by dnspython."""
        try:
            self.read()
        except ZoneFileError:
            raise
        except Exception as error:
            if (interrupted := interruption(error, outer)) is not None:
                raise interrupted from None
            if self._reading.refusal is not None:
                raise self._reading.refusal from None
            if self._read_beyond():
                return False
            if isinstance(error, OSError):
                raise ZoneFileError(*self._began(), f"cannot include {error.filename}: {error.strerror}") from None
            wanted = self._recovery is None or self._recovery.wants(*self._began())
            raise ZoneFileError(*self._began(), self._reason(error) if wanted else "", "syntax") from None
        return True

    def _read_beyond(self) -> bool:
        """Whether the record that dnspython has refused is right all the same; then it is taken, and is behind us."""
        tokenizer, source = self._tokenizer, self._tokenizer.source
        start = tokenizer.began_at
        head = source.octets_from(start, LONGEST_TEMPLATE).decode("ascii")
        if lost_by(head, self.current_origin, tokenizer.idna_codec).word not in READ_BEYOND:
            return False  # most errors end here, so that they cost no look for their record's end
        end, in_vain = source.end_of_record(start)
        if in_vain or end - start > LONGEST_RECORD:
            return False
        try:
            found = record_beyond(source.octets_from(start, end - start).decode("ascii"), self.current_origin)
        except (dns.exception.DNSException, FaultError, ValueError, IndexError):
            return False
        if found is None:
            return False
        ttl = found.ttl
        if ttl is None and (self.default_ttl_known or self.last_ttl_known):
            ttl = self.default_ttl if self.default_ttl_known else self.last_ttl
        if ttl is None:
            return False
        assert self.last_name is not None  # the record's own, which dnspython reads first
        owner = names.from_dnspython(self.last_name)
        self._taker.add([(owner, ttl, found.rrtype, found.given, found.canonical, *self._began())])
        self._go_on_at(end)
        return True

    def _recover(self, error: ZoneFileError) -> bool:
        """Go on behind the record that is wrong; False where its end can't be found within linear time."""
        assert self._recovery is not None
        self._reading.refusal = None
        tokenizer, source = self._tokenizer, self._tokenizer.source
        start = tokenizer.began_at
        if not self._lose(source.octets_from(start, LONGEST_TEMPLATE)):
            self._recovery.take(error)
        end, in_vain = source.end_of_record(start)
        self._in_vain += in_vain + max(0, source.position - end)
        if self._in_vain > max(_LARGEST_BLOCK, source.size):
            return False
        self._go_on_at(end)
        return True

    def _go_on_at(self, end: int) -> None:
        """Read on from a position, where the record ends that was begun."""
        tokenizer, source = self._tokenizer, self._tokenizer.source
        start = tokenizer.began_at
        again = _Tokenizer(source, tokenizer.filename, self._reading, self._read_plain_lines, self._include)
        again.idna_codec = tokenizer.idna_codec
        again.line_number = tokenizer.began + source.octets_from(start, end - start).count(b"\n")
        source.go_to(end)
        self._tokenizer = again

    def _lose(self, text: bytes) -> bool:
        """Note what is not known after a record or directive that is wrong; whether it depends on an earlier error."""
        assert self._recovery is not None
        assert self.last_name is not None
        lost = lost_by(text.decode(errors="ignore"), self.current_origin, self._tokenizer.idna_codec)
        if lost.word == "$TTL":
            self.default_ttl, self.default_ttl_known, self.default_ttl_from_soa = _UNKNOWN_TTL, True, False
        elif lost.word == "$ORIGIN":
            self.current_origin = _UNKNOWN_NAME
        if not lost.is_directive:
            # The TTL of the record may have been wrong, which those after it would have.
            self.last_ttl, self.last_ttl_known = _UNKNOWN_TTL, True
            if not lost.is_blank:
                self.last_name = lost.owner or _UNKNOWN_NAME
        is_known = not self.last_name.is_subdomain(_UNKNOWN_NAME)
        owner = names.from_dnspython(self.last_name) if is_known and not lost.is_directive else None
        self._recovery.lose(owner, lost.word)
        return lost.is_blank and not is_known

    def _reason(self, error: Exception) -> str:
        """What is wrong with the record or directive that is being read: where dnspython tells too little, more."""
        tokenizer, collector = self._tokenizer, self._collector
        made = collector.made if collector.place == self._began() else 0
        assert self.current_origin is not None  # the zone's to begin with
        text = tokenizer.source.text_from(tokenizer.began_at)
        file, line = tokenizer.where()
        told = str(error).removeprefix(f"{file}:{line}: ")
        return fault_of(text, self.current_origin, tokenizer.idna_codec, made, told)

    def _rdata_words(self) -> list[str]:
        """The words of the rdata of the record that was read last."""
        return rdata_words(self._tokenizer.source.text_since(self._tokenizer.began_at))

    def _began(self) -> tuple[str, int]:
        """The file and line on which began what is being read; its end may leave the tokenizer on the next line."""
        return self.tok.filename, self._tokenizer.began

    def _get_identifier(self) -> dns.tokenizer.Token:
        """The next word of a record before its rdata: TTL, class or type."""
        token = super()._get_identifier()  # type: ignore[no-untyped-call]
        assert isinstance(token, dns.tokenizer.Token)
        self._tokenizer.check_length(token, LONGEST_WORD, "a TTL, class or type")
        return token

    def _generate_line(self) -> None:
        tokenizer = self._tokenizer
        self._collector.place, self._collector.made = self._began(), 0
        token = tokenizer.get()
        tokenizer.check_length(token, LONGEST_WORD, "a range")
        self._reading.taken.take_generated(self._began(), _length_of_range(token.value))
        tokenizer.unget(token)
        owner = self.last_name
        super()._generate_line()  # type: ignore[no-untyped-call]
        # A record without an owner has that of the last record that stands in the file, as in BIND.
        self.last_name = owner

    def _rr_line(self) -> None:
        self._collector.place = self._began()
        super()._rr_line()

    def _read_plain_lines(self) -> None:
        """Read from the beginning of a line as far as the lines are plain."""
        tokenizer, source, size = self._tokenizer, self._tokenizer.source, _FIRST_BLOCK
        read: int | None = None
        while lines := source.lines(size):
            if not self._reading.plain or tokenizer.multiline:
                return
            if read is None:
                self._to_state()
            records: list[Record] = []
            read = read_plain(lines, self._state, records, tokenizer.filename, tokenizer.line_number)
            self._taker.add(records)
            tokenizer.line_number += read
            source.skip(lines[:read])
            if read < len(lines):
                break
            size = _LARGEST_BLOCK
        if read is not None:
            self._from_state()

    def _to_state(self) -> None:
        """Tell what the lines that dnspython read mean for those that follow."""
        state = self._state
        assert self.current_origin is not None  # the zone's to begin with
        assert self.last_name is not None
        if self.current_origin is not self._known_origin:
            self._known_origin = self.current_origin
            state.set_origin(names.spelled(self.current_origin))
        if self.last_name is not self._known_owner:
            self._known_owner = self.last_name
            state.owner = names.from_dnspython(self.last_name)
        self._known_octets = state.origin, state.owner
        state.last_ttl = self.last_ttl if self.last_ttl_known else None
        state.default_ttl = self.default_ttl if self.default_ttl_known else None
        state.prefers_last_ttl = not self.default_ttl_known or self.default_ttl_from_soa

    def _from_state(self) -> None:
        """Tell dnspython what the plain lines mean for those that follow."""
        state = self._state
        origin, owner = self._known_octets
        if state.origin is not origin:
            self.current_origin = self._known_origin = dns.name.from_wire(state.origin, 0)[0]
        if state.owner is not owner:
            self.last_name = self._known_owner = dns.name.from_wire(state.owner, 0)[0]
        if state.last_ttl is not None:
            self.last_ttl, self.last_ttl_known = state.last_ttl, True
        if state.default_ttl is not None:
            self.default_ttl, self.default_ttl_known = state.default_ttl, True
            self.default_ttl_from_soa = state.prefers_last_ttl


def _length_of_range(text: str) -> int:
    """How many numbers a range of $GENERATE has; 0 for one that dnspython refuses."""
    try:
        start, stop, step = dns.grange.from_text(text)
    except (dns.exception.DNSException, ValueError, AssertionError):
        return 0
    return (stop - start) // step + 1
