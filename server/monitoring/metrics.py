"""The metrics at /metrics: every value is computed on request, from counters elsewhere.

Of the keys, CloudWatch's metrics of Route 53 keep their names, in snake case and with units (`hosted_zone` is the
dimension HostedZoneId); all else begins with `signwright_`. Times are seconds, moments seconds since the epoch.
The registry is handed in: nothing here is global.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import dns.rcode
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from keys.rules.key_status import Condition, ZoneStatus
from keys.rules.keyring import KskStatus, ZskPhase
from keys.rules.parent_report import DsState
from server.control.server_operations import STATE_TROUBLE, ServerStatus, server_level, zone_level
from server.monitoring.query_stats import QueryStats

_LATENCIES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
"""Bounds of the histogram: an emulator beside us answers in milliseconds; a call ends after 10 s."""
_ZONE = ("hosted_zone", "zone")


class KmsMeter:
    """Counts the calls of a `KmsClient`, as its `on_call`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "signwright_kms_calls",
            'KMS calls by result: "ok", or the error',
            ("operation", "result"),
            registry=registry,
        )
        self._seconds = Histogram(
            "signwright_kms_call_duration_seconds",
            "Duration of KMS calls, with any result",
            ("operation",),
            buckets=_LATENCIES,
            registry=registry,
        )

    def __call__(self, operation: str, result: str, seconds: float) -> None:
        """Count one call."""
        self._calls.labels(operation, result).inc()
        self._seconds.labels(operation).observe(seconds)


class ServerCollector(Collector):
    """The server, its zones and their keys, from one status."""

    def __init__(self, status: Callable[[], ServerStatus]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client asks."""
        return server_metrics(self._status())


class QueryStatsCollector(Collector):
    """What was answered, and what the caches did for it."""

    def __init__(self, query_stats: Callable[[], QueryStats]) -> None:
        self._query_stats = query_stats

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client asks."""
        return query_stats_metrics(self._query_stats())


def register(
    registry: CollectorRegistry, status: Callable[[], ServerStatus], query_stats: Callable[[], QueryStats]
) -> None:
    """Have the registry ask for everything but KMS calls (`KmsMeter`), the process's own metrics with them."""
    registry.register(ServerCollector(status))
    registry.register(QueryStatsCollector(query_stats))
    ProcessCollector(registry=registry)


def exposition(registry: CollectorRegistry) -> bytes:
    """Everything, in Prometheus's text format 0.0.4."""
    return generate_latest(registry)


def server_metrics(status: ServerStatus) -> Iterator[Metric]:
    """The metrics of one status."""
    yield InfoMetricFamily("signwright_build", "The version of the running server", {"version": status.version})
    yield GaugeMetricFamily(
        "signwright_level", "Exit code of signwright status: 0 OK, 1 warning, 2 critical", server_level(status)
    )
    yield GaugeMetricFamily(
        "signwright_state_writable",
        "Whether the state can be written (0 or 1)",
        all(trouble.what != STATE_TROUBLE for trouble in status.troubles),
    )
    if status.clock_synchronised is not None:
        yield GaugeMetricFamily(
            "signwright_clock_synchronised",
            "Whether the kernel calls the system clock synchronised (0 or 1; absent where it does not say)",
            status.clock_synchronised,
        )
    zones = _Gauges(
        {
            "signwright_zone_level": "Level of the zone in signwright status: 0 OK, 1 warning, 2 critical",
            "signwright_zone_serial": "Serial of the zone that is served",
            "signwright_zone_refused": "Whether the zone file's current content is rejected (0 or 1)",
        },
        ("zone",),
    )
    for zone in status.zones:
        zones.add("signwright_zone_level", zone_level(zone, status.now), zone.origin)
        zones.add("signwright_zone_refused", zone.refused is not None, zone.origin)
        if zone.serial is not None:
            zones.add("signwright_zone_serial", zone.serial, zone.origin)
    yield from zones
    signed = [(zone.keys, zone.refreshes) for zone in status.zones if zone.keys is not None]
    yield from _route53_metrics([keys for keys, _ in signed], status.now)
    yield from _key_metrics([keys for keys, _ in signed], status.now)
    yield from _probe_metrics([keys for keys, _ in signed])
    if status.workers:
        backends = sum(worker.version is not None for worker in status.workers)
        yield GaugeMetricFamily("signwright_workers", "Workers that answer queries", backends)
        yield CounterMetricFamily(
            "signwright_worker_restarts",
            "How often a worker was replaced",
            sum(worker.restarts for worker in status.workers),
        )
    refreshes = CounterMetricFamily("signwright_refreshes", "DNSKEY RRsets newly signed by the KMS", labels=_ZONE)
    for keys, count in signed:
        refreshes.add_metric(_labels(keys), count)
    yield refreshes


def _route53_metrics(zones: list[ZoneStatus], now: int) -> Iterator[Metric]:
    """CloudWatch's metrics of Route 53 with DNSSEC."""
    gauges = _Gauges(
        {
            "dnssec_internal_failure": "Whether the zone's keys are frozen by a failure of our own (0 or 1)",
            "dnssec_key_signing_keys_needing_action": "KSKs in ACTION_NEEDED",
            "dnssec_key_signing_key_max_needing_action_age_seconds": "Longest time of a KSK in ACTION_NEEDED",
            "dnssec_key_signing_key_age_seconds": "Age of the oldest KSK",
        },
        _ZONE,
    )
    for zone in zones:
        labels = _labels(zone)
        needing = [ksk for ksk in zone.ksks if ksk.status is KskStatus.ACTION_NEEDED]
        ages = [now - ksk.created for ksk in zone.ksks if ksk.created is not None]
        waits = [now - ksk.changed for ksk in needing if ksk.changed is not None]
        gauges.add("dnssec_internal_failure", zone.condition is Condition.FROZEN, *labels)
        gauges.add("dnssec_key_signing_keys_needing_action", len(needing), *labels)
        gauges.add("dnssec_key_signing_key_max_needing_action_age_seconds", max([0, *waits]), *labels)
        gauges.add("dnssec_key_signing_key_age_seconds", max([0, *ages]), *labels)
    return iter(gauges)


def _key_metrics(zones: list[ZoneStatus], now: int) -> Iterator[Metric]:
    gauges = _Gauges(
        {
            "signwright_zone_runway_seconds": "Time until the zone becomes bogus if the KMS stops signing now",
            "signwright_zone_safe_runway_seconds": "The same for a KSK that the DS may name, if that is earlier",
            "signwright_zone_refreshed_timestamp_seconds": "When the DNSKEY RRset was last signed",
            "signwright_parent_ds_gone": "Whether the parent's DS named a KSK of the zone and is gone (0 or 1)",
            "signwright_parent_ns_differs": "Whether the parent's NS records differ from the zone's own (0 or 1)",
            "signwright_parent_checked_timestamp_seconds": "When the parent last answered a query for its DS",
            "signwright_zsk_rotation_suspended": "Whether a KSK in ACTION_NEEDED suspends ZSK rotation (0 or 1)",
            "signwright_zsk_next_transition_timestamp_seconds": "When the next step of the ZSK rollover is due",
        },
        _ZONE,
    )
    conditions = GaugeMetricFamily(
        "signwright_zone_condition", "1 for the present condition of the zone's keys", labels=(*_ZONE, "condition")
    )
    of_ksk = (*_ZONE, "ksk")
    statuses = GaugeMetricFamily("signwright_ksk_status", "1 for the KSK's present status", labels=(*of_ksk, "status"))
    runways = GaugeMetricFamily(
        "signwright_ksk_runway_seconds", "Time until the last RRSIG of the KSK expires", labels=of_ksk
    )
    parents = GaugeMetricFamily(
        "signwright_parent_ds", "1 for the state of the parent's DS beside the keys", labels=(*_ZONE, "state")
    )
    phases = GaugeMetricFamily("signwright_zsk_phase", "1 for the ZSK's phase", labels=(*_ZONE, "zsk", "phase"))
    for zone in zones:
        labels = _labels(zone)
        for name, moment in (
            ("signwright_zone_runway_seconds", zone.valid_until),
            ("signwright_zone_safe_runway_seconds", zone.safe_until),
        ):
            if moment is not None:
                gauges.add(name, moment - now, *labels)
        if zone.refreshed is not None:
            gauges.add("signwright_zone_refreshed_timestamp_seconds", zone.refreshed, *labels)
        if zone.rollover_at is not None:
            gauges.add("signwright_zsk_next_transition_timestamp_seconds", zone.rollover_at, *labels)
        gauges.add("signwright_zsk_rotation_suspended", zone.suspended_since is not None, *labels)
        gauges.add("signwright_parent_ds_gone", zone.parent_ds.is_gone, *labels)
        gauges.add("signwright_parent_ns_differs", bool(zone.parent_ds.parent_ns), *labels)
        if zone.parent_ds.checked is not None:
            gauges.add("signwright_parent_checked_timestamp_seconds", zone.parent_ds.checked, *labels)
        for state in DsState:
            parents.add_metric((*labels, state.value), float(zone.parent_ds.state is state))
        for condition in Condition:
            conditions.add_metric((*labels, condition.value), float(zone.condition is condition))
        for ksk in zone.ksks:
            statuses.add_metric((*labels, ksk.name, ksk.status.value), 1)
            if ksk.valid_until is not None:
                runways.add_metric((*labels, ksk.name), ksk.valid_until - now)
        for zsk in zone.zsks:
            if zsk.phase is not ZskPhase.REMOVED:
                phases.add_metric((*labels, str(zsk.sequence), zsk.phase.value), 1)
    yield from gauges
    yield conditions
    yield parents
    yield statuses
    yield runways
    yield phases


def _probe_metrics(zones: list[ZoneStatus]) -> Iterator[Metric]:
    """What came of asking the KMS between two refreshes."""
    gauges = _Gauges(
        {
            "signwright_ksk_probe_failed": "Whether the KMS would not sign with the KSK at the next refresh (0 or 1)",
            "signwright_ksk_probed_timestamp_seconds": "When the KMS was last asked that, since it last signed",
        },
        (*_ZONE, "ksk"),
    )
    for zone in zones:
        for ksk in zone.ksks:
            gauges.add("signwright_ksk_probe_failed", ksk.probe_trouble is not None, *_labels(zone), ksk.name)
            if ksk.probed is not None:
                gauges.add("signwright_ksk_probed_timestamp_seconds", ksk.probed, *_labels(zone), ksk.name)
    return iter(gauges)


def query_stats_metrics(query_stats: QueryStats) -> Iterator[Metric]:
    """Queries by what came of them, and the caches."""
    queries = CounterMetricFamily(
        "signwright_queries",
        'Queries by transport and by the RCODE in the header of the response; "none" got no response',
        labels=("transport", "rcode"),
    )
    for transport, counts in (("udp", query_stats.udp), ("tcp", query_stats.tcp)):
        for rcode, count in enumerate(counts[:-1]):
            if count or rcode == dns.rcode.NOERROR:
                queries.add_metric((transport, dns.rcode.to_text(dns.rcode.Rcode.make(rcode))), count)
        queries.add_metric((transport, "none"), counts[-1])
    yield queries
    dropped = CounterMetricFamily(
        "signwright_dropped_queries",
        "Queries over UDP without a response, because more came than the server could sign, by cause: too_many were "
        "waiting, the query was too_old, or its client repeated it",
        labels=("cause",),
    )
    for cause, count in query_stats.dropped.items():
        dropped.add_metric((cause,), count)
    yield dropped
    hits = CounterMetricFamily(
        "signwright_hot_queries", "Queries over UDP that were answered NOERROR from the cache of whole responses"
    )
    hits.add_metric((), query_stats.hot)
    yield hits
    stored = CounterMetricFamily(
        "signwright_cache_stored", "Entries made because the cache did not have them", labels=("cache",)
    )
    entries = GaugeMetricFamily("signwright_cache_entries", "Entries in the cache", labels=("cache",))
    for name, count in query_stats.stored.items():
        stored.add_metric((name,), count)
    for name, count in query_stats.entries.items():
        entries.add_metric((name,), count)
    yield stored
    yield entries
    yield GaugeMetricFamily("signwright_tcp_connections", "Open TCP connections", query_stats.tcp_open)
    ended = CounterMetricFamily(
        "signwright_tcp_connections_ended",
        'TCP connections that the server closed, by cause: "idle", "slow" (does not read responses), "full", "share"'
        ' (of a prefix), "octets" (too many wait for clients), "silence" (sent octets that no DNS client sends)',
        labels=("cause",),
    )
    for cause, count in query_stats.tcp_ended.items():
        ended.add_metric((cause,), count)
    yield ended
    flooded = GaugeMetricFamily(
        "signwright_zone_flooded",
        "Number of answering processes that use the zone's NSEC chain because of a flood of random names",
        labels=("zone",),
    )
    for zone, count in query_stats.flooded.items():
        flooded.add_metric((zone,), count)
    yield flooded
    yield from _abuse_metrics(query_stats)


def _abuse_metrics(query_stats: QueryStats) -> Iterator[Metric]:
    cookies = CounterMetricFamily(
        "signwright_cookies", "Queries with a DNS cookie, by the standing of the sender", labels=("standing",)
    )
    for standing, count in query_stats.cookies.items():
        cookies.add_metric((standing,), count)
    yield cookies
    limited = CounterMetricFamily(
        "signwright_limited_responses",
        'Responses over UDP beyond the rate limit of a network, by class: "dropped", or "slipped" with TC set',
        labels=("class", "result"),
    )
    for result, counts in (("dropped", query_stats.limited), ("slipped", query_stats.slipped)):
        for response_class, count in counts.items():
            limited.add_metric((response_class, result), count)
    yield limited
    lines = CounterMetricFamily(
        "signwright_query_log_lines",
        'Lines of the query log: "written", or "lost" because memory or disk was full',
        labels=("result",),
    )
    lines.add_metric(("written",), query_stats.logged)
    lines.add_metric(("lost",), query_stats.unlogged)
    yield lines


class _Gauges:
    """Gauges with the same labels."""

    def __init__(self, described: dict[str, str], labels: tuple[str, ...]) -> None:
        self._families = {name: GaugeMetricFamily(name, text, labels=labels) for name, text in described.items()}

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._families.values())

    def add(self, name: str, value: float, *labels: str) -> None:
        self._families[name].add_metric(labels, float(value))


def _labels(zone: ZoneStatus) -> tuple[str, str]:
    return zone.hosted_zone_id, zone.zone
