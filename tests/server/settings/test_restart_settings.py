"""Which settings a reload does not bring into force."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.settings.configuration import Config, load_config
from server.settings.restart_settings import waiting_for_restart

BEFORE = """\
listen = ["127.0.0.1:53"]
[hooks]
url = "https://a.example/"
[[zones]]
file = "a.zone"
"""


def loaded(folder: Path, text: str) -> Config:
    file = folder / "s.toml"
    file.write_text(text)
    return load_config(file)


@pytest.mark.parametrize(
    ("changed", "waiting"),
    [
        (BEFORE, ()),
        (BEFORE + 'denial = "nsec"\n[[zones]]\nfile = "b.zone"\n', ()),
        (BEFORE.replace("53", "54"), ("listen",)),
        ('workers = 2\nmetrics = "127.0.0.1:9153"\n' + BEFORE, ("workers", "metrics")),
        ('hosts = ["ns1.example"]\n' + BEFORE, ("hosts",)),
        ('state = "other"\n' + BEFORE, ("state",)),
        (BEFORE.replace("a.example", "b.example") + "[udp]\nsize = 1400\n", ("udp.size", "hooks.url")),
        (BEFORE + '[tcp]\nconnections = 5\n[kms]\naccount = "123456789012"\n', ("kms.account", "tcp.connections")),
        (BEFORE + "[route53]\nlisten = false\n", ("route53.listen",)),
        (
            BEFORE + '[route53]\nrate = 5\ntls_certificate = "c"\ntls_key = "k"\n[route53.users]\na = "full"\n',
            ("route53.tls_certificate", "route53.tls_key", "route53.users", "route53.rate"),
        ),
        (BEFORE + '[query_log]\nfile = "q"\n', ("query_log.file",)),
        (BEFORE + '[route53]\nflood_denial = "nsec"\n', ("route53.flood_denial",)),
        (BEFORE + '[policy]\nzsk_lifetime = "7d"\n', ("policy (of hosted zones)",)),
    ],
)
def test_what_takes_a_restart(tmp_path: Path, changed: str, waiting: tuple[str, ...]) -> None:
    before, after = loaded(tmp_path, BEFORE), loaded(tmp_path, changed)
    assert waiting_for_restart(before, after, hosted=True) == waiting
    assert waiting_for_restart(after, before, hosted=True) == waiting
    assert waiting_for_restart(before, after, hosted=False) == tuple(one for one in waiting if "hosted" not in one)


def test_settings_of_the_query_log_go_by_their_names_in_the_file(tmp_path: Path) -> None:
    before = loaded(tmp_path, '[query_log]\nfile = "q"\n' + BEFORE.replace("listen", "# listen"))
    text = '[query_log]\nfile = "r"\nmode = "0640"\nsample = 0.5\nclients = "prefixes"\n'
    after = loaded(tmp_path, text + BEFORE.replace("listen", "# listen"))
    waiting = waiting_for_restart(before, after, hosted=True)
    assert waiting == ("query_log.file", "query_log.mode", "query_log.sample", "query_log.clients")
