"""The mutants: what stands once in a source, what takes its place, and the tests that must notice.

They are for rules that the simulation (`tests.simulation.mutants`) does not run: parent and child, the unit of work and
its fence, the change log, positions and snapshots, members and leases, pruning, and the setting `signed`.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One change of a source."""

    name: str
    file: str
    """From the root of the repository."""
    old: str
    """Stands there exactly once."""
    new: str
    tests: tuple[str, ...]
    """Of these, run in this order, at least one has to fail: files, or tests in files (`file::function`)."""


PARENT_CHILD = "zones/parent_child.py"
ZONESET = "zones/zoneset.py"
LOG = "keys/custody/change_log.py"
TABLE = "keys/custody/change_log_table.py"
DATABASE = "keys/custody/state_database.py"
MEMBERS = "keys/custody/members.py"
CONNECTIONS = "keys/custody/state_connections.py"
EVENTS = "keys/custody/kept_events.py"
FOLLOWED = "server/hosting/followed_log.py"
BACKENDS = "server/hosting/answering_backends.py"
SNAPSHOTS = "server/hosting/state_snapshots.py"
HOSTED = "server/hosting/hosted_zones.py"
SIGNEDNESS = "keys/rules/signedness.py"

IN_ZONES = ("tests/zones/test_parent_child.py", "tests/zones/test_zoneset.py")
IN_LOG = ("tests/keys/custody/test_change_log.py", "tests/keys/custody/test_store_change_log.py")
IN_MEMBERS = ("tests/keys/custody/test_members.py",)
IN_CONNECTIONS = ("tests/keys/custody/test_state_connections.py",)
IN_EVENTS = ("tests/keys/custody/test_state_database.py",)
IN_FOLLOWED = ("tests/server/hosting/test_followed_log.py",)
IN_BACKENDS = ("tests/server/hosting/test_answering_backends.py",)
IN_SNAPSHOTS = ("tests/server/hosting/test_state_snapshots.py",)
IN_SIGNEDNESS = ("tests/keys/rules/test_signedness.py",)

MUTANTS = (
    # Parent and child
    Mutant(
        "an unknown DS is denied with a signature",
        PARENT_CHILD,
        "    if not child.known:\n",
        "    if False:\n",
        IN_ZONES,
    ),
    Mutant(
        "an unsigned parent has DS records",
        PARENT_CHILD,
        "    if not signed or node is None or not node.is_cut or child is None:",
        "    if node is None or not node.is_cut or child is None:",
        IN_ZONES,
    ),
    Mutant(
        "a name that is not a delegation point has DS records",
        PARENT_CHILD,
        "node is None or not node.is_cut or child is None:",
        "node is None or child is None:",
        IN_ZONES,
    ),
    Mutant(
        "only a delegation of the name itself counts",
        PARENT_CHILD,
        "        owner = names.parent(owner)\n    return None",
        "        return None\n    return None",
        IN_ZONES,
    ),
    Mutant(
        "a zone between is answered though its parent proves that it is not there",
        PARENT_CHILD,
        "            return owner\n        owner = parent.chain",
        "            return None\n        owner = parent.chain",
        IN_ZONES,
    ),
    Mutant(
        "a zone between is withheld by an unsigned parent",
        PARENT_CHILD,
        "    if not parent.signed or delegation_point",
        "    if delegation_point",
        IN_ZONES,
    ),
    Mutant(
        "a zone between is withheld though its parent delegates it",
        PARENT_CHILD,
        "    if not parent.signed or delegation_point(parent, origin) is not None:",
        "    if not parent.signed:",
        IN_ZONES,
    ),
    Mutant(
        "the same DS with another TTL counts as the same",
        PARENT_CHILD,
        "(type(mine), mine.ttl, mine.canonical) == (type(others), others.ttl, others.canonical)",
        "(type(mine), mine.canonical) == (type(others), others.canonical)",
        IN_ZONES,
    ),
    Mutant(
        "a delegation that goes does not count as a turn",
        PARENT_CHILD,
        "        if (node is not None and node.is_cut) != ((old",
        "        if (node is not None and node.is_cut) > ((old",
        IN_ZONES,
    ),
    Mutant(
        "a parent keeps the DS that it had",
        ZONESET,
        "            if linked is not None and not same_ds",
        "            if linked is not None and False and not same_ds",
        IN_ZONES,
    ),
    Mutant(
        "a child that goes leaves its DS at the parent",
        ZONESET,
        "        return made._relinked({*affected, *changed})",
        "        return made._relinked(affected)",
        IN_ZONES,
    ),
    Mutant(
        "other keys leave the DS at the parent as it was",
        ZONESET,
        "signed_with(current, keys)._replace(ds=ds)})._relinked((origin,))",
        "signed_with(current, keys)._replace(ds=ds)})",
        IN_ZONES,
    ),
    Mutant(
        "a delegation that comes or goes decides of no zone",
        ZONESET,
        "        if turned:\n",
        "        if False:\n",
        IN_ZONES,
    ),
    Mutant(
        "a zone that is withheld can't come back",
        ZONESET,
        "            if lost is None and origin in self._served:",
        "            if lost is None:",
        IN_ZONES,
    ),
    Mutant(
        "DS at an apex is answered by the child",
        ZONESET,
        "        if found is not None and rrtype != TYPE_DS:",
        "        if found is not None:",
        IN_ZONES,
    ),
    # The change log, its fence, and pruning
    Mutant(
        "a digest does not cover the row before",
        LOG,
        "sha256(position.digest + version.to_bytes(8) + document)",
        "sha256(version.to_bytes(8) + document)",
        IN_LOG,
    ),
    Mutant(
        "a digest does not cover the version",
        LOG,
        "sha256(position.digest + version.to_bytes(8) + document)",
        "sha256(position.digest + document)",
        IN_LOG,
    ),
    Mutant(
        "a follower takes a row after a gap",
        LOG,
        "        if row.version != following.version:",
        "        if row.version < following.version:",
        IN_LOG,
    ),
    Mutant(
        "a follower takes a row of another history",
        LOG,
        "        if row.digest != following.digest:",
        "        if False:",
        IN_LOG,
    ),
    Mutant(
        "a position of another log is included",
        LOG,
        "        return self.log_id == other.log_id and self.version >= other.version",
        "        return self.version >= other.version",
        (*IN_LOG, *IN_MEMBERS),
    ),
    Mutant(
        "a writer that was overtaken continues",
        TABLE,
        '"UPDATE log SET version = version + 1 WHERE epoch = ? "',
        '"UPDATE log SET version = version + 1 WHERE epoch >= ? "',
        IN_LOG,
    ),
    Mutant(
        "the row before the next is not proved",
        TABLE,
        "    return known if end == known.position else",
        "    return known if end[:2] == known.position[:2] else",
        IN_LOG,
    ),
    Mutant(
        "a row whose digest is wrong is followed",
        TABLE,
        "    if found != end:\n",
        "    if False:\n",
        IN_LOG,
    ),
    Mutant(
        "a log whose end was damaged goes on at the next start",
        TABLE,
        "    if found is None or found.position.version != newest:",
        "    if found is None:",
        IN_LOG,
    ),
    Mutant(
        "a follower of another log gets rows",
        TABLE,
        "    if since.log_id != newest.log_id:",
        "    if False:",
        IN_LOG,
    ),
    Mutant(
        "a follower of another history gets rows",
        TABLE,
        "    if known != since.digest:",
        "    if False:",
        IN_LOG,
    ),
    Mutant(
        "rows that end too early are a whole answer",
        TABLE,
        "    if len(rows) < most and end != newest:",
        "    if False:",
        IN_LOG,
    ),
    Mutant(
        "pruning removes what a member has yet to read",
        TABLE,
        "    first = passed or 0\n",
        "    first = head.position.version if passed is None else passed + 1\n",
        IN_LOG,
    ),
    Mutant(
        "rows are kept without a bound of age",
        TABLE,
        "        if row.at < now - KEPT or head",
        "        if head",
        IN_LOG,
    ),
    Mutant(
        "rows are kept without a bound of octets",
        TABLE,
        "        if row.at < now - KEPT or head.octets - row.octets >= KEPT_OCTETS:",
        "        if row.at < now - KEPT:",
        IN_LOG,
    ),
    Mutant(
        "the newest row is pruned",
        TABLE,
        "min(first, head.position.version)",
        "min(first, head.position.version + 1)",
        IN_LOG,
    ),
    Mutant(
        "a commit that failed and is stored is reported as any other",
        DATABASE,
        "found.changes, is_late=True",
        "found.changes",
        (*IN_LOG, *IN_SNAPSHOTS),
    ),
    Mutant(
        "a broken log is mended only with the next transaction",
        DATABASE,
        "            self._tell(Committed(before, head.position, ()))",
        "            pass",
        (*IN_LOG, *IN_SNAPSHOTS),
    ),
    Mutant(
        "a backup keeps the id of its log",
        DATABASE,
        'target.execute("UPDATE log SET id = NULL")',
        'target.execute("SELECT 1")',
        (*IN_LOG, *IN_SNAPSHOTS),
    ),
    # Whose turn it is, and events
    Mutant(
        "a task that waited while the database was locked waits once more",
        CONNECTIONS,
        "PATIENCE if self._locked_since is None else max(0.0, PATIENCE - (monotonic() - came))",
        "PATIENCE",
        IN_CONNECTIONS,
    ),
    Mutant(
        "a read takes the lock of a writer",
        CONNECTIONS,
        '_BEGIN_WRITING = "BEGIN", "BEGIN IMMEDIATE"',
        '_BEGIN_WRITING = "BEGIN EXCLUSIVE", "BEGIN IMMEDIATE"',
        IN_CONNECTIONS,
    ),
    Mutant(
        "events of a zone are kept without a bound",
        EVENTS,
        ".order_by(table.c.id.desc()).offset(OF_ZONE)",
        ".order_by(table.c.id.desc()).offset(OF_ZONE + 1)",
        IN_EVENTS,
    ),
    Mutant(
        "events are kept a second longer",
        EVENTS,
        "table.c.at < now - KEPT)",
        "table.c.at < now - KEPT - 1)",
        IN_EVENTS,
    ),
    Mutant(
        "events of all zones are kept without a bound",
        EVENTS,
        "table.c.id <= last - IN_ALL",
        "table.c.id <= last - IN_ALL - 1",
        IN_EVENTS,
    ),
    # Members and leases
    Mutant(
        "a member counts its lease from after it asked",
        MEMBERS,
        "        return asked + self.seconds\n",
        "        return asked + self.seconds + MARGIN\n",
        IN_MEMBERS,
    ),
    Mutant(
        "the grantor counts without a margin",
        MEMBERS,
        "committed + self.seconds * 1.001 + margin",
        "committed + self.seconds * 1.001",
        IN_MEMBERS,
    ),
    Mutant(
        "a shorter lease ends a longer one",
        MEMBERS,
        "        end = max(end, member.may_answer_until)",
        "        end = min(end, member.may_answer_until)",
        IN_MEMBERS,
    ),
    Mutant(
        "a member answers in the second in which its lease ends",
        MEMBERS,
        "boottime < self.may_answer_until",
        "boottime <= self.may_answer_until",
        IN_MEMBERS,
    ),
    Mutant(
        "a member that was taken out comes back by what it says",
        MEMBERS,
        "    return members if member is None else {**members, name: member._replace(position=position)}",
        "    return {**members, name: (member or Member(name))._replace(position=position)}",
        IN_MEMBERS,
    ),
    Mutant(
        "nobody waits for a member that has said nothing",
        MEMBERS,
        "        return self.position is not None and self.position.includes(position)",
        "        return self.position is None or self.position.includes(position)",
        IN_MEMBERS,
    ),
    Mutant(
        "rows go that a member of another log may need",
        MEMBERS,
        "        if member.position is None or member.position.log_id != log_id:\n            return None",
        "        if member.position is None or member.position.log_id != log_id:\n            continue",
        IN_MEMBERS,
    ),
    # Positions, INSYNC, snapshots
    Mutant(
        "a version counts before it is applied",
        FOLLOWED,
        "while self._versions and not self._versions[0].open and",
        "while self._versions and",
        IN_FOLLOWED,
    ),
    Mutant(
        "a member that was overtaken still acknowledges",
        FOLLOWED,
        "        return self.stopped is None and self.position",
        "        return self.position",
        IN_FOLLOWED,
    ),
    Mutant(
        "a gap in the log does not count as a loss",
        FOLLOWED,
        "        if told.before != self.newest:\n",
        "        if False:\n",
        (*IN_FOLLOWED, *IN_SNAPSHOTS),
    ),
    Mutant(
        "keys that nobody keeps are waited for",
        FOLLOWED,
        "        return part is Part.DATA or origin in self._kept",
        "        return True",
        IN_FOLLOWED,
    ),
    Mutant(
        "keys that are kept are not waited for",
        FOLLOWED,
        "        return part is Part.DATA or origin in self._kept",
        "        return part is Part.DATA",
        IN_FOLLOWED,
    ),
    Mutant(
        "what is put beside the log is forgotten",
        FOLLOWED,
        "            self._beside[subject] = self._puts\n",
        "            pass\n",
        IN_FOLLOWED,
    ),
    Mutant(
        "a position is passed before the keys that were read anew are shown",
        FOLLOWED,
        "            version.open.add(subject)\n            self._open.setdefault(subject",
        "            self._open.setdefault(subject",
        IN_FOLLOWED,
    ),
    Mutant(
        "INSYNC is about this process alone",
        BACKENDS,
        "self.log.reaches(here) and members.is_published(self._members, here, self._boottime())",
        "self.log.reaches(here)",
        IN_BACKENDS,
    ),
    Mutant(
        "INSYNC is about other members alone",
        BACKENDS,
        "        return self.log.reaches(here) and members",
        "        return members",
        IN_BACKENDS,
    ),
    Mutant(
        "nobody wakes up when a lease ends",
        BACKENDS,
        "math.inf if end is None else max(0.0, end - self._boottime())",
        "math.inf",
        IN_BACKENDS,
    ),
    Mutant(
        "what was answered without a write is not waited for",
        BACKENDS,
        "        if is_beside:\n            await self._backends.reached()",
        "        if False:\n            await self._backends.reached()",
        IN_BACKENDS,
    ),
    Mutant(
        "a change is INSYNC while it is being stored",
        BACKENDS,
        "        return position is None or not self._membership",
        "        return position is not None and not self._membership",
        IN_BACKENDS,
    ),
    Mutant(
        "the holder of a name waits for the snapshot that needs it",
        BACKENDS,
        "            if yielding and self.log.lost:",
        "            if False:",
        IN_SNAPSHOTS,
    ),
    Mutant(
        "a snapshot leaves keys as they are",
        SNAPSHOTS,
        "        return not any(_is_alike(stored, one) for one in (before, key_manager.keyring))",
        "        return False",
        IN_SNAPSHOTS,
    ),
    Mutant(
        "a snapshot takes up all keys anew",
        SNAPSHOTS,
        "        return not any(_is_alike(stored, one) for one in (before, key_manager.keyring))",
        "        return True",
        IN_SNAPSHOTS,
    ),
    Mutant(
        "a snapshot notes no zone of a file",
        SNAPSHOTS,
        "            await self._registry.note_anew()",
        "            pass",
        IN_SNAPSHOTS,
    ),
    Mutant(
        "a snapshot keeps zones that are stored no more",
        HOSTED,
        "            del self._kept[kept.id]\n            self._registry.unhost(kept.hosted)\n        hosting",
        "            pass\n        hosting",
        IN_SNAPSHOTS,
    ),
    # The setting `signed`
    Mutant(
        "a higher TTL of an unsigned zone is not stored",
        SIGNEDNESS,
        "keyring.unsigned_since is not None and keyring.unsigned_ttl >= ttl",
        "keyring.unsigned_since is not None",
        IN_SIGNEDNESS,
    ),
    Mutant(
        "a longer propagation of an unsigned zone is not stored",
        SIGNEDNESS,
        "(known and keyring.propagation >= propagation)",
        "known",
        IN_SIGNEDNESS,
    ),
    Mutant(
        "the setting ends signing by itself",
        SIGNEDNESS,
        "    return [said] if not keyring.signing else []",
        "    return [said] if not keyring.signing else [said, SigningDisabled(now)]",
        IN_SIGNEDNESS,
    ),
    Mutant(
        "a wish that was carried out is carried out again",
        SIGNEDNESS,
        "    return configured is False and keyring.configured is not False and keyring.signing",
        "    return configured is False and keyring.signing",
        IN_SIGNEDNESS,
    ),
    Mutant(
        "signing can be disabled while the parent has a DS",
        SIGNEDNESS,
        "    if any(ksk.ds_named for ksk in keyring.ksks):\n        return None",
        "    if False:\n        return None",
        IN_SIGNEDNESS,
    ),
    Mutant(
        "caches of the DNSKEY RRset that a DS led to are not waited for",
        SIGNEDNESS,
        "max((until + led_to for",
        "max((until for",
        IN_SIGNEDNESS,
    ),
    Mutant(
        "what the DS of a deleted KSK led to is not waited for",
        SIGNEDNESS,
        "[keyring.deleted_ds_until, *(",
        "[*(",
        IN_SIGNEDNESS,
    ),
    Mutant(
        "what the DS of a deleted KSK led to does not outlast it",
        "keys/rules/transitions.py",
        "deleted_ds_until=max(keyring.deleted_ds_until, ksk.ds_until or 0, named)",
        "deleted_ds_until=keyring.deleted_ds_until",
        ("tests/keys/rules/test_safety.py",),
    ),
    Mutant(
        "signing is disabled in spite of what the DS of a deleted KSK led to",
        "keys/custody/parent_ds_checks.py",
        "    until = keyring.deleted_ds_until\n",
        "    until = 0\n",
        ("tests/keys/custody/test_parent_ds.py",),
    ),
    Mutant(
        "a DS that was shown lately is news again and again",
        "keys/custody/parent_ds_checks.py",
        "        until = lately.seen_at + keyring.propagation + lately.ttl\n",
        "        until = keyring.newest + keyring.propagation + lately.ttl\n",
        ("tests/keys/custody/test_parent_ds.py",),
    ),
)
