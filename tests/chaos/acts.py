"""What happens: one act at a time, picked by a random generator that is handed in. Each leaves things to be mended."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from keys.custody.state_database import DATABASE
from keys.kms.ksk_key_policy import dnssec_key_policy
from server.control.control_client import ControlError
from tests.chaos.stage import BETWEEN, FLIP, HOSTED, SOA, VICTIM, Stage, ZoneSetting
from tests.chaos.watching import Ledger
from tests.lab import wire_name

_FULL = 4096
"""Octets that a file may have while the disk is full."""
_ACCOUNT = "000000000000"


@dataclass
class Acts:
    """All that can happen to one server."""

    stage: Stage
    ledger: Ledger
    dice: random.Random
    seen: list[str] = field(default_factory=list)
    undamaged: bytes | None = None
    """The stored keys of a zone before they were damaged."""
    _number: int = 0

    def one(self) -> str:
        """Something happens; what."""
        table: list[tuple[int, Callable[[], object]]] = [
            (10, self.change_records),
            (4, self.reload),
            (3, self.hang_up),
            (4, self.flip_signed),
            (3, self.zone_between),
            (3, self.break_file),
            (2, self.make_and_delete),
            (2, self.zone_between_by_api),
            (2, self.sign_hosted),
            (5, self.kms_fails),
            (3, self.kill_worker),
            (2, self.stop_worker),
            (2, self.full_disk),
            (2, self.killed),
            (1, self.terminated),
            (1, self.damaged_row),
            (1, self.hang_up_and_terminate),
        ]
        (act,) = self.dice.choices([act for _, act in table], [weight for weight, _ in table])
        self.seen.append(act.__name__)
        with suppress(ControlError, BotoCoreError, ClientError, OSError):
            act()
        return act.__name__

    def mend(self) -> None:
        """End every fault that goes on."""
        self._limit(resource.RLIM_INFINITY)
        with suppress(OSError):
            self.stage.kms_fault(None)
        self.stage.zones[FLIP] = ZoneSetting()
        if self.undamaged is not None:
            self.stage.end(signal.SIGTERM)
            self._store(self.undamaged)
            self.undamaged = None
        if self.stage.process is None:
            self.stage.start()
        else:
            self.stage.write()
            with suppress(ControlError):
                self.stage.control().reload()

    # Records and zones of the API

    def change_records(self) -> None:
        zone_id = self._hosted()
        client = self.stage.client("route53")
        for _ in range(self.dice.randint(1, 4)):
            self._number += 1
            name, value = f"r{self.dice.randint(0, 9)}", f"v{self._number}"
            record = {"Name": f"{name}.{HOSTED}", "Type": "TXT", "TTL": 5, "ResourceRecords": [{"Value": f'"{value}"'}]}
            self.ledger.tried(name, value)
            client.change_resource_record_sets(
                HostedZoneId=zone_id, ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
            )
            self.ledger.told(name, value)

    def make_and_delete(self) -> None:
        self._number += 1
        client = self.stage.client("route53")
        made = client.create_hosted_zone(Name=f"t{self._number % 3}.test.", CallerReference=f"{time.time()}")
        client.delete_hosted_zone(Id=made["HostedZone"]["Id"])

    def zone_between_by_api(self) -> None:
        client = self.stage.client("route53")
        made = client.create_hosted_zone(Name=BETWEEN, CallerReference=f"{time.time()}")
        time.sleep(self.dice.random())
        client.delete_hosted_zone(Id=made["HostedZone"]["Id"])

    def sign_hosted(self) -> None:
        client, zone_id = self.stage.client("route53"), self._hosted()
        if client.get_dnssec(HostedZoneId=zone_id)["KeySigningKeys"]:
            client.disable_hosted_zone_dnssec(HostedZoneId=zone_id)
            client.deactivate_key_signing_key(HostedZoneId=zone_id, Name="chaos")
            client.delete_key_signing_key(HostedZoneId=zone_id, Name="chaos")
            return
        policy = dnssec_key_policy(_ACCOUNT)
        made = self.stage.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Policy=policy)
        client.create_key_signing_key(
            CallerReference=f"{time.time()}", HostedZoneId=zone_id, Name="chaos", Status="ACTIVE",
            KeyManagementServiceArn=made["KeyMetadata"]["Arn"],
        )  # fmt: skip
        client.enable_hosted_zone_dnssec(HostedZoneId=zone_id)

    def _hosted(self) -> str:
        """The id of the hosted zone, which is made when it is first wanted."""
        client: Any = self.stage.client("route53")
        zones = client.list_hosted_zones_by_name(DNSName=HOSTED, MaxItems="1")["HostedZones"]
        if zones and zones[0]["Name"] == HOSTED:
            return str(zones[0]["Id"])
        return str(client.create_hosted_zone(Name=HOSTED, CallerReference=f"{time.time()}")["HostedZone"]["Id"])

    # Configuration and files

    def reload(self) -> None:
        self.stage.control().reload()

    def hang_up(self) -> None:
        self._signal(signal.SIGHUP)

    def flip_signed(self) -> None:
        zone = self.stage.zones[FLIP]
        zone.signed = not zone.signed
        zone.more = self.dice.choice(["", 'parent = "none"\n', "[zones.policy]\ndnskey_ttl = 60\n"])
        self.stage.write()
        self.stage.control().reload()

    def zone_between(self) -> None:
        if self.stage.zones.pop(BETWEEN, None) is None:
            self.stage.zones[BETWEEN] = ZoneSetting(signed=self.dice.random() < 0.5)
        self.stage.write()
        self.stage.control().reload()

    def break_file(self) -> None:
        self.stage.zones[FLIP].text = self.dice.choice(["broken", "", SOA, SOA + "x 86400 A 192.0.2.1\n"])
        self.stage.write()
        self._signal(signal.SIGHUP)

    # The KMS, processes, the disk

    def kms_fails(self) -> None:
        kind = self.dice.choice(["latency", "internal", "throttling", "refused", "timeout"])
        self.stage.kms_fault({"kind": kind, "seconds": 2.0, "count": self.dice.randint(1, 40)})

    def kill_worker(self) -> None:
        if pids := self.stage.worker_pids():
            os.kill(self.dice.choice(pids), signal.SIGKILL)

    def stop_worker(self) -> None:
        if pids := self.stage.worker_pids():
            pid = self.dice.choice(pids)
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.5)
            os.kill(pid, signal.SIGCONT)

    def full_disk(self) -> None:
        self._limit(_FULL)
        for act in (self.change_records, self.reload):
            with suppress(ControlError, BotoCoreError, ClientError, OSError):
                act()
        time.sleep(self.dice.random())
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, octets: int) -> None:
        process = self.stage.process
        if process is not None:
            with suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (octets, resource.RLIM_INFINITY))

    def killed(self) -> None:
        self.stage.end(signal.SIGKILL)
        self.stage.start()

    def terminated(self) -> None:
        self.stage.end(signal.SIGTERM)
        self.stage.start()

    def hang_up_and_terminate(self) -> None:
        self._signal(signal.SIGHUP)
        self.stage.end(signal.SIGTERM)
        self.stage.start()

    def damaged_row(self) -> None:
        if self.undamaged is not None:
            return
        self.stage.end(signal.SIGTERM)
        with sqlite3.connect(self.stage.state / DATABASE) as database:
            row = database.execute("SELECT document FROM ring WHERE origin = ?", (wire_name(VICTIM),)).fetchone()
        database.close()
        if row is not None:
            self.undamaged = row[0]
            self._store(
                self.dice.choice([b"{}", b"", row[0][:-9], row[0].replace(b'"signing":', b'"newer":1,"signing":')])
            )
        self.stage.start()

    def _store(self, document: bytes) -> None:
        with sqlite3.connect(self.stage.state / DATABASE) as database:
            database.execute("UPDATE ring SET document = ? WHERE origin = ?", (document, wire_name(VICTIM)))
        database.close()

    def _signal(self, number: int) -> None:
        if self.stage.process is not None:
            self.stage.process.send_signal(number)
