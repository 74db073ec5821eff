"""Asks the KMS again and again whether it would sign with a zone's KSKs, to find trouble before a refresh does.

All that it knows is in memory: a probe is cheap, and one that was forgotten is made again.
"""

from __future__ import annotations

import traceback
from collections.abc import AsyncGenerator

from keys.custody.action_executor import LONGEST_MESSAGE, Services
from keys.custody.parent_watch import WatchedKeys
from keys.dnssec.name_text import to_text
from keys.kms.kms_errors import KmsError, KmsRefused
from keys.rules.events import KmsProbeFailed, KmsProbeSucceeded
from keys.rules.keyring import Ksk
from keys.rules.kms_probes import PROBING, Probed, after_probe, first_probe, is_news, probe_at, probed_ksks


class KmsWatch:
    """The probes of one zone."""

    def __init__(self, keeper: WatchedKeys, services: Services) -> None:
        self._keeper, self._services = keeper, services
        self._since: int | None = None
        """When the KMS was last asked for signatures, or when this life of the process began."""
        self._is_asking = self._is_hurried = self._is_doubted = False
        self.latest: dict[str, Probed] = {}
        """What is known of each KSK that was probed, by name."""

    def due(self) -> int | None:
        """When to probe next, in seconds since the epoch; `None` while a probe is under way, or nothing is to probe."""
        if self._is_asking:
            return None
        return min((self._at(ksk) for ksk in probed_ksks(self._keeper.keyring)), default=None)

    def begin(self) -> bool:
        """Whether it is time for `probe`, which is then to be run; it is not time again before that has ended."""
        at = self.due()
        if at is None or at > self._now():
            return False
        self._is_asking = True
        return True

    def hurry(self) -> None:
        """Probe at once what failed: somebody may have mended it."""
        self._is_hurried = any(probed.trouble is not None for probed in self.latest.values())

    def doubt(self) -> None:
        """Probe each KSK at once: a command has met trouble at the KMS."""
        self._is_doubted = True

    def signed(self) -> None:
        """The KMS has signed with all KSKs that it is asked to sign with, or has failed to, which the keyring says."""
        self.latest.clear()
        self._since = self._now()

    async def probe(self) -> AsyncGenerator[KmsProbeFailed | KmsProbeSucceeded, None]:
        """Probe each KSK whose time has come; gives what is news to people."""
        try:
            now = self._now()
            due = [ksk for ksk in probed_ksks(self._keeper.keyring) if self._at(ksk) <= now]
            self._is_hurried = self._is_doubted = False
            for ksk in due:
                before, signed = self.latest.get(ksk.name), self._since
                event = await self._asked(ksk)
                if self._since != signed or not self._is_to_be_probed(ksk):
                    continue  # a signature knows better
                after = self.latest[ksk.name] = after_probe(before, event)
                if is_news(before, after, self._keeper.policy):
                    yield event
        finally:
            self._is_asking = False

    async def _asked(self, ksk: Ksk) -> KmsProbeFailed | KmsProbeSucceeded:
        assert ksk.arn is not None
        try:
            await self._services.service.probe(ksk.arn, self._keeper.keyring.hosted_zone_id)
        except KmsError as error:
            said, refused = error.message[:LONGEST_MESSAGE], isinstance(error, KmsRefused)
            return KmsProbeFailed(self._now(), ksk.name, PROBING, error.code, said, error.request_id, refused)
        except Exception as error:  # a bug, and no reason to freeze keys that sign
            zone, kind = to_text(self._keeper.keyring.origin), type(error).__name__
            trace = "".join(traceback.format_exception(error))
            self._services.log.warning("a bug: the KMS can't be probed", zone=zone, traceback=trace)
            return KmsProbeFailed(self._now(), ksk.name, PROBING, kind, "a bug", "", refused=False)
        return KmsProbeSucceeded(self._now(), ksk.name)

    def _is_to_be_probed(self, asked: Ksk) -> bool:
        return any(ksk.name == asked.name and ksk.arn == asked.arn for ksk in probed_ksks(self._keeper.keyring))

    def _at(self, ksk: Ksk) -> int:
        now, keyring, policy = self._now(), self._keeper.keyring, self._keeper.policy
        if self._is_doubted:
            return now
        self._since = now if self._since is None else min(self._since, now)
        probed = self.latest.get(ksk.name)
        if probed is None:
            return first_probe(keyring, policy, self._since)
        if self._is_hurried and probed.trouble is not None:
            return now
        return probe_at(keyring.origin, probed, policy, now)

    def _now(self) -> int:
        return int(self._services.now())
