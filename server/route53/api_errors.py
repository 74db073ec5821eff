"""A refused request, as Route 53 names it."""

from __future__ import annotations


class ApiError(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        """`status` is the HTTP status; `None`: the one that the service's model gives the code."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


INVALID_INPUT = "InvalidInput"
MALFORMED_INPUT = "MalformedInput"
INVALID_ACTION = "InvalidAction"
ACCESS_DENIED = "AccessDenied"
THROTTLING = "Throttling"
THROTTLING_OF_TAGS = "ThrottlingException"
"""The same, where an operation has an error of its own for it."""
INTERNAL = "InternalFailure"
