"""The configuration: the file, the command line, and what is said about what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from keys.dnssec.signing_policy import Policy
from server.net.addresses import Address, parse_address
from server.net.listen import has_ipv6_loopback
from server.settings.configuration import AUTO, ConfigError, HooksConfig, load_config
from server.settings.parent_servers import ParentServers
from server.settings.schema import Settings, line_of, parse_duration, parse_settings
from server.watching.query_log import QueryLogSpec
from zones.denial import DenialMode
from zones.masterfile.load import load_zone

TEMPLATE = Path(__file__).parents[3] / "docs" / "signwright.toml"


def failure(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_settings(text, "s.toml")
    return str(caught.value)


def test_the_template_is_every_setting_with_its_default() -> None:
    assert parse_settings(TEMPLATE.read_text(), "t") == Settings()


def test_the_template_leaves_no_setting_out() -> None:
    """Take away the comment signs of its settings, and every field of every table is there."""
    lines = []
    for line in TEMPLATE.read_text().splitlines():
        bare = line.removeprefix("# ").removeprefix("# ")
        lines.append(bare if bare.startswith("[[") or (" = " in bare and "signwright" not in bare) else line)
    settings = parse_settings("\n".join(lines), "t")
    assert settings.kms.endpoint
    assert settings.kms.profile
    (zone,) = settings.zones
    for field in zone.__struct_fields__:
        assert f"\n{field} = " in "\n".join(lines), field
    assert zone.policy == {"zsk_lifetime": 7 * 86400}
    assert parse_settings(TEMPLATE.read_text(), "t").policy == Policy()
    for field in Policy.__struct_fields__:
        assert f"\n{field} = " in "\n".join(lines), field


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() -> None:
    text = '# zones\n[[zones]]\nfile = "a.zone"\n\n[[zones]]\nfile = "b.zone"\n\n# how\ndenail = "nsec"\n'
    assert failure(text) == "s.toml:9: zones[1].denail: unknown setting; did you mean denial?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("region = 'x'", "s.toml:1: region: unknown setting; did you mean kms.region?"),
        ("[tcp]\nxyzzy = 1", "s.toml:2: tcp.xyzzy: unknown setting; known: idle, connections"),
        ("[policy]\nslot = 'soon'", "s.toml:2: policy.slot: 'soon' is not a valid duration: "),
        ("[policy]\nslots = '15'", 's.toml:2: policy.slots: "15" is not valid; give an integer'),
        (
            "[policy]\nslots = 2",
            "s.toml:2: policy.slots: is 2, and must be at least 7: the slots after the first, of 28800 s",
        ),
        ("[policy]\nrefresh = '5d'", "s.toml:1: policy: slots is 15, and must be at least 31: "),
        ("[policy]\nslot = '1h'\nprobe = 0", "s.toml:3: policy.probe: must be greater than 0"),
        ("[policy]\nretry = '10m'", "s.toml:1: policy: retry_most is 300 s, less than retry, 600 s"),
        ("[udp]\n\nsize = 100", "s.toml:3: udp.size: 100 is not valid; give an integer from 512 to 4096"),
        (
            "[[zones]]\nfile = 'x'\ndenial = 'nsec3'",
            's.toml:3: zones[0].denial: "nsec3" is not valid; give "compact" or "nsec"',
        ),
        (
            "[[zones]]\nsigned = true",
            's.toml:1: zones[0]: file is missing; give the path of a master file, such as "lab.example.zone"',
        ),
        (
            "[[zones]]\nfile = 'x'\nflood_denial = 'compact'",
            's.toml:3: zones[0].flood_denial: "compact" is not valid; give "nsec"',
        ),
        (
            "[route53]\nflood_denial = true",
            's.toml:2: route53.flood_denial: true is not valid; give "nsec"',
        ),
        (
            "[[zones]]\nfile = 'x'\nksk_arn = 'a'",
            's.toml:3: zones[0].ksk_arn: "a" is not valid; give the ARN of a KMS',
        ),
        ("[[zones]]\nfile = 'x'\nsigned = 'no'", 's.toml:3: zones[0].signed: "no" is not valid; give true or false'),
        (
            "[[zones]]\nfile = 'x'\npolicy = { slots = '15' }",
            's.toml:3: zones[0].policy.slots: "15" is not valid; give an integer',
        ),
        (
            "listen = [\n  1,\n]",
            's.toml:1: listen[0]: 1 is not valid; give an address and a port, such as "127.0.0.1:53',
        ),
        (
            "listen = '127.0.0.1:1'",
            's.toml:1: listen: "127.0.0.1:1" is not valid; give a list, as in ["127.0.0.1:5300", …]',
        ),
        ("state = ", "s.toml:1: not valid TOML: invalid value"),
        ("\n\n[x", "s.toml:3: not valid TOML: expected ']'"),
        ("state = 'a'\nstate = 'b'", "s.toml:2: not valid TOML: cannot overwrite a value"),
        ("zones = 1", "s.toml:1: zones: 1 is not valid; write [[zones]], with its settings on the lines below"),
        (
            "[zones]\nfile = 'x'",
            "s.toml:1: zones: a table is not valid; write [[zones]], with its settings on the lines",
        ),
        ("kms = 1", "s.toml:1: kms: 1 is not valid; write [kms], with its settings on the lines below"),
        ("state = 1979-05-27", "s.toml:1: state: 1979-05-27 is not valid; give a string in quotes"),
        (
            "[kms]\naccount = 12",
            "s.toml:2: kms.account: 12 is not valid; give the 12 digits of an account of AWS in quotes",
        ),
        (
            "[kms]\naccount = '12'",
            's.toml:2: kms.account: "12" is not valid; give the 12 digits of an account of AWS in',
        ),
        (
            "[kms]\nendpoint = 'ftp://x'",
            's.toml:2: kms.endpoint: "ftp://x" is not valid; give the URL of a KMS, such as',
        ),
        ("[hooks]\nurl = 'x://secret'", "s.toml:2: hooks.url: this value is not valid; give a URL, such as"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    assert failure(text).startswith(message)


def test_a_value_that_is_wrong_is_told_in_part() -> None:
    assert f's.toml:1: workers: "{"x" * 59}… is not valid; ' in failure(f"workers = '{'x' * 5000}'")


def test_the_line_of_a_value_behind_others_that_span_lines() -> None:
    text = 'listen = [\n"127.0.0.1:1",\n]\nstate = """\na\n"""\n\n[policy]\n# wait\nslot = 1\n'
    assert [line_of(text, path) for path in [("listen",), ("state",), ("policy",), ("policy", "slot")]] == [1, 4, 8, 10]
    assert line_of(text, ("policy", "window")) == 0


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("8h", 28800), ("1d", 86400), ("1h30m", 5400)])
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "8", "h", "-1h", "8 h", "1y", "٣h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["127.0.0.1:5300", "[::1]:0", "0.0.0.0:53", "[2001:db8::1]:65535"])
def test_addresses(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:53", "[127.0.0.1]:53", "localhost:53", ":53", "[::1]"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        parse_address(text)


def test_no_arguments_are_the_samples_on_the_default_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config()
    expected = [Address("127.0.0.1", 5300)] + [Address("::1", 5300)] * has_ipv6_loopback()
    assert list(config.listen) == expected
    assert config.state == tmp_path / "state"
    assert {zone.origin: zone.signed for zone in config.zones} == {
        "lab.example.": True,
        "child.lab.example.": True,
        "insecure.lab.example.": False,
    }
    for zone in config.zones:
        assert zone.file is not None
        load_zone(zone.file, zone.origin, signed=zone.signed, denial=zone.denial)


def test_without_ipv6_the_default_has_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.settings.configuration.has_ipv6_loopback", lambda: False)
    assert load_config().listen == (Address("127.0.0.1", 5300),)


def test_a_file_and_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "etc").mkdir()
    (tmp_path / "more").mkdir()
    for name in ("db.here", "more/A.Example.zone", "more/b.example.zone", "more/readme", "c.example.zone"):
        (tmp_path / name).touch()
    file = tmp_path / "etc" / "s.toml"
    file.write_text(
        'listen = ["127.0.0.1:53"]\nstate = "var"\n[policy]\nslot = "4h"\n[[zones]]\nfile = "x.example.zone"\n'
        'denial = "nsec"\npolicy = { window = "2h" }\n'
    )
    config = load_config(file, zone_arguments=["more", "c.example.zone", "Here.Example=db.here"])
    assert [(z.origin, z.file) for z in config.zones] == [
        ("x.example.", tmp_path / "etc" / "x.example.zone"),
        ("a.example.", tmp_path / "more" / "A.Example.zone"),
        ("b.example.", tmp_path / "more" / "b.example.zone"),
        ("c.example.", tmp_path / "c.example.zone"),
        ("here.example.", tmp_path / "db.here"),
    ]
    assert config.zones[0].denial is DenialMode.NSEC
    assert config.zones[0].policy == Policy(slot=4 * 3600, window=2 * 3600)
    assert config.zones[1].policy == Policy(slot=4 * 3600)
    assert config.state == tmp_path / "etc" / "var"
    assert config.listen == (Address("127.0.0.1", 53),)
    told = load_config(file, state=Path("s"), listen=["[::1]:0"], kms_endpoint="https://kms.example.com")
    assert (told.state, told.listen, told.kms.endpoint) == (
        tmp_path / "s",
        (Address("::1", 0),),
        "https://kms.example.com",
    )


def test_who_watches_and_who_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    parents = ["auto", "local", "none", "192.0.2.53", "192.0.2.53:5300", "2001:db8::53", "[2001:db8::53]:5300"]
    file.write_text(
        'metrics = "[::1]:9153"\nhosts = ["NS1.example."]\n'
        '[hooks]\nurl = "https://hooks.example/x"\ncommand = ["./told", "a"]\ntimeout = "1m"\n'
        + "".join(f'[[zones]]\nfile = "{n}.zone"\nparent = "{parent}"\n' for n, parent in enumerate(parents))
    )
    config = load_config(file)
    assert config.metrics == Address("::1", 9153)
    assert config.hosts == ("ns1.example",)
    assert config.hooks == HooksConfig(url="https://hooks.example/x", command=(str(tmp_path / "told"), "a"), timeout=60)
    assert [zone.parent for zone in config.zones] == [
        "auto",
        "local",
        None,
        ParentServers((Address("192.0.2.53", 53),)),
        ParentServers((Address("192.0.2.53", 5300),)),
        ParentServers((Address("2001:db8::53", 53),)),
        ParentServers((Address("2001:db8::53", 5300),)),
    ]
    ds = "example. IN DS 1234 13 2 " + "AB" * 32
    file.write_text(
        f'[route53]\nparent = "192.0.2.53"\nparent_anchor = ["{ds}"]\n'
        f'[[zones]]\nfile = "a.zone"\nparent = ["192.0.2.53", "[2001:db8::53]:5300"]\nparent_anchor = "{ds}"\n'
    )
    several = load_config(file)
    two = (Address("192.0.2.53", 53), Address("2001:db8::53", 5300))
    assert several.zones[0].parent == ParentServers(two, (ds,))
    assert str(several.zones[0].parent) == "192.0.2.53:53, [2001:db8::53]:5300"
    assert several.route53 is not None and several.route53.parent == ParentServers(two[:1], (ds,))
    file.write_text('[hooks]\ncommand = ["logger"]\n[[zones]]\nfile = "a.zone"\n')
    assert [zone.parent for zone in load_config(file).zones] == ["auto"]
    assert load_config(file).hooks.command == ("logger",)  # found on the PATH


@pytest.mark.parametrize(("sample", "every"), [("1", 1), ("1.0", 1), ("0.5", 2), ("0.33", 3), ("0.001", 1000)])
def test_the_query_log(tmp_path: Path, sample: str, every: int) -> None:
    file = tmp_path / "s.toml"
    file.write_text(f'[query_log]\nfile = "q.json"\nmode = "0640"\nsample = {sample}\nclients = "prefixes"\n')
    assert load_config(file).query_log == QueryLogSpec(str(tmp_path / "q.json"), 0o640, every, prefixes=True)
    file.write_text("[query_log]\nsample = 0.5\n")
    assert load_config(file).query_log is None


def test_the_route53_api(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.touch()
    usual = load_config(file).route53
    assert usual is not None
    assert (str(usual.listen), usual.tls, usual.users, usual.parent) == ("127.0.0.1:5380", None, {}, AUTO)
    file.write_text(
        '[route53]\nlisten = "192.0.2.1:443"\ntls_certificate = "api.pem"\ntls_key = "/keys/api.key"\nparent = "none"\n'
        'name_servers = ["NS1.Example.", "ns2.example"]\nrate = 5\n[route53.users]\nci = "full"\n"an@b" = "read-only"\n'
    )
    route53 = load_config(file).route53
    assert route53 is not None
    assert (str(route53.listen), route53.rate, route53.parent) == ("192.0.2.1:443", 5, None)
    assert route53.tls == (tmp_path / "api.pem", Path("/keys/api.key"))
    assert route53.name_servers == ("ns1.example", "ns2.example")
    assert route53.users == {"ci": "full", "an@b": "read-only"}
    file.write_text("[route53]\nlisten = false\n")
    assert load_config(file).route53 is None


def test_an_empty_file_configures_no_zone(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.touch()
    assert load_config(file).zones == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('listen = ["localhost:53"]', ":1: listen: 'localhost' in 'localhost:53' is not a valid IP address"),
        ("listen = []", ":1: listen: no address to listen on"),
        ('[kms]\nemulator = "x"', ":2: kms.emulator: 'x' is not a valid address: must be ADDRESS:PORT"),
        ('[[zones]]\nfile = "db"', ":2: zones[0].file: 'db' does not name an origin"),
        ('[[zones]]\nfile = "db"\norigin = "a..b"', ":3: zones[0].origin: 'a..b' is not a valid domain name"),
        (
            '[[zones]]\nfile = "a.zone"\n[zones.policy]\nslots = 1',
            ":4: zones[0].policy.slots: is 1, and must be at least 7",
        ),
        (
            '[[zones]]\nfile = "a.zone"\npolicy.refresh = "5d"\n',
            ":3: zones[0].policy: slots is 15, and must be at least 31",
        ),
        ('[[zones]]\nfile = "a.zone"\n[[zones]]\nfile = "A.zone"', ":4: zones[1].file: zone a. is configured twice: "),
        (
            'listen = ["127.0.0.1:99999"]',
            ":1: listen: the port 99999 in the address '127.0.0.1:99999' is greater than 65535",
        ),
        (
            '[[zones]]\nfile = "a.zone"\nparent = false',
            ':3: zones[0].parent: false is not valid; give an address, such as "192.0.2.53" or "192.0.2.53:5300"',
        ),
        ('listen = ["127.0.0.1:53", "127.0.0.1:53"]', ":1: listen: 127.0.0.1:53 is given twice"),
        (
            'listen = ["0.0.0.0:53"]\nmetrics = "127.0.0.1:53"',
            ":2: metrics: 127.0.0.1:53 is the address of listen already (0",
        ),
        ('metrics = "127.0.0.1:5380"', ":1: metrics: 127.0.0.1:5380 is the address of route53.listen already"),
        (
            '[kms]\nemulator = "127.0.0.1:5380"',
            ":2: kms.emulator: 127.0.0.1:5380 is the address of route53.listen already",
        ),
        ('metrics = "192.0.2.1:9153"', ":1: metrics: must be a loopback address"),
        ('hosts = ["a..b"]', ":1: hosts: "),
        ('metrics = "9153"', ":1: metrics: '9153' is not a valid address: must be ADDRESS:PORT"),
        (
            '[route53]\nlisten = "192.0.2.1:443"',
            ":2: route53.listen: must be a loopback address, unless tls_cert",
        ),
        ("[route53]\nlisten = true", ":2: route53.listen: true is not valid; give an address and a port, or false"),
        (
            "[route53]\nlisten = 5380",
            ':2: route53.listen: 5380 is not valid; give an address and a port, such as "127.0.0.1:5300" or '
            '"[::1]:5300", or false for nowhere',
        ),
        ('[route53]\ntls_key = "x"', ":2: route53.tls_key: set both tls_certificate and tls_key, or neither"),
        ("[route53]\nname_servers = []", ":2: route53.name_servers: give at least one name server"),
        ('[route53]\nname_servers = ["a..b"]', ":2: route53.name_servers: 'a..b' is not a valid domain name"),
        ('[route53]\nparent = "x"', ":2: route53.parent: 'x' is not a valid address"),
        ("[route53]\nrate = 0", ":2: route53.rate: 0 is not valid; give an integer from 1 to"),
        ('[route53.users]\nci = "some"', ':2: route53.users.ci: "some" is not valid; give "full" or'),
        ('[route53.users]\ndefault = "full"', ":2: route53.users.default: 'default' is not a valid user name"),
        (
            '[route53.users]\n"a b" = "full"',
            ":2: route53.users.a b: 'a b' is not a valid user name; give letters, digits and",
        ),
        ("[query_log]\nfile = ''", ':2: query_log.file: "" is not valid; give the path of a file, such as "/var/'),
        (
            '[query_log]\nfile = "q"\nsample = 0.4',
            ":3: query_log.sample: 0.4 is not 1/N of all queries; give 0.5 or 0.33",
        ),
        ('[query_log]\nfile = "q"\nsample = 0.7', ":3: query_log.sample: 0.7 is not 1/N of all queries; give 1 or 0.5"),
        ("[query_log]\nsample = 0", ":2: query_log.sample: 0 is not valid; give "),
        ("[query_log]\nmode = 0o600", ":2: query_log.mode: 384 is not valid; give the mode of a file in quotes"),
        (
            "[query_log]\nclients = 'none'",
            ':2: query_log.clients: "none" is not valid; give "addresses" or "prefixes"',
        ),
        ("[hooks]\n\ncommand = []", ":3: hooks.command: no program"),
        ('[[zones]]\nfile = "a.zone"\nparent = "ns1.example"', ":3: zones[0].parent: 'ns1.example' is not a valid"),
        ('[[zones]]\nfile = "a.zone"\nparent = ["192.0.2.1", "auto"]', ":3: zones[0].parent: 'auto' is not a valid"),
        ('[[zones]]\nfile = "a.zone"\nparent = []', ":3: zones[0].parent: no address"),
        (
            '[[zones]]\nfile = "a.zone"\nparent = "192.0.2.1"\nparent_anchor = "example. DS 1 13 2"',
            ":4: zones[0].parent_anchor: 'example. DS 1 13 2' is not a valid DS record: ",
        ),
        (
            '[[zones]]\nfile = "a.zone"\nparent_anchor = "example. DS 1234 13 2 ' + "AB" * 32 + '"',
            ":3: zones[0].parent_anchor: needs the addresses of servers in parent",
        ),
        (
            '[[zones]]\nfile = "a.zone"\ndenial = "nsec"\nflood_denial = "nsec"',
            ':4: zones[0].flood_denial: same as denial: remove it, or set denial = "compact"',
        ),
        (
            '[[zones]]\nfile = "a.zone"\nsigned = false\nksk_arn = "arn:aws:kms:us-east-1:000000000000:key/1"',
            ":4: zones[0].ksk_arn: an unsigned zone has no KSK",
        ),
    ],
)
def test_what_cannot_be_resolved_is_said(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert str(caught.value).startswith(f"{file}{message}")


def test_arguments_that_name_no_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.example.zone").touch()
    (tmp_path / "db.a").touch()
    for arguments, message in [
        (["b.example.zone"], "zone file b.example.zone does not exist"),
        (["empty"], "the folder empty contains no"),
        (["db.b"], "zone file db.b does not exist"),
        (["db.a"], "does not name an origin"),
        (["a.example=empty"], "empty is a folder"),
        (["a.example.zone", "A.EXAMPLE=a.example.zone"], "a.example. is configured twice"),
    ]:
        with pytest.raises(ConfigError, match=message):
            load_config(zone_arguments=arguments)
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="--kms-endpoint"):
        load_config(kms_endpoint="kms")
    with pytest.raises(ConfigError, match="--listen"):
        load_config(listen=["kms"])
    with pytest.raises(ConfigError, match=r"^--listen: \[::1\]:53 is given twice"):
        load_config(listen=["[::1]:53", "[::1]:53"])
    assert load_config(listen=["127.0.0.1:0", "127.0.0.1:0", "[::1]:5380"]).route53 is not None


def test_paths_are_told_without_detours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "etc").mkdir()
    (tmp_path / "far/etc").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far/etc")
    for name in ("a.zone", "far/b.zone"):
        (tmp_path / name).touch()
    (tmp_path / "etc/s.toml").write_text('[[zones]]\nfile = "../a.zone"\n')
    config = load_config(tmp_path / "etc/s.toml", zone_arguments=["link/../b.zone", "c=etc/../etc/../a.zone"])
    assert [zone.file for zone in config.zones] == [
        tmp_path / "a.zone",
        tmp_path / "link/../b.zone",
        tmp_path / "a.zone",
    ]


def test_edns_chaos_and_limits(tmp_path: Path) -> None:
    file = tmp_path / "signwright.toml"
    file.write_text(
        '[edns]\ncookies = false\nnsid = "fra1"\n[chaos]\nversion = "9"\nid = "ns1"\n'
        '[limits]\nresponses = 0\nexempt = ["192.0.2.0/24", "2001:db8::/32"]\n'
    )
    config = load_config(file)
    assert (config.edns.cookies, config.edns.nsid) == (False, "fra1")
    assert (config.chaos.version, config.chaos.id) == ("9", "ns1")
    assert (config.limits.responses, config.limits.exempt) == (0, ("192.0.2.0/24", "2001:db8::/32"))
    file.write_text("")
    config = load_config(file)
    assert (config.edns.cookies, config.edns.nsid, config.chaos.version, config.chaos.id) == (True, "", "", "")
    assert (config.limits.responses, config.limits.exempt) == (500, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[edns]\nnsid = "%s"' % ("é" * 65), ":2: edns.nsid: has 130 octets; give at most 128"),
        ('[chaos]\nid = "%s"' % ("x" * 129), ":2: chaos.id: "),
        (
            '[limits]\nexempt = ["192.0.2.1/24"]',
            ":2: limits.exempt[0]: 192.0.2.1/24 has host bits set; did you mean 192.0.2.0/24?",
        ),
        ('[limits]\nexempt = ["::/0", "ns1.example"]', ":2: limits.exempt[1]: 'ns1.example' is not a network, such as"),
        ("[limits]\nresponses = -1", ":2: limits.responses: "),
        ("[limits]\nresponse = 1", ":2: limits.response: unknown setting; did you mean responses?"),
    ],
)
def test_wrong_edns_chaos_and_limits(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "signwright.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert message in str(caught.value)


def test_a_base_port_moves_all_listeners_together(tmp_path: Path) -> None:
    config = load_config(base_port=6300)
    assert {address.port for address in config.listen} == {6300}
    assert config.route53 is not None
    assert [config.resolver.port, config.route53.listen.port, config.kms.emulator.port] == [6301, 6380, 6381]
    file = tmp_path / "s.toml"
    file.write_text('listen = ["127.0.0.2:1", "127.0.0.2:2", "127.0.0.3:1"]\n[route53]\nlisten = false\n')
    config = load_config(file, base_port=6300)
    assert list(map(str, config.listen)) == ["127.0.0.2:6300", "127.0.0.3:6300"]
    assert config.route53 is None
    assert list(map(str, load_config(file, base_port=6300, listen=["127.0.0.9:53"]).listen)) == ["127.0.0.9:53"]
    assert load_config(file).resolver.port == 5301
