"""Sign calls and nothing else, by the server's own client and with its concurrency: the rate that the KMS allows.

A program, so that it can have the core that the server had: `python -m bench.zones.bare ENDPOINT ARN CALLS`. Prints
the seconds that the calls took, and the seconds of CPU time that this program used for them.
"""

from __future__ import annotations

import sys
import time

import trio
from botocore.session import Session

from keys.kms.interface import MAXIMUM_MESSAGE
from keys.kms.kms_client import KmsClient
from server.kms_connection import SIGNERS

_MESSAGE = bytes(300)
"""About as long as the data to sign of a DNSKEY RRset with a KSK and a ZSK."""
assert len(_MESSAGE) <= MAXIMUM_MESSAGE


async def sign(endpoint: str, arn: str, calls: int) -> tuple[float, float]:
    """Make so many calls; seconds, and seconds of CPU time."""
    waiting = iter(range(calls))
    client = KmsClient(
        endpoint=endpoint,
        make_session=Session,
        run_blocking=trio.to_thread.run_sync,
        now=time.time,
        monotonic=time.monotonic,
    )

    async def caller() -> None:
        for _ in waiting:
            await client.sign(arn, "Z1", _MESSAGE)

    async with client:
        await client.sign(arn, "Z1", _MESSAGE)  # what is set up once
        began, used = time.monotonic(), time.process_time()
        async with trio.open_nursery() as nursery:
            for _ in range(SIGNERS):
                nursery.start_soon(caller)
        return time.monotonic() - began, time.process_time() - used


if __name__ == "__main__":
    taken, used = trio.run(sign, sys.argv[1], sys.argv[2], int(sys.argv[3]))
    print(taken, used)
