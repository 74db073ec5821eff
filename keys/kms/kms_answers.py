"""The answers of the AWS KMS protocol (JSON 1.1) as typed values. Nothing in them is trusted to be there or right.

Whatever does not parse, lacks a field or holds a value of another kind is `KmsUnavailable` with the code
`MalformedAnswer`: it tells of something between us and the KMS rather than of the key. Field names and types are those
of `botocore/data/kms/2014-11-01/service-2.json`.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm

from keys.dnssec.p256 import public_key_from_spki, raw_signature
from keys.kms.interface import KmsSignature, PublicKey
from keys.kms.kms_errors import MALFORMED_ANSWER, WRONG_KEY, KmsError, KmsRefused, KmsUnavailable, classify

_LONGEST_MESSAGE = 300


class KeyMetadata(msgspec.Struct, rename="pascal"):
    """Of a key, what CreateKey and DescribeKey say."""

    arn: str
    key_state: str


class CreateKeyAnswer(msgspec.Struct, rename="pascal"):
    """The key that was made."""

    key_metadata: KeyMetadata


class DescribeKeyAnswer(msgspec.Struct, rename="pascal"):
    """The key as it is now."""

    key_metadata: KeyMetadata


class KeyEntry(msgspec.Struct, rename="pascal"):
    """One key in a list."""

    key_arn: str


class ListKeysAnswer(msgspec.Struct, rename="pascal"):
    """One page of keys."""

    keys: list[KeyEntry]
    next_marker: str | None = None
    truncated: bool = False


class Tag(msgspec.Struct, rename="pascal"):
    """One tag of a key."""

    tag_key: str
    tag_value: str


class ListResourceTagsAnswer(msgspec.Struct, rename="pascal"):
    """One page of a key's tags."""

    tags: list[Tag]
    next_marker: str | None = None
    truncated: bool = False


class GetPublicKeyAnswer(msgspec.Struct, rename="pascal"):
    """The public key as SubjectPublicKeyInfo DER, and what it is for."""

    key_id: str
    public_key: bytes
    key_usage: str
    key_spec: str | None = None
    customer_master_key_spec: str | None = None
    """The old name of the same field; some emulators know only this one."""


class SignAnswer(msgspec.Struct, rename="pascal"):
    """The signature in DER."""

    key_id: str
    signature: bytes


class _ErrorAnswer(msgspec.Struct):
    code: str = msgspec.field(name="__type")
    message: str | None = None
    # The same field as some services and emulators spell it.
    capitalised: str | None = msgspec.field(name="Message", default=None)


Answer = TypeVar("Answer")


def parse(body: bytes, kind: type[Answer], request_id: str) -> Answer:
    """The body of a 200 as a value of `kind`. Raises `KmsUnavailable`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError) as error:
        raise _malformed(str(error), request_id) from None


def error_of(status: int, body: bytes, request_id: str) -> KmsError:
    """The error that an answer with another status than 200 is."""
    try:
        answer = msgspec.json.decode(body, type=_ErrorAnswer)
    except (ValueError, RecursionError):
        if status >= 500:
            return KmsUnavailable(f"Http{status}", "the response has no error code", request_id)
        return _malformed(f"HTTP status {status} without an error code", request_id)
    # "com.amazonaws.kms#NotFoundException", or the bare code; some add ":http://…".
    code = one_line(answer.code).rpartition("#")[2].partition(":")[0]
    return classify(code, one_line(answer.message or answer.capitalised or ""), request_id, status)


def next_marker(page: ListKeysAnswer | ListResourceTagsAnswer, request_id: str) -> str:
    """Where the next page begins, of a page that says there is one."""
    if page.next_marker is None:
        raise _malformed("a truncated list has no marker for its next page", request_id)
    return page.next_marker


def public_key(answer: GetPublicKeyAnswer, arn: str, request_id: str) -> PublicKey:
    """The public half of the key asked for as `arn`. Raises `KmsRefused` (`WrongKey`) for a key of another kind."""
    spec = answer.key_spec or answer.customer_master_key_spec
    if spec is None:
        raise _malformed("the response with the public key has no KeySpec", request_id)
    name = _named(answer.key_id, arn, request_id)
    if (answer.key_usage, spec) != ("SIGN_VERIFY", "ECC_NIST_P256"):
        kind = one_line(f"{spec} for {answer.key_usage}")
        raise KmsRefused(WRONG_KEY, f"a KSK needs a key of ECC_NIST_P256 for SIGN_VERIFY; {name} is {kind}", request_id)
    try:
        return PublicKey(name, public_key_from_spki(answer.public_key))
    except (ValueError, UnsupportedAlgorithm):
        raise _malformed("the public key is not a P-256 key", request_id) from None


def signature(answer: SignAnswer, arn: str, request_id: str) -> KmsSignature:
    """The signature as r‖s, by the key that was asked for as `arn`."""
    _named(answer.key_id, arn, request_id)
    try:
        return KmsSignature(raw_signature(answer.signature), request_id)
    except ValueError:
        raise _malformed("the signature is not an ECDSA P-256 signature", request_id) from None


def require_enabled(answer: DescribeKeyAnswer, arn: str, request_id: str) -> None:
    """Raise, with the code that Sign would, if the key asked for as `arn` is in a state in which it does not sign."""
    state = one_line(answer.key_metadata.key_state)
    if state != "Enabled":
        code = "DisabledException" if state == "Disabled" else "KMSInvalidStateException"
        raise KmsRefused(code, f"{arn} is in the state {state}", request_id)


def one_line(text: str) -> str:
    """A stranger's text made fit for a log: its first line, printable, not long.

    Services that answer a wrong signature with the canonical request they expected (session token and all) do so from
    the second line on.
    """
    first = text.strip().partition("\n")[0][:_LONGEST_MESSAGE]
    return "".join(character if character.isprintable() else "�" for character in first)


def _named(answered: str, asked: str, request_id: str) -> str:
    """The ARN of the key that answered. Who asks for an ARN gets an answer about that ARN, and no other."""
    if not answered.startswith("arn:"):
        return asked  # some emulators answer the id alone
    if _is_key_arn(asked) and answered != asked:
        raise _malformed("the response names another key", request_id)
    return one_line(answered)


def _is_key_arn(name: str) -> bool:
    return name.startswith("arn:") and ":key/" in name


def _malformed(what: str, request_id: str) -> KmsUnavailable:
    return KmsUnavailable(MALFORMED_ANSWER, what, request_id)
