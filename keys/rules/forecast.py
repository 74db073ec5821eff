"""What the keys of a zone will do if all goes well: the plan, followed into the future."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from msgspec.structs import replace

from keys.dnssec.signing_policy import Policy
from keys.rules.dnskey_refresh import keyset_request
from keys.rules.events import (
    Action,
    ActivateZsk,
    ConfirmPublished,
    Event,
    ForgetKsk,
    GenerateZsk,
    IntendKsk,
    KeysetSigned,
    KskCreated,
    KskDeleted,
    KskIntended,
    KskLearned,
    KskRecovered,
    LearnKsk,
    MakeKsk,
    Observed,
    ObservePolicy,
    ProbeKsk,
    Published,
    SignKeyset,
    ZskActivated,
    ZskGenerated,
)
from keys.rules.keyring import Keyring
from keys.rules.next_action import plan
from keys.rules.transitions import evolve

_MOST = 100_000
"""Steps of one forecast: more are a plan that goes in circles."""


def forecast(
    keyring: Keyring, policy: Policy, now: int, until: int, ksk_arn: str | None = None
) -> Iterator[tuple[int, Action, str]]:
    """Every action to come from `now` until before `until`, with its time and its reason, if each one succeeds at once.

    It follows the very rules that the key manager follows. A KSK in ACTION_NEEDED is taken to stay so: nobody can know
    when a person mends it, so the forecast shows what its trouble suspends. Raises `RuntimeError` where it never ends.
    """
    for at, action, _ in steps(keyring, policy, now, until, ksk_arn):
        yield at, action, action.why


def steps(
    keyring: Keyring, policy: Policy, now: int, until: int, ksk_arn: str | None = None
) -> Iterator[tuple[int, Action, Keyring]]:
    """As `forecast`, with the keyring after each action in place of the reason."""
    for _ in range(_MOST):
        step = plan(keyring, policy, now, ksk_arn)
        if step.action is None:
            if step.wake_at is None or step.wake_at >= until:
                return
            now = step.wake_at
        elif isinstance(step.action, ProbeKsk):
            # Taken to fail: the next one comes after a while.
            keyring, known = _probed(keyring, step.action.name, now), keyring
            if keyring == known:
                return
        else:
            keyring = evolve(keyring, succeeded(step.action, keyring, policy, now))
            yield now, step.action, keyring
    raise RuntimeError("the forecast goes in circles")


def succeeded(action: Action, keyring: Keyring, policy: Policy, now: int) -> Event:
    """The event of an action that succeeds at once. Keys and signatures in it are made up."""
    match action:
        case IntendKsk():
            return KskIntended(now, action.name, "forecast", action.arn)
        case MakeKsk():
            return KskCreated(now, action.name, f"forecast:{action.name}")
        case LearnKsk():
            return KskLearned(now, action.name, _made_up(f"ksk/{action.name}"))
        case ProbeKsk():
            return KskRecovered(now, action.name)
        case ForgetKsk():
            return KskDeleted(now, action.name)
        case GenerateZsk():
            return ZskGenerated(now, action.sequence, _made_up(f"zsk/{action.sequence}"))
        case ActivateZsk():
            return ZskActivated(now, action.sequence)
        case ConfirmPublished():
            return Published(now)
        case ObservePolicy():
            highest = max(keyring.window, action.window), max(keyring.propagation, action.propagation)
            settled = highest == (keyring.window, keyring.propagation)
            window, propagation = (action.window, action.propagation) if settled else highest
            return Observed(now, keyring.data_ttl, window, propagation, settled, action.earlier_ttl)
        case SignKeyset():
            request = keyset_request(keyring, policy, now)
            return KeysetSigned(now, request.signed(tuple(slot.signed(bytes(64)) for slot in request.slots)))
        case _:
            raise TypeError(f"no success of {type(action).__name__} is known")


def _probed(keyring: Keyring, name: str, now: int) -> Keyring:
    ksk = keyring.ksk(name)
    if ksk.trouble is None:
        return keyring
    failed = replace(ksk, trouble=replace(ksk.trouble, at=now, attempts=max(0, ksk.trouble.attempts) + 1))
    return replace(keyring, ksks=tuple(failed if k.name == name else k for k in keyring.ksks))


def _made_up(name: str) -> bytes:
    return sha256(name.encode()).digest() + sha256(b"y/" + name.encode()).digest()
