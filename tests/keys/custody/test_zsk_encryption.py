from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.custody.zsk_encryption import StateKeyLost, StateKeyWrong, ZskCipher, bound_to, make_state_key, read_state_key

KEY = bytes(range(32))


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_what_was_encrypted_is_decrypted(private: bytes, bound: bytes) -> None:
    cipher = ZskCipher(KEY, os.urandom)
    encrypted = cipher.encrypt(private, bound)
    assert cipher.decrypt(encrypted, bound) == private
    assert len(encrypted) == len(private) + 1 + 12 + 16


@given(st.integers(0, 60), st.integers(1, 255))
def test_a_changed_octet_does_not_open(position: int, flip: int) -> None:
    cipher = ZskCipher(KEY, os.urandom)
    encrypted = bytearray(cipher.encrypt(b"x" * 40, b"bound"))
    encrypted[position] ^= flip
    with pytest.raises(StateKeyWrong):
        cipher.decrypt(bytes(encrypted), b"bound")


@pytest.mark.parametrize("encrypted", [b"", b"\x01", b"\x01" + bytes(12), b"\x02" + bytes(40)])
def test_what_is_not_encrypted_does_not_decrypt(encrypted: bytes) -> None:
    with pytest.raises(StateKeyWrong):
        ZskCipher(KEY, os.urandom).decrypt(encrypted, b"")


def test_what_it_belongs_to_is_bound() -> None:
    cipher = ZskCipher(KEY, os.urandom)
    encrypted = cipher.encrypt(b"private", bound_to(b"\x01a\x00", 1, b"p"))
    for other in (bound_to(b"\x01b\x00", 1, b"p"), bound_to(b"\x01a\x00", 2, b"p"), bound_to(b"\x01a\x00", 1, b"q")):
        with pytest.raises(StateKeyWrong):
            cipher.decrypt(encrypted, other)


def test_another_key_does_not_open() -> None:
    encrypted = ZskCipher(KEY, os.urandom).encrypt(b"private", b"")
    with pytest.raises(StateKeyWrong):
        ZskCipher(KEY[::-1], os.urandom).decrypt(encrypted, b"")


def test_nonces_come_from_the_entropy_handed_in() -> None:
    cipher = ZskCipher(KEY, os.urandom)
    assert cipher.encrypt(b"same", b"") != cipher.encrypt(b"same", b"")
    fixed = ZskCipher(KEY, bytes)
    assert fixed.encrypt(b"same", b"")[1:13] == bytes(12)


def test_the_key_file_is_private_and_made_once(tmp_path: Path) -> None:
    path = tmp_path / "state.key"
    make_state_key(path, os.urandom)
    made = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    make_state_key(path, os.urandom)
    assert path.read_bytes() == made
    first, second = read_state_key(path, os.urandom), read_state_key(path, os.urandom)
    assert second.decrypt(first.encrypt(b"private", b""), b"") == b"private"
    assert [file.name for file in tmp_path.iterdir()] == ["state.key"]


def test_a_key_file_cut_short_by_a_crash_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "state.key.new").write_text("signwright st")
    make_state_key(tmp_path / "state.key", os.urandom)
    read_state_key(tmp_path / "state.key", os.urandom)


def test_a_repr_shows_no_key() -> None:
    shown = repr(ZskCipher(KEY, os.urandom))
    assert KEY.hex() not in shown
    assert repr(KEY) not in shown


@pytest.mark.parametrize("content", ["", "signwright state key 1\n", "signwright state key 1\nAAAA\n", "x\n", "ü"])
def test_a_damaged_key_file_is_said_to_be_one(tmp_path: Path, content: str) -> None:
    path = tmp_path / "state.key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(StateKeyWrong, match="state key"):
        read_state_key(path, os.urandom)


def test_a_key_file_open_to_others_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "state.key"
    make_state_key(path, os.urandom)
    path.chmod(0o640)
    with pytest.raises(StateKeyWrong, match="chmod 600"):
        read_state_key(path, os.urandom)


def test_a_lost_key_file(tmp_path: Path) -> None:
    with pytest.raises(StateKeyLost, match="backup"):
        read_state_key(tmp_path / "state.key", os.urandom)
