"""Key material: what each key spec is made of, and how it signs.

Unlike a ZSK, a KMS key signs with a random nonce and answers DER, as AWS KMS does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from keys.emulator.aws_errors import AwsError

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

P256 = "ECC_NIST_P256"
ED25519 = "ECC_NIST_EDWARDS25519"

ALGORITHM: Mapping[str, str] = {P256: "ECDSA_SHA_256", ED25519: "ED25519_SHA_512"}
"""The signing algorithm of each key spec that is supported."""

_GENERATE: Mapping[str, Callable[[], PrivateKey]] = {
    P256: lambda: ec.generate_private_key(ec.SECP256R1()),
    ED25519: ed25519.Ed25519PrivateKey.generate,
}
_RAW = ec.ECDSA(hashes.SHA256())
_DIGEST = ec.ECDSA(Prehashed(hashes.SHA256()))


def generate_key(spec: str) -> PrivateKey:
    """A new private key of a supported spec."""
    return _GENERATE[spec]()


def load_private(der: bytes, spec: str) -> PrivateKey:
    """The private key of PKCS #8 DER. Raises `ValueError` where it is not of this spec."""
    key = serialization.load_der_private_key(der, password=None)
    if spec == P256 and isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    if spec == ED25519 and isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    raise ValueError(f"not a private key of {spec}")


def dump_private(key: PrivateKey) -> bytes:
    """The private key as PKCS #8 DER."""
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_spki(key: PrivateKey) -> bytes:
    """The public key as SubjectPublicKeyInfo DER, as GetPublicKey answers it."""
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def sign(key: PrivateKey, message: bytes, message_type: str) -> bytes:
    """A signature over a message or a SHA-256 digest. Raises `AwsError` where the type does not fit."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, _ecdsa(message, message_type))
    _only_raw(message_type)
    return key.sign(message)


def is_valid(key: PrivateKey, message: bytes, message_type: str, signature: bytes) -> bool:
    """Whether `signature` is one of this key over the message or digest. Raises `AwsError` as `sign` does."""
    try:
        if isinstance(key, ec.EllipticCurvePrivateKey):
            key.public_key().verify(signature, message, _ecdsa(message, message_type))
        else:
            _only_raw(message_type)
            key.public_key().verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _ecdsa(message: bytes, message_type: str) -> ec.ECDSA:
    if message_type == "RAW":
        return _RAW
    if message_type == "DIGEST":
        if len(message) != 32:
            raise AwsError("ValidationException", "Digest is invalid length for algorithm ECDSA_SHA_256.")
        return _DIGEST
    raise AwsError("ValidationException", f"MessageType {message_type} is invalid for algorithm ECDSA_SHA_256.")


def _only_raw(message_type: str) -> None:
    if message_type != "RAW":
        raise AwsError("ValidationException", f"MessageType {message_type} is invalid for algorithm ED25519_SHA_512.")
