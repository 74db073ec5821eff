"""A page of a listing is bounded in octets too, and says where the next begins."""

from __future__ import annotations

from typing import Any, cast

from server.hosting.zone_operations import ZoneOperations
from server.route53.api_call import ApiCall
from server.route53.records import LARGEST_PAGE, MOST_RECORD_SETS, list_all
from zones.recordsets.record_sets import Position, RecordSet

VALUES = tuple(f'"{number:04}{"x" * 200}"' for number in range(100))
RECORD_SETS = [RecordSet(name=f"h{number:03}.a.example.", type="TXT", ttl=60, values=VALUES) for number in range(100)]


class Zones:
    """Record sets in order of their names."""

    async def record_sets(self, _: str, start: Position | None, limit: int) -> tuple[RecordSet, ...]:
        return tuple([one for one in RECORD_SETS if start is None or one.name >= start.name][:limit])


async def page(**start: str) -> dict[str, Any]:
    params = {"HostedZoneId": "Z1", **start}
    return await list_all(ApiCall(params, cast(ZoneOperations, Zones()), (), lambda _: None, ""))


async def test_pages_that_follow_each_other_have_everything_once() -> None:
    found, pages = [], 1
    given = await page()
    while True:
        size = sum(len(record["Value"]) for one in given["ResourceRecordSets"] for record in one["ResourceRecords"])
        assert size <= LARGEST_PAGE
        assert given["MaxItems"] == MOST_RECORD_SETS
        found += [one["Name"] for one in given["ResourceRecordSets"]]
        if not given["IsTruncated"]:
            break
        given = await page(StartRecordName=given["NextRecordName"], StartRecordType=given["NextRecordType"])
        pages += 1
    assert found == [one.name for one in RECORD_SETS]
    assert pages >= 4
