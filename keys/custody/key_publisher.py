"""Publishes a keyring's keys to the backends that answer: only what is stored, only what is new."""

from __future__ import annotations

from collections.abc import Callable

from keys.custody.action_executor import Services
from keys.custody.state_database import StateUnavailable
from keys.custody.zsk_encryption import StateError, StateKeyWrong
from keys.dnssec.signing_policy import Policy
from keys.dnssec.zone_keys import ActiveSigner, ZoneKeys
from keys.dnssec.zone_signer import ZoneSigner, load_signer
from keys.rules.keyring import Keyring, Zsk
from keys.rules.safety import assert_nameable


class Publisher:
    """Publishes the keys of one zone."""

    def __init__(self, origin: bytes, services: Services, publish: Callable[[bytes, ZoneKeys | None], None]) -> None:
        self.problem: str | None = None
        """Why a ZSK can't sign: nothing is done until its key can be read, or is given up."""
        self.next_delegation: int | None = None
        """When a further KSK may be named by the DS of a parent that is served here."""
        self._origin = origin
        self._services = services
        self._publish = publish
        self._signers: dict[int, ZoneSigner] = {}
        self._published: ZoneKeys | None = None
        self._unsigned = False

    def is_due(self, now: int) -> bool:
        """Whether to show once more what was shown: for another try, or since a further KSK may be delegated to."""
        return self.problem is not None or (self.next_delegation is not None and self.next_delegation <= now)

    async def show(self, keyring: Keyring, policy: Policy) -> bool:
        """Publish the keys as they are stored, if they are new and valid; whether what is published now is good.

        Raises `StateUnavailable` where private keys can't be read now.
        """
        self.next_delegation = None
        if keyring.served_unsigned:
            self.problem = None
            if not self._unsigned:
                self._publish(self._origin, None)
                self._unsigned, self._published = True, None
            return True
        keyset = keyring.keyset
        if keyset is None or keyset.served(int(self._services.now())) is None:
            return False
        if policy.window > keyring.window or policy.propagation > keyring.propagation:
            return False  # recorded first, so that no wait is too short if we are killed
        signers = await self._active(keyring)
        if not signers:
            return self.problem is None and any(zsk.lost is not None for zsk in keyring.zsks)
        now = int(self._services.now())
        delegation = tuple(ksk.rdata for ksk in keyring.delegation(now) if ksk.rdata in keyset.rdatas)
        assert_nameable(keyring, delegation, now)
        waiting = (k.ready for k in keyring.ksks if k.ready is not None and k.withdrawn is None)
        self.next_delegation = min((ready for ready in waiting if ready > now), default=None)
        keys = ZoneKeys(keyset, signers, policy, delegation)
        if keys != self._published:
            self._publish(self._origin, keys)
            self._published, self._unsigned = keys, False
        return True

    async def _active(self, keyring: Keyring) -> tuple[ActiveSigner, ...]:
        """Who signs, in order. A ZSK that was lost signs only as long as it has no successor that signs.

        From then on the successor signs the windows that the lost one had begun, too: left to the ZSK before it, they
        would be signed by a key that is about to leave.
        """
        self.problem = None
        active = [zsk for zsk in keyring.zsks if zsk.activated is not None]
        signers: list[ActiveSigner] = []
        kept = {zsk.sequence for zsk in active if zsk.removed is None}
        self._signers = {sequence: signer for sequence, signer in self._signers.items() if sequence in kept}
        inherited: int | None = None
        for zsk in sorted(active, key=lambda zsk: (zsk.activated or 0, zsk.sequence)):
            since = inherited if inherited is not None else zsk.activated or 0
            inherited = since if zsk.lost is not None and zsk.retired is not None else None
            if inherited is not None or zsk.removed is not None:
                continue
            try:
                signers.append(ActiveSigner(since, await self._signer(zsk)))
            except StateUnavailable:
                raise
            except StateError as error:
                if zsk.lost is None:
                    self.problem = f"{error}; or replace the key with an emergency rollover"
                    return ()
        return tuple(signers)

    async def _signer(self, zsk: Zsk) -> ZoneSigner:
        # Read back even when it was just made: what is published must be what a restart would find.
        if zsk.sequence not in self._signers:
            store, sequence = self._services.store, zsk.sequence
            private_key = await self._services.run_blocking(lambda: store.load_zsk(self._origin, sequence))
            signer = load_signer(private_key)
            if signer.public_key != zsk.public_key:
                raise StateKeyWrong(f"the private key of ZSK {sequence} does not belong to its public key")
            self._signers[sequence] = signer
        return self._signers[zsk.sequence]
