"""What monitoring reads: parsed back by Prometheus's own parser, and compared with the alert rules that ship."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import dns.edns
import dns.message
import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from keys.dnssec.signing_policy import Policy
from keys.rules.commands import DisableSigning, decide
from keys.rules.events import KskIntended, ParentSeen
from keys.rules.key_status import describe
from keys.rules.keyring import Trouble
from keys.rules.transitions import evolve
from server.control.server_operations import STATE_TROUBLE, ServerStatus, WorkerReport, ZoneReport
from server.monitoring.metrics import KmsMeter, exposition, query_stats_metrics, register
from server.monitoring.query_stats import QueryStats
from server.net.response_rate_limit import ResponseRateLimit
from server.net.tcp_load import Ended, Limits, TcpLoad
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.supervised import ServerTrouble
from tests.keys.rules.key_history import DAY, START, history
from tests.lab import CLIENT, FACTS, datagrams, signed, surprised
from tests.lab import NOW as LAB_NOW
from zones.masterfile.load import parse_zone
from zones.zoneset import ZoneSet

ROOT = Path(__file__).parents[3]
ZONE = {"hosted_zone": "Z" + "A" * 20, "zone": "lab.example."}

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


def read(text: bytes) -> Samples:
    """Every sample by name and labels."""
    found: Samples = {}
    for family in text_string_to_metric_families(text.decode()):
        assert family.documentation
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def value(samples: Samples, name: str, labels: Mapping[str, str]) -> float | None:
    return samples.get(name, {}).get(tuple(sorted(labels.items())))


def status_of(zones: tuple[ZoneReport, ...], now: int) -> ServerStatus:
    return ServerStatus(
        version="1.2", pid=1, now=now, started=now - 60, state="/s", listeners=(), kms="http://k", zones=zones
    )


def report(keyring_at: int, refused: tuple[tuple[str, int, int], ...] = (), *, frozen: bool = False) -> ZoneReport:
    """A zone that was kept until then, with a second KSK since its 20th day."""
    asked = [(START + 20 * DAY, KskIntended(START + 20 * DAY, "ksk_2", "t", None))]
    keyring, _ = history(keyring_at, asked, refused)
    return ZoneReport(
        origin="lab.example.",
        file="f",
        serial=7,
        signed=True,
        denial="compact",
        example="x A",
        refreshes=31,
        keys=describe(keyring, Policy(), keyring_at, None, "a bug: KeyError" if frozen else None, frozen),
    )


def metrics_of(
    status: ServerStatus,
    responder: Responder | None = None,
    caches: Caches | None = None,
    limit: ResponseRateLimit | None = None,
) -> Samples:
    registry = CollectorRegistry()
    KmsMeter(registry)("Sign", "ok", 0.004)
    caches = caches or Caches()
    responder = responder or Responder(ZoneSet, caches, surprised)
    register(registry, lambda: status, partial(QueryStats.of, responder, caches, TcpLoad(Limits()), limit))
    return read(exposition(registry))


def test_a_quiet_zone() -> None:
    now = START + 30 * DAY + 7200
    zone = report(now)
    assert zone.keys is not None
    found = metrics_of(status_of((zone,), now))
    for name, expected in {
        "dnssec_internal_failure": 0,
        "dnssec_key_signing_keys_needing_action": 0,
        "dnssec_key_signing_key_max_needing_action_age_seconds": 0,
        "dnssec_key_signing_key_age_seconds": now - START,
        "signwright_zone_runway_seconds": (zone.keys.valid_until or 0) - now,
        "signwright_zone_safe_runway_seconds": (zone.keys.safe_until or 0) - now,
        "signwright_zone_refreshed_timestamp_seconds": zone.keys.refreshed,
        "signwright_zsk_rotation_suspended": 0,
        "signwright_zsk_next_transition_timestamp_seconds": zone.keys.rollover_at,
        "signwright_refreshes_total": 31,
    }.items():
        assert value(found, name, ZONE) == expected, name
    assert value(found, "signwright_zone_level", {"zone": "lab.example."}) == 0
    assert value(found, "signwright_zone_serial", {"zone": "lab.example."}) == 7
    assert value(found, "signwright_zone_condition", {**ZONE, "condition": "signing"}) == 1
    assert sum(found["signwright_zone_condition"].values()) == 1
    assert value(found, "signwright_ksk_status", {**ZONE, "ksk": "ksk_2", "status": "ACTIVE"}) == 1
    runways = found["signwright_ksk_runway_seconds"]
    assert set(runways.values()) == {(zone.keys.valid_until or 0) - now}
    assert len(runways) == 2
    phases = {labels[1][1]: labels[3][1] for labels in found["signwright_zsk_phase"]}
    assert phases == {"active": str(max(zsk.sequence for zsk in zone.keys.zsks))}
    assert value(found, "signwright_build_info", {"version": "1.2"}) == 1
    assert found["process_cpu_seconds_total"]


def test_a_ksk_that_needs_action_and_a_failure_of_our_own() -> None:
    since, now = START + 25 * DAY, START + 27 * DAY
    zone = report(now, (("ksk_2", since, now + DAY),))
    assert zone.keys is not None
    broken = zone.keys.ksks[1]
    found = metrics_of(status_of((zone,), now))
    assert value(found, "dnssec_key_signing_keys_needing_action", ZONE) == 1
    assert value(found, "dnssec_key_signing_key_max_needing_action_age_seconds", ZONE) == now - (broken.changed or 0)
    assert 0 < now - (broken.changed or 0) <= 2 * DAY
    assert value(found, "signwright_ksk_status", {**ZONE, "ksk": "ksk_2", "status": "ACTION_NEEDED"}) == 1
    assert value(found, "signwright_zsk_rotation_suspended", ZONE) == 1
    one, other = (
        value(found, "signwright_ksk_runway_seconds", {**ZONE, "ksk": name}) or 0 for name in ("ksk_1", "ksk_2")
    )
    assert one - other >= DAY  # the other one goes on being refreshed
    assert value(found, "signwright_zone_safe_runway_seconds", ZONE) == other
    assert value(found, "signwright_zone_runway_seconds", ZONE) == one
    frozen = metrics_of(status_of((report(START + DAY, frozen=True),), START + DAY))
    assert value(frozen, "dnssec_internal_failure", ZONE) == 1
    assert value(frozen, "signwright_level", {}) == 2
    assert value(frozen, "signwright_zone_condition", {**ZONE, "condition": "frozen"}) == 1


def test_zones_without_keys_and_keys_without_signatures() -> None:
    unsigned = ZoneReport(origin="plain.", file="f", serial=1, signed=False, denial="nsec", example="x A")
    gone = msgspec.structs.replace(unsigned, origin="gone.", serial=None, refused="gone.zone:1: no")
    keyring, _ = history(START + DAY)
    for event in (ParentSeen(START + DAY, (), 60), *decide(keyring, DisableSigning(force=True), START + DAY, "")):
        keyring = evolve(keyring, event)
    off = msgspec.structs.replace(report(START + DAY), keys=describe(keyring, Policy(), START + DAY, None, None, False))
    found = metrics_of(status_of((unsigned, gone, off), START + DAY))
    levels = {dict(labels)["zone"]: level for labels, level in found["signwright_zone_level"].items()}
    assert levels == {"plain.": 0, "gone.": 2, "lab.example.": 0}
    assert value(found, "signwright_zone_refused", {"zone": "gone."}) == 1
    assert value(found, "signwright_zone_serial", {"zone": "gone."}) is None
    assert value(found, "signwright_zone_condition", {**ZONE, "condition": "unsigned"}) == 1
    assert value(found, "signwright_zone_runway_seconds", ZONE) is None
    assert "signwright_zsk_next_transition_timestamp_seconds" not in found


def test_queries_by_transport_and_rcode_however_they_were_answered() -> None:
    text = """\
@ 300 SOA ns1 h 1 7200 3600 1209600 300
@ 300 NS ns1
ns1 300 A 192.0.2.1
www 300 A 192.0.2.2
to 300 CNAME no
"""
    zoneset = signed(parse_zone(text, "lab.example."))
    caches = Caches()
    responder = Responder(lambda: zoneset, caches, surprised)

    def query(name: str, *, want_dnssec: bool = False) -> bytes:
        return dns.message.make_query(name, "A", want_dnssec=want_dnssec).to_wire()

    www = query("www.lab.example.", want_dnssec=True)
    for packets in (
        [www, www, www],
        [www],  # hot by now
        [www.replace(b"www", b"WwW")],
        [query("nowhere.lab.example."), query("nowhere.lab.example.", want_dnssec=True), query("elsewhere.example.")],
        [b"", www[:11], www[:20]],
        *[[query("to.lab.example.")]] * 3,  # an alias that exists, to a name that does not
    ):
        datagrams(responder, packets, LAB_NOW)
    for message in (www, query("nowhere.lab.example."), b""):
        responder.messages([message], LAB_NOW)
    responder.dropped.too_old += 7
    found = metrics_of(status_of((), LAB_NOW), responder, caches)
    counted = {tuple(v for _, v in labels): count for labels, count in found["signwright_queries_total"].items()}
    assert counted == {
        ("NOERROR", "udp"): 6,  # what is denied with DO is NOERROR (RFC 9824)
        ("NXDOMAIN", "udp"): 4,
        ("REFUSED", "udp"): 1,
        ("FORMERR", "udp"): 1,
        ("none", "udp"): 2 + 7,
        ("NOERROR", "tcp"): 1,
        ("NXDOMAIN", "tcp"): 1,
        ("none", "tcp"): 1,
    }
    assert 1 <= (value(found, "signwright_hot_queries_total", {}) or 0) <= 4
    assert value(found, "signwright_dropped_queries_total", {"cause": "too_old"}) == 7
    assert value(found, "signwright_cache_stored_total", {"cache": "packets"}) == 1
    assert value(found, "signwright_cache_entries", {"cache": "packets"}) == 1
    assert (value(found, "signwright_cache_stored_total", {"cache": "signatures"}) or 0) >= 1


def test_cookies_and_limited_responses_are_counted() -> None:
    zoneset = signed(parse_zone("@ 1 SOA ns h 1 2 3 4 5\n@ 1 NS ns.elsewhere.test.\n", "lab.example."))
    caches, limit = Caches(), ResponseRateLimit(1)
    responder = Responder(lambda: zoneset, caches, surprised, facts=FACTS)
    asked = dns.message.make_query("lab.example.", "SOA", options=[dns.edns.GenericOption("COOKIE", b"abcdefgh")])
    for _ in range(8):
        responses = responder.datagrams([asked.to_wire()[2:]], LAB_NOW, lambda _: CLIENT)
        limit.apply(responses, lambda _: [CLIENT[:3]], lambda _: CLIENT, (), LAB_NOW)
    found = metrics_of(status_of((), LAB_NOW), responder, caches, limit)
    assert value(found, "signwright_cookies_total", {"standing": "client_only"}) == 8
    assert value(found, "signwright_cookies_total", {"standing": "valid"}) == 0
    results = {"answer": 0.0, "error": 0.0}
    for kind in results:
        for result in ("dropped", "slipped"):
            results[kind] += value(found, "signwright_limited_responses_total", {"class": kind, "result": result}) or 0
    assert results == {"answer": 5, "error": 0}  # one is not counted, one makes a suspect, one is allowed
    both = QueryStats.of(responder, caches, TcpLoad(Limits()), limit) + QueryStats.of(
        responder, caches, TcpLoad(Limits()), limit
    )
    assert both.cookies["client_only"] == 16
    assert sum(both.limited.values()) + sum(both.slipped.values()) == 10


def test_a_state_that_cannot_be_written() -> None:
    well = status_of((), START)
    full = msgspec.structs.replace(well, troubles=(ServerTrouble(what=STATE_TROUBLE, since=START, reason="full"),))
    hook = msgspec.structs.replace(well, troubles=(ServerTrouble(what="hooks", since=START, reason="x"),))
    found = [value(metrics_of(status), "signwright_state_writable", {}) for status in (well, full, hook)]
    assert found == [1, 0, 1]


def test_whether_the_clock_is_synchronised_is_told_where_that_is_known() -> None:
    well = status_of((), START)
    told = [msgspec.structs.replace(well, clock_synchronised=known) for known in (True, False, None)]
    assert [value(metrics_of(one), "signwright_clock_synchronised", {}) for one in told] == [1, 0, None]


def test_a_probe_that_failed() -> None:
    zone = report(START + DAY)
    assert zone.keys is not None
    trouble = Trouble("Sign with DryRun", "X", "no", "r", True, START, START, 1)
    ksks = (msgspec.structs.replace(zone.keys.ksks[0], probed=START + 7, probe_trouble=trouble), *zone.keys.ksks[1:])
    failed = msgspec.structs.replace(zone, keys=msgspec.structs.replace(zone.keys, ksks=ksks))
    labels = {"hosted_zone": zone.keys.hosted_zone_id, "zone": "lab.example.", "ksk": "ksk_1"}
    for one, expected, at in ((zone, 0, None), (failed, 1, START + 7)):
        found = metrics_of(status_of((one,), START + DAY))
        assert value(found, "signwright_ksk_probe_failed", labels) == expected
        assert value(found, "signwright_ksk_probed_timestamp_seconds", labels) == at


def test_kms_calls_by_result_and_latency() -> None:
    registry = CollectorRegistry()
    meter = KmsMeter(registry)
    meter("Sign", "ok", 0.004)
    meter("Sign", "ok", 0.4)
    meter("Sign", "ThrottlingException", 11)
    found = read(exposition(registry))
    assert value(found, "signwright_kms_calls_total", {"operation": "Sign", "result": "ok"}) == 2
    assert value(found, "signwright_kms_calls_total", {"operation": "Sign", "result": "ThrottlingException"}) == 1
    buckets = {dict(labels)["le"]: n for labels, n in found["signwright_kms_call_duration_seconds_bucket"].items()}
    assert (buckets["0.005"], buckets["0.5"], buckets["10.0"], buckets["+Inf"]) == (1, 2, 2, 3)


def test_two_servers_in_one_process_share_nothing() -> None:
    one, other = metrics_of(status_of((), START)), metrics_of(status_of((), START))
    assert value(one, "signwright_kms_calls_total", {"operation": "Sign", "result": "ok"}) == 1
    assert value(other, "signwright_kms_calls_total", {"operation": "Sign", "result": "ok"}) == 1


def test_the_alert_rules_ask_for_metrics_and_labels_that_there_are() -> None:
    now = START + 27 * DAY
    found = metrics_of(status_of((report(now),), now))
    text = (ROOT / "docs" / "alerts.yml").read_text()
    expressions = re.findall(r"expr: (?:>-\n)?(.*?)\n\s+(?:for|labels):", text, re.DOTALL)
    assert len(expressions) == text.count("- alert: ") == len(set(re.findall(r"- alert: (\w+)", text)))
    asked = {name for expression in expressions for name in re.findall(r"\b(?:signwright|dnssec)_\w+", expression)}
    assert asked <= found.keys()
    assert asked >= {
        "dnssec_key_signing_keys_needing_action",
        "dnssec_internal_failure",
        "signwright_zone_safe_runway_seconds",
        "signwright_zone_level",
    }
    labels = {name: {label for key in samples for label, _ in key} for name, samples in found.items()}
    for alert in text.split("- alert: ")[1:]:
        used = set(re.findall(r"\$labels\.(\w+)", alert)) - {"instance"}  # Prometheus adds that one
        for name in re.findall(r"\b(?:signwright|dnssec)_\w+", alert.partition("annotations:")[0]):
            assert used <= labels[name], alert


def test_the_dashboard_asks_for_metrics_and_labels_that_there_are() -> None:
    now = START + 27 * DAY
    worker = WorkerReport(number=1, pid=1, started=1, version=1, is_behind=False, restarts=0)
    found = metrics_of(msgspec.structs.replace(status_of((report(now),), now), workers=(worker,)))
    dashboard = json.loads((ROOT / "docs" / "grafana-dashboard.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    expressions = [(target["expr"], target["legendFormat"]) for panel in panels for target in panel["targets"]]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    asked: set[str] = set()
    for expression, legend in expressions:
        names = set(re.findall(r"\b(?:signwright|dnssec|process)_\w+", expression))
        assert names
        for name in names:
            labels = {label for key in found[name] for label, _ in key} | {"instance", "job"}
            used = set(re.findall(r"\{\{(\w+)\}\}", legend))
            chosen: list[str] = re.findall(rf"{name}\{{(.*?)\}}", expression)
            used |= {label for one in chosen for label in re.findall(r"(\w+)=", one)}
            assert used <= labels, expression
        asked |= names
    # What is limited, dropped or ended is shown, whatever it is.
    shown = {name for name in found if re.search(r"dropped|limited|ended|log_lines|queries_total", name)}
    assert shown <= asked
    assert re.findall(r"label_values\((\w+)", json.dumps(dashboard["templating"])) == ["signwright_level"]


def test_lines_of_the_query_log_are_counted_over_processes() -> None:
    class Log:
        written, lost = 5, 2

    caches = Caches()
    responder = Responder(ZoneSet, caches, surprised)
    one = QueryStats.of(responder, caches, TcpLoad(Limits()), log=Log())
    total = one + one.past()
    assert (total.logged, total.unlogged) == (10, 4)
    registry = CollectorRegistry()
    register(registry, lambda: status_of((), START), lambda: total)
    found = read(exposition(registry))["signwright_query_log_lines_total"]
    assert found == {(("result", "written"),): 10, (("result", "lost"),): 4}


def test_where_a_zone_is_flooded_is_told() -> None:
    of_two = QueryStats(flooded={"lab.example.": 1}) + QueryStats(flooded={"lab.example.": 1, "other.example.": 0})
    (gauge,) = [metric for metric in query_stats_metrics(of_two) if metric.name == "signwright_zone_flooded"]
    assert {sample.labels["zone"]: sample.value for sample in gauge.samples} == {"lab.example.": 2, "other.example.": 0}
    assert of_two.past().flooded == {}


def test_the_query_stats_of_several_processes_is_their_sum() -> None:
    zoneset = signed(parse_zone("@ 1 SOA ns h 1 2 3 4 5\n@ 1 NS ns.elsewhere.test.\n", "lab.example."))
    each = []
    for count in (1, 3):
        caches = Caches()
        responder = Responder(lambda: zoneset, caches, surprised)
        for _ in range(count):
            datagrams(responder, [dns.message.make_query("lab.example.", "SOA").to_wire(), b""], LAB_NOW)
            responder.messages([b""], LAB_NOW)
        load = TcpLoad(Limits())
        load.open, load.ended[Ended.IDLE] = 2 * count, count
        each.append(QueryStats.of(responder, caches, load))
    total = each[0] + each[1] + QueryStats()
    assert (total.udp[0], total.udp[-1], total.tcp[-1]) == (4, 4, 4)
    assert total.hot == sum(one.hot for one in each) >= 1
    assert total.stored == {name: each[0].stored[name] + each[1].stored[name] for name in each[0].stored}
    assert total.entries == {name: each[0].entries[name] + each[1].entries[name] for name in each[0].entries}
    assert total.entries["answers"] == 2
    assert (total.past().stored, total.past().entries) == (total.stored, {})
    assert (total.tcp_open, total.past().tcp_open, total.tcp_ended["idle"]) == (8, 0, 4)
    assert total.past().tcp_ended == total.tcp_ended
