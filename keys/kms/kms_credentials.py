"""Where the KMS is and who we are to it: botocore's own resolution, so that AWS's usual settings mean the usual thing.

Everything here blocks (files, metadata services, credential processes) and is called through a handed-in
`run_blocking`. Errors name where something went wrong, never what was read there.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError, PartialCredentialsError
from botocore.session import Session

from keys.kms.kms_errors import (
    CREDENTIALS_UNAVAILABLE,
    INVALID_CONFIGURATION,
    NO_CREDENTIALS,
    KmsRefused,
    KmsUnavailable,
)

SessionFactory = Callable[[], Session]
"""Makes a new botocore session: by default one that reads the environment and the user's AWS files."""


_AHEAD = 16 * 60
"""Seconds before their end from which credentials are asked for each time: botocore renews them 15 minutes before."""
_ENDPOINT = "the KMS endpoint must be http:// or https://, a host and optionally a port"


class Destination(NamedTuple):
    """Where calls go."""

    url: str
    region: str
    tls: ssl.SSLContext | None
    """`None` for an endpoint without TLS."""


class KmsCredentials:
    """What signs a call. The repr shows the access key's id and nothing else, since tracebacks may show locals."""

    __slots__ = ("access_key", "secret_key", "token")

    def __init__(self, access_key: str, secret_key: str, token: str | None) -> None:
        self.access_key = access_key
        self.secret_key = secret_key
        self.token = token

    def __repr__(self) -> str:
        return f"<Credentials {self.access_key}>"


def fixed_session(access_key: str, secret_key: str) -> SessionFactory:
    """Sessions with these credentials, whatever the environment and files say; for a KMS of our own."""

    def make() -> Session:
        session = Session()
        session.set_credentials(access_key, secret_key)
        return session

    return make


class CredentialChain:
    """botocore's chain of credential providers: environment, files, processes, SSO, web identity, metadata services.

    Credentials that expire are refreshed by botocore as they near their end. `forget` makes the next `load` walk the
    chain anew, so that a file mended by an operator is seen without a restart.
    """

    def __init__(self, make_session: SessionFactory) -> None:
        self._make_session = make_session
        self._session: Session | None = None
        self._loaded: KmsCredentials | None = None
        self._ends: RefreshableCredentials | None = None
        """Where what was loaded last comes from, if it ends."""

    def at_hand(self) -> KmsCredentials | None:
        """What was loaded last, where `load` would give just that and look at nothing else. Does not block."""
        if self._ends is not None and self._ends.refresh_needed(refresh_in=_AHEAD):
            return None
        return self._loaded

    def load(self) -> KmsCredentials:
        """Credentials to sign with now. Blocks.

        Raises `KmsRefused` (`NoCredentials`, `InvalidConfiguration`) and `KmsUnavailable` (`CredentialsUnavailable`).
        """
        try:
            session = self._session = self._session or self._make_session()
            credentials = session.get_credentials()
            frozen = None if credentials is None else credentials.get_frozen_credentials()
        except PartialCredentialsError:
            raise KmsRefused(NO_CREDENTIALS, "the AWS credentials lack the access key or the secret key") from None
        except (CredentialRetrievalError, ClientError, OSError, RuntimeError) as error:
            name = type(error).__name__
            raise KmsUnavailable(CREDENTIALS_UNAVAILABLE, f"cannot fetch the AWS credentials ({name})") from None
        except (BotoCoreError, ValueError) as error:
            name = type(error).__name__
            raise KmsRefused(INVALID_CONFIGURATION, f"the AWS configuration is not valid ({name})") from None
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise KmsRefused(
                NO_CREDENTIALS, "no AWS credentials in the environment, the AWS files or the metadata service"
            )
        if not all(_is_plain(text) for text in (frozen.access_key, frozen.secret_key, frozen.token or "")):
            raise KmsRefused(
                INVALID_CONFIGURATION, "the AWS credentials contain characters that are not allowed in credentials"
            )
        loaded = KmsCredentials(*frozen[:3])
        if self._session is session:  # else they were found to be wrong meanwhile
            self._ends = credentials if isinstance(credentials, RefreshableCredentials) else None
            self._loaded = loaded
        return loaded

    def forget(self) -> None:
        """Walk the chain anew at the next `load`."""
        self._session = self._loaded = self._ends = None


def resolve(make_session: SessionFactory, endpoint: str | None, region: str | None) -> Destination:
    """The KMS's URL and region: as given, else as botocore finds them. Blocks. Raises `KmsRefused`.

    botocore looks at AWS_ENDPOINT_URL_KMS, AWS_ENDPOINT_URL, the profile's `services` section and `endpoint_url`, the
    region's own endpoint (FIPS and dual-stack where so configured); AWS_REGION, AWS_DEFAULT_REGION and the profile's
    `region`; AWS_CA_BUNDLE and `ca_bundle`.
    """
    try:
        session = make_session()
        # The credentials are only there so that none are looked for: this client is asked where it would call, no more.
        client = session.create_client(
            "kms",
            region_name=region,
            endpoint_url=endpoint,
            aws_access_key_id="-",
            aws_secret_access_key="-",  # noqa: S106
        )
        url, found_region = client.meta.endpoint_url, client.meta.region_name
        client.close()
        bundle = session.get_config_variable("ca_bundle")
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
            raise KmsRefused(INVALID_CONFIGURATION, _ENDPOINT)
        tls = ssl.create_default_context(cafile=bundle) if parts.scheme == "https" else None
    except (BotoCoreError, OSError) as error:
        # These messages name a file, a profile or a setting, not what is in it.
        raise KmsRefused(INVALID_CONFIGURATION, f"{type(error).__name__}: {error}") from None
    except ValueError:
        raise KmsRefused(INVALID_CONFIGURATION, _ENDPOINT) from None
    return Destination(url.rstrip("/") + "/", found_region, tls)


def _is_plain(text: str) -> bool:
    """Whether this can stand in a header. What can't would come back in the HTTP library's error."""
    return text.isascii() and text.isprintable() and " " not in text
