"""From what many zones cost to the figures of `scripts/bench-zones`."""

from __future__ import annotations

import dataclasses
import json

from bench.documents import replaced
from bench.zones.figures import BEGIN, END, as_json, markdown, of_many
from bench.zones.many import Many, Took

ABOUT = {
    "started": "2026-01-01T00:00:00+00:00",
    "cores": 2,
    "python": "3.11",
    "load at the start": (1.0, 1.0, 1.0),
    "load at the end": (2.0, 2.0, 2.0),
}
MANY = Many(
    zones=1000,
    first=Took(60.0, 30.0, 15.0),
    restart=Took(6.0, 5.0, 0.0),
    answered=1000,
    memory=140_000_000,
    memory_alone=100_000_000,
    memory_refreshed=150_000_000,
    idle=Took(60.0, 0.6, 0.0),
    status=2.0,
    status_json=1.0,
    metrics=0.4,
    metrics_size=2_000_000,
    silence=0.07,
    reload=Took(2.0, 1.0, 0.0),
    refresh=Took(60.0, 30.0, 15.0),
    refresh_silence=0.02,
    kms=500.0,
    kms_spread=(490.0, 510.0),
    kms_client_cpu=0.0007,
)


def judged(measured: Many) -> list[bool]:
    return [figure.good for figure in of_many(measured) if figure.good is not None]


def test_start_memory_and_refresh_are_judged() -> None:
    assert MANY.a_zone == 40_000
    assert MANY.a_zone_refreshed == 50_000
    assert MANY.refresh_ratio == 2.0
    assert judged(MANY) == [True, True, True]
    assert judged(dataclasses.replace(MANY, restart=Took(6.1, 5.0, 0.0))) == [False, True, True]
    assert judged(dataclasses.replace(MANY, memory=140_001_000)) == [True, False, True]
    assert judged(dataclasses.replace(MANY, refresh=Took(60.1, 30.0, 15.0))) == [True, True, False]


def test_the_document_and_the_file_have_every_figure() -> None:
    figures = of_many(MANY)
    page = replaced(f"before\n{BEGIN}\nold\n{END}\nafter\n", markdown(ABOUT, figures), BEGIN, END)
    assert "old" not in page
    assert page.count("\n| ") == len(figures) + 1
    assert "2.00 × the KMS alone | ≤ 2 × | reached |" in page
    assert page.startswith("before\n")
    assert page.endswith(f"{END}\nafter\n")
    stored = json.loads(json.dumps(as_json(ABOUT, figures, MANY)))
    assert stored["many"]["restart"] == {"seconds": 6.0, "cpu": 5.0, "kms_cpu": 0.0}
    assert len(stored["figures"]) == len(figures)
