"""The first load: hosted zones, then the zones of files, as far as these are quickly read."""

from __future__ import annotations

from collections.abc import Sequence, Set

import trio

from keys.custody.state_database import Store
from server.hosting.hosted_zones import HostedZones
from server.hosting.registered_zone import LoadedChange, ZoneLoad
from server.hosting.zone_registry import ZoneRegistry
from server.settings.configuration import Config, ConfigError, ZoneConfig
from server.state.directory import StateDir
from zones import names

_MOST_NAMED = 3
"""Zones of a state that are named in a message."""


class NothingToServe(Exception):  # noqa: N818 - it names what happened
    """No zone is configured, or none could be loaded; `loads` says why."""

    def __init__(self, loads: Sequence[ZoneLoad]) -> None:
        reasons = "; ".join(load.reason for load in loads if load.reason)
        super().__init__(f"no zone can be served: {reasons}" if reasons else "no zone is configured")
        self.loads = loads


class FirstLoad:
    """The first load of the zones of files. Quick ones are answered while others are still being read."""

    def __init__(self, registry: ZoneRegistry, configs: Sequence[ZoneConfig], *, may_be_none: bool) -> None:
        """`may_be_none` tells whether it is all right that no zone of a file is one."""
        self._registry = registry
        self._configs = configs
        self._may_be_none = may_be_none
        self._failure: Exception | None = None
        self._loads: list[ZoneLoad] = []
        self._all = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Load them. It has started once all quick ones are loaded; what fails is raised by `ended`."""
        went_on = False

        def go_on() -> None:
            nonlocal went_on
            went_on = True
            task_status.started()

        try:
            self._loads = await self._registry.load(self._configs, go_on)
        except Exception as error:
            self._failure = error
        finally:
            self._all.set()
        if not went_on:
            task_status.started()

    @property
    def has_ended(self) -> bool:
        """Whether all are read."""
        return self._all.is_set()

    async def ended(self) -> bool:
        """Wait for all; whether some had to be waited for. Raises what loading raised, and `NothingToServe`."""
        is_late = not self.has_ended
        await self._all.wait()
        if self._failure is not None:
            raise self._failure
        if not self._may_be_none and all(load.change is LoadedChange.REFUSED for load in self._loads):
            raise NothingToServe(self._loads)
        return is_late


async def begin_load(
    config: Config, state: StateDir, store: Store, registry: ZoneRegistry, zones: HostedZones, nursery: trio.Nursery
) -> FirstLoad:
    """Take up hosted zones and those of files, as far as these are quickly read.

    Raises `NothingToServe` and, for the samples, `ConfigError`.
    """
    kept = await zones.load()
    if config.samples:
        await trio.to_thread.run_sync(_refuse_strangers, config, state, store, set(registry.registered))
    load = FirstLoad(registry, config.zones, may_be_none=bool(kept) or not (config.zones or config.route53 is None))
    await nursery.start(load.run)
    if load.has_ended:
        await load.ended()
    return load


def _refuse_strangers(config: Config, state: StateDir, store: Store, hosted: Set[bytes]) -> None:
    """Refuse to serve the samples for want of named zones, where there are keys of zones that somebody named before.

    Those would not be answered any more, and the samples' keys would join theirs.
    """
    samples = {names.from_text(zone.origin) for zone in config.zones}
    strangers = sorted(
        names.to_text(keyring.origin)
        for keyring in store.load_keyrings().good
        if keyring.ksks and keyring.origin not in samples | hosted
    )
    if strangers:
        told = ", ".join(strangers[:_MOST_NAMED]) + (" and others" if len(strangers) > _MOST_NAMED else "")
        raise ConfigError(
            f"no zone is given, but {state.path} has the keys of {told}: give the zones or --config as before, "
            "or use another state directory (--state) for the sample zones"
        )
