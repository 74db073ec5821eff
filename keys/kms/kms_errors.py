"""What a KMS may answer instead: try again, or fetch a person. One table says which code is which.

*Unavailable* is whatever time or another try may mend. *Refused* is an answer about this key, or about who we are,
that stays the same until somebody changes something. Two cases lie between:

- Credentials that are **unknown, missing or make wrong signatures** are refused: only a person can hand us others.
- Credentials that have **expired**, and signatures **out of time** (our clock or theirs is wrong), are unavailable: the
  chain refreshes credentials and NTP mends clocks, and neither says anything about the key.

A dry run that would have succeeded is answered by an error, too: `KmsPermitted`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class KmsError(Exception):
    """A KMS did not do what it was asked. Holds no credential and nothing that was to be signed."""

    def __init__(self, code: str, message: str, request_id: str = "") -> None:
        super().__init__(code, message, request_id)
        self.code = code
        """The KMS's code (`AccessDeniedException`), or one of those below that the client itself finds."""
        self.message = message.rstrip(".")
        """Without the full stop of AWS's messages, as it stands within sentences."""
        self.request_id = request_id
        """The KMS's name for the call; empty where there was no answer."""

    def __str__(self) -> str:
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.code}: {self.message}{request}"


class KmsUnavailable(KmsError):  # noqa: N818 - the word that callers read
    """Trying again later may help: throttling, faults of the KMS, time-outs, lost and refused connections."""


class KmsRefused(KmsError):  # noqa: N818
    """A person has to change something: the key's state or policy, our credentials, our configuration."""


class KmsPermitted(KmsRefused):
    """A dry run would have succeeded. To a call that was no dry run, it is a refusal like any other."""


TIMED_OUT: Final = "TimedOut"
"""No whole answer in time; whether the call was performed is not known."""
CONNECTION_FAILED: Final = "ConnectionFailed"
"""Not connected, or the connection was lost; in the latter case it is not known whether the call was performed."""
MALFORMED_ANSWER: Final = "MalformedAnswer"
"""Whatever answered, it does not speak like a KMS: a proxy's error page, no JSON, a field that is missing or wrong."""
CREDENTIALS_UNAVAILABLE: Final = "CredentialsUnavailable"
"""Where credentials should come from did not give any this time (a metadata service, a token endpoint)."""
NO_CREDENTIALS: Final = "NoCredentials"
"""No source of credentials knows of any."""
INVALID_CONFIGURATION: Final = "InvalidConfiguration"
"""The AWS configuration names no region, or can't be read."""
WRONG_KEY: Final = "WrongKey"
"""The key exists but is not a P-256 signing key."""

CREDENTIAL_CODES: Final = frozenset({
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "ExpiredTokenException",
    "ExpiredToken",
})  # fmt: skip
"""Codes after which the credentials in hand are not used again but read anew."""

CODES: Final[Mapping[str, type[KmsError]]] = MappingProxyType({
    # A fault of the KMS or of something behind it (5xx).
    "KeyUnavailableException": KmsUnavailable,
    "KMSInternalException": KmsUnavailable,
    "DependencyTimeoutException": KmsUnavailable,
    "InternalFailure": KmsUnavailable,
    "InternalServerError": KmsUnavailable,
    "ServiceUnavailable": KmsUnavailable,
    "ServiceUnavailableException": KmsUnavailable,
    # Too many calls. KMS answers these with 400, so that the status alone would say "refused".
    "ThrottlingException": KmsUnavailable,
    "Throttling": KmsUnavailable,
    "ThrottledException": KmsUnavailable,
    "TooManyRequestsException": KmsUnavailable,
    "RequestLimitExceeded": KmsUnavailable,
    # Out of time: the request, the clock, or credentials that are refreshed.
    "RequestTimeout": KmsUnavailable,
    "RequestTimeoutException": KmsUnavailable,
    "RequestExpired": KmsUnavailable,
    "RequestTimeTooSkewed": KmsUnavailable,
    "ExpiredTokenException": KmsUnavailable,
    "ExpiredToken": KmsUnavailable,
    # The key: its existence, its state, its kind, its policy.
    "NotFoundException": KmsRefused,
    "InvalidArnException": KmsRefused,
    "DisabledException": KmsRefused,
    "KMSInvalidStateException": KmsRefused,
    "InvalidKeyUsageException": KmsRefused,
    "UnsupportedOperationException": KmsRefused,
    "AccessDeniedException": KmsRefused,
    "InvalidGrantTokenException": KmsRefused,
    "DryRunOperationException": KmsPermitted,
    # Making a key: a policy that is not one, tags that may not be, a quota that is used up.
    "MalformedPolicyDocumentException": KmsRefused,
    "TagException": KmsRefused,
    "LimitExceededException": KmsRefused,
    # Who we are.
    "UnrecognizedClientException": KmsRefused,
    "InvalidClientTokenId": KmsRefused,
    "InvalidSignatureException": KmsRefused,  # unless it is out of time: see `classify`
    "SignatureDoesNotMatch": KmsRefused,
    "IncompleteSignatureException": KmsRefused,
    "MissingAuthenticationTokenException": KmsRefused,
    "OptInRequired": KmsRefused,
    # Found by the client.
    TIMED_OUT: KmsUnavailable,
    CONNECTION_FAILED: KmsUnavailable,
    MALFORMED_ANSWER: KmsUnavailable,
    CREDENTIALS_UNAVAILABLE: KmsUnavailable,
    NO_CREDENTIALS: KmsRefused,
    INVALID_CONFIGURATION: KmsRefused,
    WRONG_KEY: KmsRefused,
})  # fmt: skip

_OUT_OF_TIME = ("Signature expired", "Signature not yet current")
"""How AWS begins the message of an InvalidSignatureException that comes of a clock."""


def classify(code: str, message: str, request_id: str = "", status: int = 400) -> KmsError:
    """The error that an answer with this code is. A code not in the table goes by the HTTP status.

    An unknown code under 500 is refused, since what is not understood should reach a person; 408 and 429 are about time
    and number, whatever the code.
    """
    kind = CODES.get(code) or (KmsUnavailable if status >= 500 or status in {408, 429} else KmsRefused)
    if code in {"InvalidSignatureException", "SignatureDoesNotMatch"} and message.startswith(_OUT_OF_TIME):
        kind = KmsUnavailable
    return kind(code, message, request_id)
