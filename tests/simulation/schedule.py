"""What befalls a zone in one run: drawn from a seed, written as values, and cut down to what a failure needs.

Times are seconds of true time since the beginning. Nothing here knows of key managers: it is what a year does to them.
"""

from __future__ import annotations

from random import Random

import msgspec

from keys.dnssec.signing_policy import DAY, HOUR, Policy
from tests.simulation.clock_faults import AnyClockFault, clock_faults
from tests.simulation.surroundings import FULL_DISKS, ZONES_ABOVE, AnySurrounding, DiskFills, surroundings

QUIET_END = 45
"""Days at the end of a run in which nothing happens, so that all must be well at the end."""
_CODES = (
    "AccessDeniedException",
    "ThrottlingException",
    "KMSInternalException",
    "DependencyTimeoutException",
    "KMSInvalidStateException",
)


class Fault(msgspec.Struct, frozen=True, tag=True):
    """Something that happens."""

    at: int


class KmsFails(Fault, frozen=True):
    """The KMS answers with an error for a while; with `lost` it does what was asked, and the answer is lost."""

    seconds: int
    code: str
    key: int | None = None
    """Calls about the n-th key that was made; `None`: all calls."""
    lost: bool = False


class KeyDisabled(Fault, frozen=True):
    """Somebody disables a KMS key, the newest or the one before it, and enables it again later."""

    seconds: int
    newest: bool = True


class KmsSlow(Fault, frozen=True):
    """Calls take this much longer for a while."""

    seconds: int
    delay: float


class Kill(Fault, frozen=True):
    """The process is killed: at the n-th step of any task from now on, or before or after the n-th commit."""

    number: int
    at_commit: bool
    down: int
    """Seconds until it is started again."""


class KillAtChange(Fault, frozen=True):
    """The process is killed when it stores the next change of the DNSKEY RRset, or of the ZSK that signs."""

    what: str
    """"set" or "signer"."""
    stored: bool
    """Just after that was stored; else just before."""
    down: int


class ClockStep(Fault, frozen=True):
    """The wall clock is set wrong for a while."""

    seconds: int
    by: int


class Asleep(Fault, frozen=True):
    """The machine sleeps: time passes, and nothing runs."""

    seconds: int


class DiskSlow(Fault, frozen=True):
    """Whatever the store is asked takes this long, for a while."""

    seconds: int
    delay: float


class DiskFull(Fault, frozen=True):
    """Nothing can be stored for a while."""

    seconds: int


class ParentAway(Fault, frozen=True):
    """The parent can't be asked for its DS for a while."""

    seconds: int


class NewTtl(Fault, frozen=True):
    """A zone file with another largest TTL is loaded."""

    ttl: int


class NewPolicy(Fault, frozen=True):
    """Another policy is configured: fields of `Policy` that differ from the plan's."""

    fields: dict[str, int]


class Ask(Fault, frozen=True):
    """A command without forethought; it may well be refused."""

    command: str


class RollKsk(Fault, frozen=True):
    """A person begins a Double-Signature KSK rollover, and follows what the status says."""


class Unsign(Fault, frozen=True):
    """A person has the zone served unsigned for a while, as the status allows it."""

    seconds: int


class SignedSetting(Fault, frozen=True):
    """The configuration says `signed = false` for a while."""

    seconds: int
    withdrawn: bool
    """Whether the person who changes it has withdrawn the DS; else the zone has to stay signed."""


class ParentForgotten(Fault, frozen=True):
    """The configuration names no parent for a while, as when its zone leaves the server; its DS stays."""

    seconds: int


class RestartWithoutKms(Fault, frozen=True):
    """The process is killed, and the KMS can't be asked until a while after the next one has started."""

    down: int
    seconds: int


AnyFault = (
    KmsFails
    | KeyDisabled
    | KmsSlow
    | Kill
    | KillAtChange
    | ClockStep
    | Asleep
    | DiskSlow
    | DiskFull
    | ParentAway
    | NewTtl
    | NewPolicy
    | Ask
    | RollKsk
    | Unsign
    | AnyClockFault
    | SignedSetting
    | ParentForgotten
    | RestartWithoutKms
    | AnySurrounding
)


class Plan(msgspec.Struct, frozen=True):
    """One run: the same plan, the same history."""

    seed: int
    days: int
    policy: Policy
    ttl: int
    """The largest TTL of the zone in the beginning."""
    ds_ttl: int
    reread: int
    """Seconds after which a waiting key manager looks at the clock again."""
    latency: float
    """Seconds that each call to the KMS takes."""
    faults: tuple[AnyFault, ...]
    unsigned_for: int = 0
    """Seconds for which the zone is served unsigned in the beginning, by its setting."""

    @property
    def origin(self) -> bytes:
        """The zone; the jitter of everything follows from its name."""
        label = b"zone%d" % self.seed
        above = b"\x06middle" if self.has_zones_above else b""
        return bytes([len(label)]) + label + above + b"\x07example\x00"

    @property
    def has_parent_here(self) -> bool:
        """Whether the parent is served by the same process, and has a first DS as soon as the keys say so."""
        return self.seed % 10 == 8

    @property
    def has_zones_above(self) -> bool:
        """Whether the zones above are served by the same process, and have the DS as the keys say."""
        return self.seed % 10 in ZONES_ABOVE

    @property
    def has_full_disks(self) -> bool:
        """Whether a process that is started on a full disk goes on with a copy in memory."""
        return self.seed % 10 in FULL_DISKS

    def without(self, faults: tuple[AnyFault, ...]) -> Plan:
        """The same, but for these."""
        return msgspec.structs.replace(self, faults=tuple(f for f in self.faults if f not in faults))


def draw(seed: int, days: int = 365) -> Plan:
    """The plan that follows from `seed`."""
    dice = Random(seed)
    policy = Policy(
        dnskey_ttl=dice.choice((300, HOUR, HOUR, 12 * HOUR)),
        propagation=dice.choice((60, 300, 300, 2 * HOUR)),
        zsk_lifetime=dice.choice((7, 7, 10, 14)) * DAY,
        zsk_jitter=dice.choice((0, 1, 2)) * DAY,
        window=dice.choice((HOUR, 8 * HOUR, 8 * HOUR)),
        parent_check=6 * HOUR,
    )
    faults: list[AnyFault] = []
    for _ in range(dice.randint(0, 1) + days * dice.choice((0, 20, 40)) // 365):
        fault = _fault(dice, dice.randrange(DAY // 2, max(DAY, (days - QUIET_END) * DAY)), policy)
        faults.append(fault)
        faults += _together(dice, fault)
    reread = dice.choice((HOUR, 6 * HOUR, 6 * HOUR))
    drawn = _apart(sorted(faults, key=lambda fault: fault.at), reread)
    taken = [(f.at - DAY, f.at + f.seconds + DAY) for f in drawn if isinstance(f, ClockStep | Asleep)]
    drawn = tuple(sorted((*drawn, *clock_faults(seed, days, taken)), key=lambda fault: fault.at))
    plan = Plan(
        seed=seed,
        days=days,
        policy=policy,
        ttl=dice.choice((60, HOUR, 2 * HOUR, DAY, 7 * DAY)),
        ds_ttl=dice.choice((300, HOUR, DAY)),
        reread=reread,
        latency=dice.choice((0.0, 0.25, 1.5)),
        faults=drawn,
    )
    if around := surroundings(seed, (days - QUIET_END) * DAY):
        drawn = (*plan.faults, *around, *_beside(seed, around))
        plan = msgspec.structs.replace(plan, faults=tuple(sorted(drawn, key=lambda fault: fault.at)))
    return _with_settings(plan) if seed % 10 in SETTINGS_CHANGE else plan


SETTINGS_CHANGE = {3, 8, 9}
"""Last digits of the seeds in which settings change, parents leave, and zones come unsigned or from another server."""


def _beside(seed: int, around: tuple[AnySurrounding, ...]) -> tuple[AnyFault, ...]:
    """What makes these hard: that keys roll, TTLs change, and the process is killed, meanwhile."""
    dice = Random(f"beside {seed}")
    found: list[AnyFault] = []
    for fault in around:
        at = max(HOUR, fault.at + dice.choice((-DAY, -HOUR, -60, 60, HOUR)))
        if isinstance(fault, DiskFills):
            # As the process is down, and the next one can't store it: a lower TTL keeps nobody from answering.
            lower = NewTtl(max(HOUR, fault.at + max(1, fault.down // 2)), dice.choice((0, 60)))
            found.append(dice.choice((lower, Ask(at, "StartRollover"), Ask(at, "EmergencyRollover"))))
        elif dice.random() < 0.4:
            kinds = (RollKsk(at), RollKsk(at), Unsign(at, HOUR), Kill(at, dice.choice((1, 5, 21)), False, 30))
            found.append(dice.choice((*kinds, KillAtChange(at, "set", dice.random() < 0.5, 30))))
    return tuple(found)


def _with_settings(plan: Plan) -> Plan:
    dice = Random(f"settings {plan.seed}")
    more: list[AnyFault] = []
    for _ in range(dice.randint(1, 5)):
        at = dice.randrange(DAY // 2, max(DAY, (plan.days - QUIET_END) * DAY))
        kind, long = dice.randrange(100), dice.choice((HOUR, DAY, 6 * DAY, 20 * DAY))
        if kind < 50:
            more.append(SignedSetting(at, long, dice.random() < 0.75))
        elif kind < 75:
            more.append(ParentForgotten(at, long))
        else:
            more.append(RestartWithoutKms(at, dice.choice((0, 30, HOUR)), dice.choice((60, HOUR, DAY))))
        if dice.random() < 0.5:
            # Something that matters beside it.
            near = at + dice.choice((-60, 60, HOUR, long))
            beside = (NewTtl(near, dice.choice((60, HOUR, 7 * DAY))), RestartWithoutKms(near, 30, HOUR))
            more.append(dice.choice((*beside, NewPolicy(near, _other_policy(dice, plan.policy)), RollKsk(near))))
    for fault in tuple(more):
        if isinstance(fault, ParentForgotten) and fault.seconds > HOUR and fault.at % 5 < 2:
            # Nobody looks at the DS, and it stands.
            more.append(SignedSetting(fault.at + 2 * HOUR, fault.seconds, False))
    earlier = dice.choice((0, 0, HOUR, 2 * DAY))
    unsigned_for = 0 if earlier else dice.choice((0, HOUR, 3 * DAY))
    if unsigned_for and dice.random() < 0.5:
        # A TTL that was higher for a while counts, though it is none of those that the zone is signed with.
        more += [NewTtl(unsigned_for // 3, 7 * DAY), NewTtl(unsigned_for * 2 // 3, 60)]
    return msgspec.structs.replace(
        plan,
        policy=msgspec.structs.replace(plan.policy, earlier_ttl=earlier),
        unsigned_for=unsigned_for,
        faults=tuple(sorted((*plan.faults, *more), key=lambda fault: max(0, fault.at))),
    )


def _fault(dice: Random, at: int, policy: Policy) -> AnyFault:
    short, long = dice.choice((20, 600, 2 * HOUR)), dice.choice((HOUR, DAY, 3 * DAY, 6 * DAY))
    kind = dice.randrange(100)
    if kind < 12:
        return KillAtChange(at, dice.choice(("set", "signer")), dice.random() < 0.7, dice.choice((0, 30, HOUR, DAY)))
    if kind < 26:
        number = dice.choice((1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144))
        return Kill(at, number, dice.random() < 0.4, dice.choice((0, 1, 30, HOUR, DAY)))
    if kind < 40:
        lasting = dice.choice((short, short, long))
        return KmsFails(at, lasting, dice.choice(_CODES), dice.choice((None, None, 0, 1)), dice.random() < 0.3)
    if kind < 50:
        return KeyDisabled(at, dice.choice((short, long)), dice.random() < 0.7)
    if kind < 55:
        return KmsSlow(at, long, dice.choice((5.0, 60.0)))
    if kind < 60:
        return ClockStep(at, dice.choice((short, long)), dice.choice((-1700, -300, -20, 20, 300, 1700)))
    if kind < 63:
        return Asleep(at, dice.choice((short, long)))
    if kind < 66:
        return DiskSlow(at, long, dice.choice((0.5, 20.0)))
    if kind < 69:
        return DiskFull(at, dice.choice((short, HOUR, 8 * HOUR)))
    if kind < 72:
        return ParentAway(at, long)
    if kind < 80:
        return NewTtl(at, dice.choice((0, 60, HOUR, 5 * HOUR, DAY, 7 * DAY)))
    if kind < 85:
        return NewPolicy(at, _other_policy(dice, policy))
    if kind < 93:
        commands = (
            "StartRollover",
            "StartRollover",
            "EmergencyRollover",
            "DeactivateKsk",
            "DeleteKsk",
            "EnableSigning",
        )
        return Ask(at, dice.choice(commands))
    if kind < 97:
        return RollKsk(at)
    return Unsign(at, long)


def _together(dice: Random, fault: AnyFault) -> list[AnyFault]:
    """What makes a fault hard: that something else is under way."""
    if dice.random() < 0.5:
        return []
    if isinstance(fault, NewPolicy | NewTtl):
        # What was served until just now still counts.
        return [Ask(fault.at + dice.choice((1, 60, HOUR // 2)), "StartRollover")]
    if isinstance(fault, ClockStep | Asleep | KeyDisabled):
        return [Ask(max(HOUR, fault.at - dice.choice((60, HOUR // 2, 5 * HOUR))), "StartRollover")]
    if isinstance(fault, RollKsk):
        lasting, newest = dice.choice((HOUR, DAY, 6 * DAY)), dice.random() < 0.5
        return [KeyDisabled(fault.at + dice.choice((HOUR, 8 * HOUR, DAY)), lasting, newest)]
    return []


def _other_policy(dice: Random, policy: Policy) -> dict[str, int]:
    field = dice.choice(("dnskey_ttl", "window", "zsk_lifetime", "slot", "refresh"))
    values = {
        "dnskey_ttl": (60, HOUR, DAY),
        "window": (HOUR, 8 * HOUR, DAY),
        "zsk_lifetime": (7 * DAY, 20 * DAY),
        "slot": (8 * HOUR, 12 * HOUR),
        "refresh": (DAY, DAY // 2),
    }
    return {field: dice.choice([value for value in values[field] if value != getattr(policy, field)])}


def _apart(faults: list[AnyFault], reread: int) -> tuple[AnyFault, ...]:
    """The clock is not set while it is wrong already, and no machine sleeps meanwhile.

    It stays wrong for longer than a key manager waits before it looks again (a minute, but for the sake of speed hours
    here): what is set right before that is not noticed.
    """
    kept: list[AnyFault] = []
    clock_free = 0
    for fault in faults:
        if isinstance(fault, ClockStep | Asleep):
            if fault.at < clock_free:
                continue
            fault = msgspec.structs.replace(fault, seconds=max(fault.seconds, 2 * reread))  # noqa: PLW2901
            clock_free = fault.at + fault.seconds + DAY
        kept.append(fault)
    return tuple(kept)
