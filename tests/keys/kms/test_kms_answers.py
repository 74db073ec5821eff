"""Any bytes at all are an answer or a declared error, and the table of codes agrees with AWS's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.loaders import Loader
from hypothesis import given
from hypothesis import strategies as st

from keys.kms import kms_answers
from keys.kms.kms_errors import CODES, CREDENTIAL_CODES, KmsError, KmsRefused, KmsUnavailable, classify

OPERATIONS = ("CreateKey", "DescribeKey", "GetPublicKey", "ListKeys", "ListResourceTags", "Sign")
KINDS = (
    kms_answers.CreateKeyAnswer,
    kms_answers.GetPublicKeyAnswer,
    kms_answers.ListKeysAnswer,
    kms_answers.SignAnswer,
)
FIELDS = ["KeyId", "Signature", "PublicKey", "KeyUsage", "KeySpec", "Keys", "KeyMetadata", "Arn", "__type", "message"]

leaves = (
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["SIGN_VERIFY", "ECC_NIST_P256", "AAAA"])
)
documents = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(FIELDS), inner))
bodies = st.binary() | documents.map(lambda document: json.dumps(document).encode())


@given(bodies)
def test_any_body_is_an_answer_or_malformed(body: bytes) -> None:
    for kind in KINDS:
        try:
            kms_answers.parse(body, kind, "")
        except KmsUnavailable as error:
            assert error.code == "MalformedAnswer"


@given(bodies, st.integers(300, 599))
def test_any_body_with_an_error_status_is_an_error_fit_for_a_log(body: bytes, status: int) -> None:
    error = kms_answers.error_of(status, body, "")
    assert isinstance(error, KmsError)
    assert str(error).isprintable()
    assert len(str(error)) < 700


@given(st.binary(), st.binary())
def test_any_bytes_are_a_signature_or_malformed(signature: bytes, public_key: bytes) -> None:
    for call in (
        lambda: kms_answers.signature(kms_answers.SignAnswer("k", signature), "k", ""),
        lambda: kms_answers.public_key(
            kms_answers.GetPublicKeyAnswer("k", public_key, "SIGN_VERIFY", "ECC_NIST_P256"), "k", ""
        ),
    ):
        try:
            call()
        except KmsUnavailable as error:
            assert error.code == "MalformedAnswer"


def declared_errors() -> dict[str, bool]:
    """The errors that AWS's model declares for the operations used here, and whether each is the service's fault."""
    model: dict[str, Any] = Loader().load_service_model("kms", "service-2")
    names = {error["shape"] for name in OPERATIONS for error in model["operations"][name]["errors"]}
    return {name: model["shapes"][name].get("fault", False) for name in names}


def test_what_aws_calls_its_own_fault_is_unavailable_and_the_rest_refused() -> None:
    declared = declared_errors()
    assert {"NotFoundException", "DisabledException", "KMSInternalException"} <= declared.keys()
    for code, fault in declared.items():
        assert isinstance(classify(code, "", status=400), KmsUnavailable if fault else KmsRefused), code


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_known_code_means_the_same_whatever_the_status(code: str) -> None:
    assert {type(classify(code, "", status=status)) for status in (400, 403, 429, 500, 503)} == {CODES[code]}


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Signature expired: 20260101T000000Z is now earlier than 20260101T000500Z", KmsUnavailable),
        ("Signature not yet current: 20260101T001500Z is still later than 20260101T001000Z", KmsUnavailable),
        ("The request signature we calculated does not match the signature you provided.", KmsRefused),
    ],
)
def test_a_signature_out_of_time_is_unavailable_and_a_wrong_one_refused(message: str, kind: type[KmsError]) -> None:
    assert type(classify("InvalidSignatureException", message)) is kind


def test_credential_codes_are_in_the_table() -> None:
    assert CODES.keys() >= CREDENTIAL_CODES
