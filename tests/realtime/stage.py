"""What plays: the real server with its emulator, and unbound, with weeks scaled down to seconds.

One unbound asks the server and caches as resolvers do. Four more validate afresh whatever they are asked; each of them
has its keys from the server and its data from a cache that validates nothing, or the other way round (`parting`). For
two the cache is one more unbound. For the other two it is a `hoard`, which gives the oldest answer that any cache could
still give, and they are asked for names of which one begins a live window in each second. In none of the validators
anything hides a mistake: no slack for clocks, no second try to validate.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import boto3
import dns.name
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from keys.dnssec.signature_validity import live_window
from keys.dnssec.signing_policy import Policy
from keys.rules.key_status import Condition, ZoneStatus
from server.control.control_client import ControlClient
from server.net.addresses import Address
from server.state.directory import StateDir
from tests.interop.programs import unbound
from tests.processes import Serving, run, serving
from tests.realtime.hoard import Hoard
from tests.realtime.parting import Place, Relay
from tests.realtime.watch import NOERROR, NXDOMAIN, Question, Watched, questions

TTL = 6
"""The highest TTL of the zones."""
WINDOW = 6
"""The length of live windows."""
ZONE = f"""\
@ {TTL} SOA ns1 hostmaster 1 7200 3600 1209600 {TTL}
@ {TTL} NS ns1
ns1 {TTL} A 192.0.2.1
www {TTL} A 192.0.2.2
*.wild {TTL} TXT "there"
"""
ZONES = {"classic.example.": ("nsec", NXDOMAIN), "compact.example.": ("compact", NOERROR)}
"""How each denies, and what its denial of a name is to a resolver (RFC 9824: by default NOERROR)."""
POLICY = f"""\
[policy]
dnskey_ttl = 8
slot = 2
refresh = 4
window = {WINDOW}
margin = 1
zsk_lifetime = 26
zsk_jitter = 2
propagation = 1
retry = 1
retry_most = 2
patience = 4
probe = 2
"""
"""A rollover takes 24 seconds and begins 26 to 28 after the one before. A refresh lasts for half a minute, and one
comes while each successor waits for its activation: at most 6 seconds after the publication, 3 before the wait ends.
"""
OFTEN, SELDOM = 0.2, 0.5
"""Seconds from one query to the next of the same kind; the hoards make up for the longer time."""

STRICT = (
    "val-sig-skew-min: 0",
    "val-sig-skew-max: 0",
    "val-bogus-ttl: 0",
    "val-max-restart: 0",
    "val-log-level: 2",
    "infra-host-ttl: 0",  # one datagram that came late does not make the next one wait
)


class Stage(NamedTuple):
    """All that runs, and what a person would do to it."""

    folder: Path
    server: Serving
    resolvers: tuple[Watched, ...]
    hoard: Hoard
    relays: tuple[Relay, ...]
    aws: boto3.Session

    def keys(self, zone: str) -> ZoneStatus:
        """The keys of a zone, as the server tells its command line."""
        status = ControlClient(StateDir(self.folder / "state")).status()
        found = next(report.keys for report in status.zones if report.origin == zone)
        assert found is not None
        return found

    def foretold(self) -> dict[str, int]:
        """By zone, the second at which `signwright status --json` says that it turns bogus."""
        status = json.loads(run("status", "--json", cwd=self.folder).stdout)
        return {zone["origin"]: zone["keys"]["valid_until"] for zone in status["zones"]}

    def conditions(self) -> set[Condition]:
        """The conditions in which the zones' keys are."""
        return {self.keys(zone).condition for zone in ZONES}

    def disable(self, zone: str) -> None:
        """Disable the zone's KSK in the KMS."""
        self.aws.client("kms").disable_key(KeyId=self.keys(zone).ksks[0].arn)

    def enable(self, zone: str) -> None:
        """Enable it again."""
        self.aws.client("kms").enable_key(KeyId=self.keys(zone).ksks[0].arn)

    def break_kms(self) -> None:
        """The KMS fails every request."""
        self._control_faults("POST", json.dumps({"kind": "unavailable"}))

    def mend_kms(self) -> None:
        """It works again."""
        self._control_faults("DELETE", "")

    def _control_faults(self, method: str, body: str) -> None:
        url: str = self.aws.client("kms").meta.endpoint_url
        request = AWSRequest(method, f"{url}/_faults", data=body.encode())
        SigV4Auth(self.aws.get_credentials(), "kms", "us-east-1").add_auth(request)
        connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
        try:
            connection.request(method, "/_faults", body.encode(), dict(request.headers.items()))
            response = connection.getresponse()
            assert response.status == 200, response.read()
        finally:
            connection.close()

    @contextmanager
    def another_resolver(self, name: str) -> Iterator[Watched]:
        """One more unbound, with nothing in its cache."""
        conf = (self.folder / "state/trust/resolver.conf").read_text()
        with unbound(self.folder / name, conf, *STRICT) as running:
            yield Watched(name, running, TTL, self.resolvers[0].questions, OFTEN)


@contextmanager
def on_stage(folder: Path) -> Iterator[Stage]:
    """Everything started. The process's environment names the credentials that the server writes."""
    config = 'listen = ["127.0.0.1:0"]\n[route53]\nlisten = false\n[kms]\nemulator = "127.0.0.1:0"\n' + POLICY
    asked: list[Question] = []
    for zone, (denial, no_name) in ZONES.items():
        names = staggered(zone)
        (folder / f"{zone}zone").write_text(ZONE + "".join(f"{name} {TTL} A 192.0.2.3\n" for name in names))
        config += f'[[zones]]\nfile = "{zone}zone"\ndenial = "{denial}"\n'
        asked += questions(zone, no_name, names)
    (folder / "quick.toml").write_text(config)
    with ExitStack() as stack:
        server = stack.enter_context(serving(folder))
        conf = (folder / "state/trust/resolver.conf").read_text()
        cache = stack.enter_context(unbound(folder / "cache", conf, 'module-config: "iterator"'))
        often = tuple(question for question in asked if not question.staggered)
        direct = Watched("direct", stack.enter_context(unbound(folder / "direct", conf, *STRICT)), TTL, often, OFTEN)
        fresh, old = Place(server.address, is_cache=False), Place(Address("127.0.0.1", cache.port), is_cache=True)
        oldest = Hoard(fresh)
        fixed = tuple(question for question in asked if not question.fresh)
        ways = (
            ("new keys, old data", Relay(keys=fresh, data=old), often, OFTEN),
            ("old keys, new data", Relay(keys=old, data=fresh), often, OFTEN),
            ("new keys, oldest data", Relay(keys=fresh, data=oldest), fixed, SELDOM),
            ("oldest keys, new data", Relay(keys=oldest, data=fresh), fixed, SELDOM),
        )
        resolvers = [direct]
        for name, relay, its_questions, interval in ways:
            stack.callback(relay.close)
            own = unbound(folder / name, _through(folder, server.address, relay.port), *STRICT, "cache-max-ttl: 0")
            resolvers.append(Watched(name, stack.enter_context(own), 0, its_questions, interval))
        yield Stage(folder, server, tuple(resolvers), oldest, tuple(way[1] for way in ways), boto3.Session())


def staggered(zone: str) -> list[str]:
    """Names in the zone, relative to it, of which one begins a live window in each second."""
    policy, found = Policy(window=WINDOW), dict[int, str]()
    for number in itertools.count():
        owner = dns.name.from_text(f"s{number}.{zone}").to_wire()
        assert owner is not None
        found.setdefault(live_window(owner, 0, WINDOW, policy).start % WINDOW, f"s{number}")
        if len(found) == WINDOW:
            return list(found.values())
    raise AssertionError


def _through(folder: Path, server: Address, port: int) -> str:
    """The resolver's configuration as the server writes it, with a relay on 127.0.0.1 in the server's place."""
    trust, redirected = folder / "state/trust", folder / f"{port}.conf"
    fragment, ours = (trust / "unbound.conf").read_text(), f"stub-addr: {server.host}@{server.port}"
    assert fragment.count(ours) == len(ZONES)
    redirected.write_text(fragment.replace(ours, f"stub-addr: 127.0.0.1@{port}"))
    return (trust / "resolver.conf").read_text().replace(str(trust / "unbound.conf"), str(redirected))
