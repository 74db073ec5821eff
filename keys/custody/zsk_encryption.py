"""ZSK private keys at rest: AES-256-GCM under the state key, which is a file of its own.

The database without that file reveals no private key, so a backup of the database may go where the state key must not.
What an encrypted key belongs to (zone, number, public key) is bound to it as associated data: a row that was moved or
altered does not open.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Callable
from hashlib import blake2b, sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.custody.disk_errors import naming
from keys.custody.state_files import StateError as StateError  # noqa: PLC0414 - for those who need no names

KEY_BYTES = 32
_NONCE_BYTES = 12
_FORM = b"\x01"
"""First octet of what is encrypted: AES-256-GCM, then a nonce of 12 bytes, then the text with its tag of 16 bytes."""
_HEADER = "signwright state key 1"

Entropy = Callable[[int], bytes]
"""Makes that many unpredictable bytes: `os.urandom`, or in a simulation what follows from its seed."""


class StateKeyLost(StateError):  # noqa: N818 - it names what happened
    """The state holds encrypted keys, and the file that decrypts them is missing."""


class StateKeyWrong(StateError):  # noqa: N818
    """The state key file is damaged, open to others, or not the one that the state was encrypted with."""


class ZskCipher:
    """Encrypts and decrypts under one state key. Its repr names the key's fingerprint and nothing of the key."""

    __slots__ = ("_aead", "_entropy", "cookie_key", "fingerprint")

    def __init__(self, key: bytes, entropy: Entropy) -> None:
        self._aead = AESGCM(key)
        self._entropy = entropy
        self.fingerprint = sha256(b"signwright state key fingerprint" + key).hexdigest()[:16]
        """Tells state keys apart; stored in the database, so that a wrong one is noticed at the start."""
        self.cookie_key = blake2b(digest_size=KEY_BYTES, key=key, person=b"signwright cooki").digest()
        """Another secret that all who have this state share, for DNS cookies. It says nothing of the state key."""

    def __repr__(self) -> str:
        return f"<ZskCipher {self.fingerprint}>"

    def encrypt(self, text: bytes, bound: bytes) -> bytes:
        """`text`, readable only with the state key and beside the same `bound`."""
        nonce = self._entropy(_NONCE_BYTES)
        return _FORM + nonce + self._aead.encrypt(nonce, text, bound)

    def decrypt(self, encrypted: bytes, bound: bytes) -> bytes:
        """The text again. Raises `StateKeyWrong` when key, text or `bound` are not those it was encrypted with."""
        nonce = encrypted[1 : 1 + _NONCE_BYTES]
        try:
            if not encrypted.startswith(_FORM):
                raise StateKeyWrong("an encrypted key has a format that this version does not support")
            return self._aead.decrypt(nonce, encrypted[1 + _NONCE_BYTES :], bound)
        except (InvalidTag, ValueError):
            raise StateKeyWrong(
                "cannot decrypt an encrypted key: it was altered, or the state key is not the one that encrypted it"
            ) from None


def bound_to(origin: bytes, sequence: int, public_key: bytes) -> bytes:
    """The associated data of a ZSK's private key. Origins end with an empty label, so the parts can't run together."""
    return b"signwright zsk\x00" + origin + sequence.to_bytes(8) + public_key


def make_state_key(path: Path, entropy: Entropy) -> None:
    """Make the state key file, 0600, durable before this returns. A file that is there already is left as it is."""
    if path.exists():
        return
    text = f"{_HEADER}\n{base64.b64encode(entropy(KEY_BYTES)).decode()}\n"
    # Written beside and renamed: a crash leaves a whole key or none.
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    with naming(path):
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - by descriptor
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        beside.rename(path)
        sync_directory(path.parent)


def read_state_key(path: Path, entropy: Entropy) -> ZskCipher:
    """The cipher of an existing state key file. Raises `StateKeyLost` and `StateKeyWrong`."""
    way_out = "restore the correct file from its backup"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise StateKeyLost(
            f"{path}: the state key is missing, and the ZSKs in the state cannot be decrypted without it: {way_out}"
        ) from None
    except UnicodeDecodeError:
        raise StateKeyWrong(f"{path}: not a state key: {way_out}") from None
    if mode & 0o077:
        raise StateKeyWrong(f"{path}: other users can read the state key (mode {mode:04o}): run chmod 600 {path}")
    header, _, encoded = text.partition("\n")
    try:
        key = base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        key = b""
    if header != _HEADER or len(key) != KEY_BYTES:
        raise StateKeyWrong(f"{path}: not a state key, or a damaged one: {way_out}")
    return ZskCipher(key, entropy)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
