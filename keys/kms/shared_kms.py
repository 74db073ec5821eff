"""A KMS for thousands of zones at once.

What one zone asks now and then, thousands may ask in the same moment: at a first start, or when the KMS is back. So
calls wait for their turn here, where no time-out runs yet; Sign calls have a limit of their own, set by their caller,
and connections that no other call takes.
And `find_key`, which looks at every key of the account, is asked for all who wait at once; what a key's tags are, is
asked once. A token that was coined in this life of the process, and never sent, is looked for nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import trio

from keys.kms.interface import KeyRequest, KmsSignature, PublicKey
from keys.kms.kms_client import KmsClient
from keys.kms.kms_errors import KmsError

OTHER_CALLS = 8
"""Calls other than Sign, and than those that list keys, that are in flight at one time."""
PROBES = 2
"""Probes that are in flight at one time, of those calls: when a KMS is slow, they leave room for the others."""
_MOST_COINED = 1 << 17
"""Tokens that are remembered; of one that was forgotten, `find_key` asks."""


class SharedKms:
    """A `Kms`: the client's, with its calls in turn."""

    def __init__(self, client: KmsClient, calls: int = OTHER_CALLS) -> None:
        """`calls` other than Sign are in flight at one time, and one that lists keys or their tags."""
        self._client = client
        self._turn = trio.CapacityLimiter(calls)
        self._probing = trio.CapacityLimiter(PROBES)
        self._coined: dict[str, None] = {}
        """Tokens that no KMS can know, oldest first."""
        self._tags: dict[str, Mapping[str, str]] = {}
        """The tags of each key that was made here or listed, by ARN."""
        self._listing = trio.Lock()
        self._asked = 0
        """How often `find_key` was asked."""
        self._listed = 0
        """What `_asked` was when the newest list was begun: it answers all who had asked by then."""
        self._keys: dict[tuple[str, str], list[str]] = {}
        """ARNs of the newest list, by tag."""
        self._failure: KmsError | None = None
        """Why the newest list is none."""

    def coin(self, token: str) -> str:
        """Take note that this token, unpredictable and just drawn, is in no key's tags yet; returns it."""
        self._coined[token] = None
        if len(self._coined) > _MOST_COINED:
            del self._coined[next(iter(self._coined))]
        return token

    async def create_key(self, request: KeyRequest) -> str:
        """See `Kms.create_key`."""
        async with self._turn:
            for value in request.tags.values():
                self._coined.pop(value, None)
            arn = await self._client.create_key(request)
        self._tags[arn] = dict(request.tags)
        return arn

    async def find_key(self, tag: str, value: str) -> str | None:
        """See `Kms.find_key`."""
        if value in self._coined:
            await trio.lowlevel.checkpoint()
            return None
        self._asked += 1
        mine = self._asked
        async with self._listing:
            if self._listed < mine:
                # One that was under way when this was asked may have passed by what is looked for.
                await self._list()
        if self._failure is not None:
            raise self._failure.with_traceback(None)  # or thousands who wait would each make it longer
        for arn in self._keys.get((tag, value), ()):
            async with self._turn:
                if await self._client.is_alive(arn):
                    return arn
        return None

    async def get_public_key(self, arn: str, hosted_zone_id: str) -> PublicKey:
        """See `Kms.get_public_key`."""
        async with self._turn:
            return await self._client.get_public_key(arn, hosted_zone_id)

    async def sign(self, arn: str, hosted_zone_id: str, message: bytes) -> KmsSignature:
        """See `Kms.sign`."""
        return await self._client.sign(arn, hosted_zone_id, message)

    async def probe(self, arn: str, hosted_zone_id: str) -> None:
        """See `Kms.probe`."""
        async with self._probing, self._turn:
            await self._client.probe(arn, hosted_zone_id)

    async def _list(self) -> None:
        """List all keys, with the tags of those that are new."""
        covered = self._asked
        keys: dict[tuple[str, str], list[str]] = {}
        failure = None
        try:
            for arn in await self._client.list_keys():
                tags = self._tags.get(arn)
                if tags is None and (tags := await self._client.tags(arn)) is not None:
                    self._tags[arn] = tags
                for item in (tags or {}).items():
                    keys.setdefault(item, []).append(arn)
        except KmsError as error:
            failure = error
        self._listed, self._keys, self._failure = covered, keys, failure
