"""The emergency that the service's operators must watch for: a KMS key is disabled, noticed, and mended."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.interop.operator import Operator, until
from tests.processes import run, serving

pytestmark = pytest.mark.interop

CONFIG = """\
listen = ["127.0.0.1:0"]
metrics = "127.0.0.1:0"
[kms]
emulator = "127.0.0.1:0"
[route53]
listen = "127.0.0.1:0"
[policy]
refresh = "2s"
[hooks]
command = ["sh", "-c", "cat >> told; echo >> told"]
"""
ZONE = "shop.test."


class Watch:
    """What monitoring sees."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def metric(self, name: str) -> float:
        """A metric of the zone."""
        address = json.loads(run("status", "--json", cwd=self.folder).stdout)["metrics"]
        with urlopen(address, timeout=60) as response:
            text = response.read().decode()
        value = re.search(rf'^{name}{{hosted_zone="[^}}]+}} (\S+)$', text, re.MULTILINE)
        assert value, text
        return float(value[1])

    def keys(self) -> dict[str, Any]:
        """What status says of the zone's keys."""
        zones = json.loads(run("status", "--json", cwd=self.folder).stdout)["zones"]
        (keys,) = [zone["keys"] for zone in zones if zone["origin"] == ZONE]
        assert isinstance(keys, dict)
        return keys

    def told(self) -> list[dict[str, Any]]:
        """What the hook was told."""
        file = self.folder / "told"
        return [json.loads(line) for line in file.read_text().splitlines() if line] if file.exists() else []


def test_a_disabled_key_is_an_alarm_and_not_an_outage(tmp_path: Path) -> None:
    (tmp_path / "quick.toml").write_text(CONFIG)
    with serving(tmp_path) as server:
        operator, watch = Operator(tmp_path, server), Watch(tmp_path)
        zone = operator.zone(ZONE, www="192.0.2.1")
        arn = operator.sign(zone, "shop_ksk")

        def is_valid() -> bool:
            return operator.is_valid(f"www.{ZONE}", "A", ZONE.rstrip("."))

        def ksk() -> dict[str, Any]:
            (found,) = operator.route53.get_dnssec(HostedZoneId=zone)["KeySigningKeys"]
            assert isinstance(found, dict)
            return found

        until(is_valid)
        assert watch.metric("dnssec_key_signing_keys_needing_action") == 0

        operator.kms.disable_key(KeyId=arn)
        until(lambda: ksk()["Status"] == "ACTION_NEEDED")
        assert "DisabledException" in ksk()["StatusMessage"]
        assert operator.route53.get_dnssec(HostedZoneId=zone)["Status"]["ServeSignature"] == "ACTION_NEEDED"
        assert watch.metric("dnssec_key_signing_keys_needing_action") == 1
        assert watch.metric("dnssec_key_signing_key_max_needing_action_age_seconds") >= 0
        until(lambda: any(one["after"] == "ACTION_NEEDED" for one in watch.told()))
        assert run("status", cwd=tmp_path).returncode > 0
        assert is_valid()

        # Rotation is asked for, and stands still.
        assert run("rollover", ZONE, cwd=tmp_path).returncode == 0
        time.sleep(3)
        keys = watch.keys()
        assert keys["suspended_since"] is not None
        assert "suspended until shop_ksk can sign again" in keys["rollover"]
        assert len(keys["zsks"]) == 1
        assert is_valid()

        operator.kms.enable_key(KeyId=arn)
        operator.route53.activate_key_signing_key(HostedZoneId=zone, Name="shop_ksk")
        until(lambda: ksk()["Status"] == "ACTIVE")
        assert operator.route53.get_dnssec(HostedZoneId=zone)["Status"]["ServeSignature"] == "SIGNING"
        assert watch.metric("dnssec_key_signing_keys_needing_action") == 0
        until(lambda: len(watch.keys()["zsks"]) == 2)
        assert watch.keys()["suspended_since"] is None
        until(lambda: any(one["before"] == "ACTION_NEEDED" for one in watch.told()))
        assert is_valid()
        operator.close()
