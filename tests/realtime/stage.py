"""What plays: the real server with its emulator, and unbound twice, with weeks scaled down to seconds.

One unbound asks the server and caches as resolvers do. The other one validates afresh whatever it is asked, and asks a
third, which validates nothing and caches all: so signatures as old as a cache may keep them meet keys as new as can be,
and the other way round. In none of them anything hides a mistake: no slack for clocks, no second try to validate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from keys.status import Condition, ZoneStatus
from server.control.client import ControlClient
from server.statedir import StateDir
from tests.interop.programs import unbound
from tests.processes import Serving, run, serving
from tests.realtime.watch import NOERROR, NXDOMAIN, Question, Watched, questions

TTL = 4
"""The highest TTL of the zones."""
ZONE = f"""\
@ {TTL} SOA ns1 hostmaster 1 7200 3600 1209600 {TTL}
@ {TTL} NS ns1
ns1 {TTL} A 192.0.2.1
www {TTL} A 192.0.2.2
*.wild {TTL} TXT "there"
"""
ZONES = {"classic.example.": ("nsec", NXDOMAIN), "compact.example.": ("compact", NOERROR)}
"""How each denies, and what its denial of a name is to a resolver (RFC 9824: by default NOERROR)."""
POLICY = """\
[policy]
dnskey_ttl = 3
slot = 2
refresh = 10
window = 4
margin = 1
zsk_lifetime = 16
zsk_jitter = 2
propagation = 1
retry = 1
retry_most = 2
patience = 4
probe = 2
"""
"""A rollover takes 13 seconds and begins 16 to 18 after the one before; a refresh lasts for half a minute."""

STRICT = ("val-sig-skew-min: 0", "val-sig-skew-max: 0", "val-bogus-ttl: 0", "val-max-restart: 0", "val-log-level: 2")


class Stage(NamedTuple):
    """All that runs, and what a person would do to it."""

    folder: Path
    server: Serving
    resolvers: tuple[Watched, ...]
    questions: tuple[Question, ...]
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
        """The KMS is out of order for whoever asks anything."""
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
            yield Watched(name, running, TTL)


@contextmanager
def on_stage(folder: Path) -> Iterator[Stage]:
    """Everything started. The process's environment names the credentials that the server writes."""
    config = 'listen = ["127.0.0.1:0"]\n[route53]\nlisten = false\n[kms]\nemulator = "127.0.0.1:0"\n' + POLICY
    asked: list[Question] = []
    for zone, (denial, no_name) in ZONES.items():
        (folder / f"{zone}zone").write_text(ZONE)
        config += f'[[zones]]\nfile = "{zone}zone"\ndenial = "{denial}"\n'
        asked += questions(zone, no_name)
    (folder / "quick.toml").write_text(config)
    with ExitStack() as stack:
        server = stack.enter_context(serving(folder))
        trust = folder / "state" / "trust"
        conf, fragment = (trust / "resolver.conf").read_text(), (trust / "unbound.conf").read_text()
        cache = stack.enter_context(unbound(folder / "cache", conf, 'module-config: "iterator"'))
        direct = stack.enter_context(unbound(folder / "direct", conf, *STRICT))
        behind = folder / "behind.conf"
        ours = f"stub-addr: {server.address.host}@{server.address.port}"
        assert fragment.count(ours) == len(ZONES)
        fragment = fragment.replace(ours, f"forward-addr: 127.0.0.1@{cache.port}")
        behind.write_text(fragment.replace("stub-zone:", "forward-zone:"))
        conf = conf.replace(str(trust / "unbound.conf"), str(behind))
        fresh = stack.enter_context(unbound(folder / "behind", conf, *STRICT, "cache-max-ttl: 0"))
        resolvers = Watched("direct", direct, TTL), Watched("behind a cache", fresh, 0)
        yield Stage(folder, server, resolvers, tuple(asked), boto3.Session())
