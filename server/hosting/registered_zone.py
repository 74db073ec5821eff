"""One zone that is to be served, as the registry has it: where it comes from, what was wanted, and what came of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

from keys.custody.key_manager import KeyManager
from server.hosting.parent_lookup import LocalParent
from server.hosting.remote_parent import RemoteParent
from server.hosting.shown_ds import ShownDs
from server.settings.configuration import ZoneConfig
from zones.parent_child import NO_DS, ChildDs
from zones.zone import Zone


class File(NamedTuple):
    """A zone that is loaded from a master file, as the configuration says."""

    path: Path


class Hosted(NamedTuple):
    """A zone whose record sets are kept in the state database."""

    id: str


Source = File | Hosted
"""Where a zone comes from."""

_generations = count(1)


@dataclass(eq=False)
class RegisteredZone:
    """One zone, whether it could be loaded or not."""

    config: ZoneConfig
    origin: bytes
    source: Source
    problem: str | None = None
    """Why what it comes from was refused last."""
    fingerprint: bytes | None = None
    """Tells whether what was loaded is another zone than before; `None` as long as nothing was."""
    warnings: tuple[str, ...] = ()
    """Of its file, as it was read last."""
    zone: Zone | None = None
    """As it was loaded last."""
    unsigned: bool = False
    """Whether its keyring says that it is served unsigned: the one answer to whether it is signed."""
    is_kept: bool = False
    """Of a hosted zone: whether a key manager keeps its keys. One without keys needs none."""
    unsigned_ttl: int | None = None
    """The highest TTL that is stored of a zone that is served unsigned without a key manager; `None`: not known."""
    ds: ChildDs = NO_DS
    """What a parent served here has for it, as was stored when it was registered."""
    keys_problem: str | None = None
    """Why what is stored of its keys can't be read."""
    was_signed: bool = False
    """Whether what was stored of its keys when it was registered is that of a signed zone."""
    key_manager: KeyManager | None = None
    parent: RemoteParent | LocalParent | None = None
    """Whom the key manager asks for the DS."""
    shown: ShownDs = field(default_factory=ShownDs)
    """Which DS parents served here have shown of it."""
    watches: bool = False
    """Whether it does; where a zone of a file has no parent here, a task that waits for one would take 4 kB."""
    refreshes: int = 0
    """How many keysets that were signed in the life of this process it was answered with."""
    generation: int = field(default_factory=lambda: next(_generations))
    """Tells it from zones of its name that were here before."""

    def as_served(self, zone: Zone) -> Zone:
        """The zone as its keyring says that it is served, whichever way its file was read."""
        return zone.answered_as(
            signed=not self.unsigned, denial=zone.denial.mode, flood_denial=self.config.flood_denial
        ).with_chain_ready()

    @property
    def wants_key_manager(self) -> bool:
        """Whether its keys need a key manager. A file's zone whose setting `signed` is false stays signed, and needs
        one, until the parent's DS lets it be unsigned.
        """
        if isinstance(self.source, Hosted):
            return self.is_kept
        return self.config.signed or (self.fingerprint is not None and not self.unsigned)

    @property
    def is_asked(self) -> bool:
        """Whether there is a parent that can be looked at."""
        parent = self.parent
        return parent.is_asked(self.origin) if isinstance(parent, LocalParent) else parent is not None


class LoadedChange(enum.Enum):
    """What a load did to a zone."""

    LOADED = "loaded"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    """Its file makes no zone: what was served before goes on, or SERVFAIL where nothing was."""
    REMOVED = "removed"


class ZoneLoad(NamedTuple):
    """The outcome for one zone."""

    origin: str
    change: LoadedChange
    reason: str | None = None
    """Why it was refused, with file and line."""
    warnings: tuple[str, ...] = ()
    """Warnings about what was loaded (`zones.masterfile.warnings.first`); of an unchanged zone, only new ones."""
    earlier_warnings: tuple[str, ...] = ()
    """Of an unchanged zone, those that the log has already."""
