"""Looking up the DS in the zones that are served here; who is asked, as the setting says."""

from __future__ import annotations

import pytest

from keys.custody.parent_interface import ParentUnavailable
from keys.rules.wanted_ds import ParentDs
from server.hosting.parent_lookup import LocalParent, parent_for
from server.hosting.remote_parent import RemoteParent
from server.net.addresses import Address
from server.settings.parent_servers import ParentServers
from zones.masterfile.load import parse_zone
from zones.parent_child import UNKNOWN_DS
from zones.zoneset import ZoneSet

CHILD = b"\x05child\x03lab\x07example\x00"
NOW = 1_767_225_600.25
DS = "1234 13 2 " + "AB" * 32
SOA = "ns1.lab.example. h.lab.example. 1 7200 3600 1209600 300"


async def test_a_parent_that_is_served_here() -> None:
    text = f"@ 900 SOA {SOA}\n@ 900 NS ns1\nns1 900 A 192.0.2.1\nchild 700 NS ns1\nchild 800 DS {DS}\nbare 700 NS ns1\n"
    zones = ZoneSet().with_zone(parse_zone(text, "lab.example"))
    local = LocalParent(lambda: zones, lambda: NOW)
    found = await local.look_up(CHILD)
    assert ([rdata.hex() for rdata in found.rdatas], found.ttl) == (["04d20d02" + "ab" * 32], 800)
    assert await local.look_up(b"\x04bare" + CHILD[6:]) == ParentDs((), 300, 1_767_225_601)
    with pytest.raises(ParentUnavailable, match=r"this server has no parent zone of lab\.example\."):
        await local.look_up(CHILD[6:])
    wanted = LocalParent(lambda: zones, lambda: NOW, required=False)
    assert await wanted.look_up(CHILD[6:]) == ParentDs((), 0, 1_767_225_601, known=False)
    assert await wanted.look_up(CHILD) == found
    assert (wanted.is_asked(CHILD[6:]), wanted.is_asked(CHILD), local.is_asked(CHILD[6:])) == (False, True, True)
    # What lies between is somebody else's, who alone knows whom that delegates to.
    assert await wanted.look_up(b"\x01a" + CHILD) == ParentDs((), 0, 1_767_225_601, known=False)
    assert not wanted.is_asked(b"\x01a" + CHILD)
    assert (await wanted.look_up(b"\x01a\x01b" + CHILD[6:])).known
    assert not wanted.is_asked(b"\x00")
    zones = zones.with_unloaded(b"\x02up" + CHILD[6:])
    with pytest.raises(ParentUnavailable, match=r"the parent zone up\.lab\.example\. is not loaded"):
        await wanted.look_up(b"\x01a\x02up" + CHILD[6:])
    # A DS that nobody can tell yet is not one that is gone.
    zones = zones.with_unloaded(CHILD, UNKNOWN_DS)
    with pytest.raises(ParentUnavailable, match=r"the DS of child\.lab\.example\. is unknown"):
        await wanted.look_up(CHILD)


async def test_whom_a_parent_that_is_served_here_delegates_to() -> None:
    text = f"@ 900 SOA {SOA}\n@ 900 NS ns1\nns1 900 A 192.0.2.1\nchild 700 NS NS1\nchild 700 NS ns.elsewhere.test.\n"
    zones = ZoneSet().with_zone(parse_zone(text, "lab.example"))
    local = LocalParent(lambda: zones, lambda: NOW)
    assert await local.delegation(CHILD) == frozenset((b"\x03ns1" + CHILD[6:], b"\x02ns\x09elsewhere\x04test\x00"))
    assert await local.delegation(b"\x04bare" + CHILD[6:]) is None
    assert await local.delegation(CHILD[6:]) is None


def test_the_setting_says_who_is_asked() -> None:
    assert parent_for(None, ZoneSet, lambda: NOW) is None
    assert isinstance(parent_for("auto", ZoneSet, lambda: NOW), LocalParent)
    assert isinstance(parent_for("local", ZoneSet, lambda: NOW), LocalParent)
    assert isinstance(parent_for(ParentServers((Address("192.0.2.1", 53),)), ZoneSet, lambda: NOW), RemoteParent)
