"""An error as AWS names it."""

from __future__ import annotations

_STATUS = {"KMSInternalException": 500, "KeyUnavailableException": 500, "DependencyTimeoutException": 503}


class AwsError(Exception):
    """A request that is answered with an error: its code in the AWS API, and a message for who sent it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status: 400 for all that the client can mend (as in AWS's JSON protocols), 5xx for the rest."""
        return _STATUS.get(self.code, 400)
