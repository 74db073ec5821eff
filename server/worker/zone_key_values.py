"""Keys to the values of `messages` and back."""

from __future__ import annotations

from keys.dnssec.zone_keys import ActiveSigner, ZoneKeys
from keys.dnssec.zone_signer import load_signer
from server.worker.messages import KeysValue


def keys_value(keys: ZoneKeys) -> KeysValue:
    """The keys of a zone, private ones among them: for the stream to a worker and nothing else."""
    signers = tuple((active.since, active.signer.private_key()) for active in keys.signers)
    return KeysValue(keys.keyset, signers, keys.policy, keys.delegation)


def keys_of(value: KeysValue) -> ZoneKeys:
    """The keys of a value. Raises `ValueError` where a private key is none."""
    signers = tuple(ActiveSigner(since, load_signer(private_key)) for since, private_key in value.signers)
    return ZoneKeys(value.keyset, signers, value.policy, value.delegation)
