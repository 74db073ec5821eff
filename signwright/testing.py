"""Run Signwright in tests: a real server on free ports, with the Route 53 API, a KMS, and answers that validate.

    with running_server("lab.example.zone", validator=True) as server:
        server.route53.list_hosted_zones()

Each server is a process of its own, with its own state and ports, so any number of them run at once. It ends with the
context, and with the process that started it, however that ends.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from signwright.trust_files import current
from signwright.validator import Validator

STARTS_WITHIN = 60.0
"""Seconds until a server is ready, or has failed."""
ENDS_WITHIN = 10.0
"""Seconds that a server may take to end, after which it is killed."""
_LOOK = 0.01  # seconds
_INSYNC_WITHIN = 60.0  # seconds
_LAST_LINES = 20
REGION = "us-east-1"

_CONFIGURATION = """\
listen = ["127.0.0.1:0"]
state = {state}

[kms]
emulator = "127.0.0.1:0"

[route53]
listen = "127.0.0.1:0"

[limits]
# A test asks from one address, as fast as it can.
responses = 0
"""

_ACCOUNT = "000000000000"
_KEY_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{_ACCOUNT}:root"},
            "Action": "kms:*",
            "Resource": "*",
        },
        {
            "Effect": "Allow",
            "Principal": {"Service": "dnssec-route53.amazonaws.com"},
            "Action": ["kms:DescribeKey", "kms:GetPublicKey", "kms:Sign"],
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:SourceAccount": _ACCOUNT}},
        },
    ],
}
"""What Route 53 asks of the policy of a KSK's key."""


class ServerFailedError(RuntimeError):
    """The server did not start, or has ended by itself; the message has the end of its log."""


class RunningServer:
    """A server that is ready."""

    def __init__(self, state: Path, addresses: Mapping[str, Any], validator: Validator | None) -> None:
        """`addresses` is what STATE/server.json says."""
        self.state = state
        """Its state directory: `signwright status --state STATE`."""
        host, _, port = str(addresses["dns"][0]).rpartition(":")
        self.dns: tuple[str, int] = (host.strip("[]"), int(port))
        """Where it answers, by UDP and TCP: host and port."""
        self.pid = int(addresses["pid"])
        self._urls = {"route53": str(addresses["route53"]), "kms": str(addresses["kms"])}
        self._validator = validator
        self._clients: dict[str, Any] = {}

    @property
    def trust_anchors(self) -> Path:
        """The trust anchors of its signed zones as they are now, for `delv -a`."""
        current(self.state)
        return self.state / "trust" / "anchors.delv"

    @property
    def resolver(self) -> tuple[str, int]:
        """A validating resolver (unbound) that knows the zones as they are now: host and port.

        Where zones have come or gone, or have become signed, since it was last asked for, it starts anew, with an empty
        cache. Raises `RuntimeError` where the server was started without `validator=True`.
        """
        if self._validator is None:
            raise RuntimeError("this server has no validating resolver: start it with validator=True")
        return self._validator.address()

    @property
    def route53(self) -> Any:
        """A boto3 client of its Route 53 API, with all rights."""
        return self._client("route53")

    @property
    def kms(self) -> Any:
        """A boto3 client of its KMS emulator, with all rights."""
        return self._client("kms")

    def sign_zone(self, hosted_zone_id: str) -> None:
        """Sign a hosted zone, as its owner does in Route 53: a KMS key, a KSK of it, signing enabled; until INSYNC.

        Raises what boto3 raises.
        """
        arn = self.kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Policy=json.dumps(_KEY_POLICY))
        self.route53.create_key_signing_key(
            CallerReference=uuid.uuid4().hex,
            HostedZoneId=hosted_zone_id,
            KeyManagementServiceArn=arn["KeyMetadata"]["Arn"],
            Name="test_ksk",
            Status="ACTIVE",
        )
        change = self.route53.enable_hosted_zone_dnssec(HostedZoneId=hosted_zone_id)
        self.wait_until_insync(change["ChangeInfo"]["Id"])

    def wait_until_insync(self, change_id: str) -> None:
        """Wait until a change is in every answer: milliseconds here, for which boto3's waiter takes 30 s.

        Raises `TimeoutError` after a minute.
        """
        deadline = time.monotonic() + _INSYNC_WITHIN
        while self.route53.get_change(Id=change_id)["ChangeInfo"]["Status"] != "INSYNC":
            if time.monotonic() > deadline:
                raise TimeoutError(f"change {change_id} is still PENDING after {_INSYNC_WITHIN:g} s")
            time.sleep(_LOOK)

    @property
    def env(self) -> dict[str, str]:
        """An environment for other programs: AWS clients in it call this server, and Amazon never."""
        # Of what is set for AWS, only the authorities that HTTPS connections of other programs may need.
        kept = {n: value for n, value in os.environ.items() if not n.startswith("AWS_") or n == "AWS_CA_BUNDLE"}
        no_proxy = ",".join(filter(None, [kept.get("NO_PROXY") or kept.get("no_proxy"), "127.0.0.1"]))
        return {
            **kept,
            "AWS_CONFIG_FILE": str(self.state / "aws" / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self._credentials_file),
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # nothing listens there
            "AWS_ENDPOINT_URL_ROUTE_53": self._urls["route53"],
            "AWS_ENDPOINT_URL_KMS": self._urls["kms"],
            "AWS_ENDPOINT_URL_STS": self._urls["route53"],
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,
        }

    @property
    def _credentials_file(self) -> Path:
        return self.state / "aws" / "credentials"

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            try:
                import boto3  # noqa: PLC0415 - whoever uses no client need not have it
            except ImportError:
                raise RuntimeError(f"the client of {service} needs boto3: pip install 'signwright[testing]'") from None
            credentials = configparser.ConfigParser(interpolation=None)
            credentials.read(self._credentials_file)
            root = credentials["default"]
            self._clients[service] = boto3.session.Session(
                root["aws_access_key_id"], root["aws_secret_access_key"], region_name=REGION
            ).client(service, endpoint_url=self._urls[service])
        return self._clients[service]


@contextlib.contextmanager
def running_server(
    *zones: str | os.PathLike[str],
    base_port: int | None = None,
    state: str | os.PathLike[str] | None = None,
    validator: bool = False,
) -> Iterator[RunningServer]:
    """Run a server until the context ends.

    `zones` are as on the command line of `signwright serve`: files named after their zones, NAME=FILE, or folders; none
    for a server that has only zones of the Route 53 API. `base_port` is the port for DNS, of which the others follow;
    by default all ports are free ones. `state` is a directory to keep; by default it is a new one that is removed in
    the end. `validator` has `RunningServer.resolver` run unbound, which must be installed.

    Raises `ServerFailedError`, and `RuntimeError` where unbound is missing.
    """
    with contextlib.ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="signwright-")))
        directory = Path(state).absolute() if state is not None else folder / "state"
        config, log = folder / "signwright.toml", folder / "log"
        config.write_text(_CONFIGURATION.format(state=json.dumps(str(directory))), encoding="utf-8")
        arguments = ["serve", "--config", str(config), *(os.fspath(zone) for zone in zones)]
        if base_port is not None:
            arguments += ["--base-port", str(base_port)]
        with log.open("wb") as output:
            process = held.enter_context(_program(arguments, output))
        addresses = _ready(process, directory / "server.json", log)
        resolver = held.enter_context(Validator(directory, folder / "unbound")) if validator else None
        yield RunningServer(directory, addresses, resolver)


@contextlib.contextmanager
def _program(arguments: list[str], output: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run `signwright` until the context ends; then it ends, or is killed."""
    start = Path(__file__).with_name("start_program.py")
    # Its own settings, and none that this process has for AWS or for another server.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SIGNWRIGHT_"))}
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", str(start), *arguments],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        env={**env, "NO_COLOR": "1", "AWS_EC2_METADATA_DISABLED": "true"},
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdin is not None
        process.stdin.close()


def _ready(process: subprocess.Popen[bytes], server_file: Path, log: Path) -> Mapping[str, Any]:
    """Wait until the server has written where it listens. Raises `ServerFailedError`."""
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        with contextlib.suppress(OSError):
            addresses: dict[str, Any] = json.loads(server_file.read_bytes())
            if addresses["pid"] == process.pid:
                return addresses
        if (code := process.poll()) is not None:
            raise ServerFailedError(f"the server ended with exit code {code}:\n{_end_of(log)}")
        if time.monotonic() > deadline:
            raise ServerFailedError(f"the server was not ready in {STARTS_WITHIN:g} s:\n{_end_of(log)}")
        time.sleep(_LOOK)


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:])


try:
    import pytest
except ImportError:  # the context manager alone
    pass
else:

    @pytest.fixture(scope="session")
    def signwright_server() -> Iterator[RunningServer]:
        """One server for all tests of a session, or of a worker of pytest-xdist: with unbound where that is installed.

        To be imported into a conftest.py.
        """
        with running_server(validator=shutil.which("unbound") is not None) as server:
            yield server
