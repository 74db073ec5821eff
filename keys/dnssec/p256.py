"""P-256 keys and signatures in the forms that DNSSEC (RFC 6605) and a KMS want: x‖y and r‖s, PKCS #8 and SPKI."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

_SHA256 = ec.ECDSA(hashes.SHA256())


def generate_private_key() -> bytes:
    """A new P-256 private key as PKCS #8 DER. Handed in where keys are made, so that a test can hand in another."""
    return as_der(ec.generate_private_key(ec.SECP256R1()))


def as_der(private_key: ec.EllipticCurvePrivateKey) -> bytes:
    """The private key as PKCS #8 DER, not encrypted."""
    return private_key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def raw_signature(der: bytes) -> bytes:
    """An ECDSA signature in DER, as KMS and OpenSSL make it, turned into r‖s of 64 bytes. Raises `ValueError`."""
    r, s = decode_dss_signature(der)
    try:
        return r.to_bytes(32) + s.to_bytes(32)
    except OverflowError:
        raise ValueError("not a P-256 signature") from None


def raw_public_key(key: ec.EllipticCurvePublicKey) -> bytes:
    """The point as x‖y, 64 bytes: the uncompressed form without its leading 0x04."""
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)[1:]


def public_key_from_spki(der: bytes) -> bytes:
    """x‖y of a P-256 public key in SubjectPublicKeyInfo DER, as KMS GetPublicKey gives it. Raises `ValueError`."""
    key = serialization.load_der_public_key(der)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("not a P-256 public key")
    return raw_public_key(key)


def verify(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` (r‖s) over `data` was made with the private half of `public_key` (x‖y)."""
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + public_key)
    der = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    try:
        point.verify(der, data, _SHA256)
    except InvalidSignature:
        return False
    return True
