"""The transitions of a keyring, one for each event: the only place where state changes.

What an event says may be late, repeated, or of an earlier policy; the result is still a keyring that the plan can go on
from. Whether it is a safe one is another module's to say (`safety`).
"""

from __future__ import annotations

from msgspec.structs import replace

from keys.dnssec.signing_policy import MAXIMUM_SIGNED_TTL
from keys.rules.events import (
    ClockJumped,
    ClockTrusted,
    DsOffered,
    DsWithdrawn,
    Event,
    KeysetSigned,
    KmsFailed,
    KmsProbeFailed,
    KmsProbeSucceeded,
    KskActivated,
    KskCreated,
    KskDeactivated,
    KskDeleted,
    KskDeleting,
    KskIntended,
    KskLearned,
    KskRecovered,
    Observed,
    ParentSeen,
    Published,
    RolloverRequested,
    ServedUnsigned,
    SigningConfigured,
    SigningDisabled,
    SigningEnabled,
    TriedAgain,
    ZskActivated,
    ZskGenerated,
    ZskLost,
)
from keys.rules.keyring import Keyring, Ksk, KskStatus, Trouble, Zsk
from keys.rules.zsk_rollover_times import removals

_REMEMBERED = 3
"""Removed ZSKs that the keyring still names, for reports on the past."""


def evolve(keyring: Keyring, event: Event) -> Keyring:
    """The keyring after `event`. Raises `TypeError` for an event that is not known here, `KeyError` for such a key."""
    if isinstance(event, TriedAgain):
        return replace(keyring, ksks=tuple(_without_delay(ksk) for ksk in keyring.ksks))
    if isinstance(event, ClockTrusted):
        return _clock_trusted(keyring, event.at)
    after = _after(keyring, event)
    keyset = keyring.keyset if not isinstance(event, ClockJumped) else None
    if keyset is not None and after.keyset is keyset and keyring.newest < keyset.expiration <= event.at:
        # All of it was passed between two events: across a restart, nobody can tell whether that time was.
        after = replace(after, behind=max(after.behind, event.at - keyring.newest), landed=event.at)
    return replace(after, newest=max(keyring.newest, event.at))


def _after(keyring: Keyring, event: Event) -> Keyring:  # noqa: PLR0912 - a table of transitions
    match event:
        case KskIntended():
            return _ksk_intended(keyring, event)
        case KskCreated():
            return _with_ksk(keyring, _working(keyring.ksk(event.name), event.at, arn=event.arn, created=event.at))
        case KskLearned():
            learned = _working(keyring.ksk(event.name), event.at, public_key=event.public_key)
            return replace(_with_ksk(keyring, learned), refresh_wanted=True)
        case KskRecovered():
            return replace(_with_ksk(keyring, _working(keyring.ksk(event.name), event.at)), refresh_wanted=True)
        case KskActivated():
            return _with_status(keyring, event.name, KskStatus.ACTIVE, event.at)
        case KskDeactivated():
            return _forced(_with_status(keyring, event.name, KskStatus.INACTIVE, event.at), event)
        case DsWithdrawn():
            return _with_ksk(keyring, replace(keyring.ksk(event.name), withdrawn=event.at))
        case DsOffered():
            return _with_ksk(keyring, replace(keyring.ksk(event.name), withdrawn=None))
        case KskDeleting():
            return _forced(_with_status(keyring, event.name, KskStatus.DELETING, event.at), event)
        case KskDeleted():
            return _ksk_deleted(keyring, event)
        case KmsFailed():
            return _kms_failed(keyring, event)
        case KmsProbeFailed() | KmsProbeSucceeded():
            return keyring  # see `kms_probes`
        case KeysetSigned():
            return _keyset_signed(keyring, event)
        case Published():
            return _published(keyring, event)
        case ZskGenerated():
            zsk = Zsk(event.sequence, event.public_key, event.at)
            made = max(keyring.zsks_generated, event.sequence)
            return replace(keyring, zsks=(*keyring.zsks, zsk), zsks_generated=made, rollover_requested=None)
        case ZskActivated():
            return _zsk_activated(keyring, event)
        case ZskLost():
            return _with_zsk(keyring, replace(keyring.zsk(event.sequence), lost=event.at))
        case RolloverRequested():
            return replace(keyring, rollover_requested=event.at)
        case SigningEnabled():
            return replace(keyring, signing=True, refresh_wanted=True)
        case SigningDisabled():
            return _signing_disabled(keyring, event)
        case SigningConfigured():
            return replace(keyring, configured=event.signed)
        case ServedUnsigned():
            keyring = replace(keyring, propagation=max(keyring.propagation, event.propagation))
            return _served_unsigned(keyring, event.at, event.ttl)
        case Observed():
            return _observed(keyring, event)
        case ParentSeen():
            ksks = tuple(_seen(ksk, keyring, event) for ksk in keyring.ksks)
            return replace(keyring, parent_checked=event.at, foreign_ds=event.foreign, ksks=ksks)
        case ClockJumped():
            return _clock_jumped(keyring, event)
        case _:
            raise TypeError(f"no transition for {type(event).__name__}")


def _with_ksk(keyring: Keyring, changed: Ksk) -> Keyring:
    return replace(keyring, ksks=tuple(changed if k.name == changed.name else k for k in keyring.ksks))


def _with_zsk(keyring: Keyring, changed: Zsk) -> Keyring:
    return replace(keyring, zsks=tuple(changed if z.sequence == changed.sequence else z for z in keyring.zsks))


# --- KSKs


def _ksk_intended(keyring: Keyring, event: KskIntended) -> Keyring:
    ksk = Ksk(
        event.name,
        event.token,
        KskStatus.ACTIVE if event.active else KskStatus.INACTIVE,
        event.at,
        brought=event.arn is not None and not event.asked,
        arn=event.arn,
        created=event.at if event.arn is not None else None,
        changed=event.at,
    )
    if any(k.name == event.name for k in keyring.ksks):
        return _with_ksk(keyring, ksk)
    return replace(keyring, ksks=(*keyring.ksks, ksk), ksks_intended=keyring.ksks_intended + 1)


def _with_status(keyring: Keyring, name: str, status: KskStatus, at: int) -> Keyring:
    ksk = replace(keyring.ksk(name), status=status, changed=at, trouble=None)
    return replace(_with_ksk(keyring, ksk), refresh_wanted=True)


def _forced(keyring: Keyring, event: KskDeactivated | KskDeleting) -> Keyring:
    ksk = keyring.ksk(event.name)
    return _with_ksk(keyring, replace(ksk, forced=event.at)) if event.forced else keyring


def _working(
    ksk: Ksk, at: int, *, arn: str | None = None, created: int | None = None, public_key: bytes | None = None
) -> Ksk:
    """The KSK after its KMS has done as asked; only an ACTIVE one can have come to ACTION_NEEDED."""
    if ksk.status is KskStatus.ACTION_NEEDED:
        ksk = replace(ksk, status=KskStatus.ACTIVE, changed=at)
    return replace(
        ksk,
        trouble=None,
        arn=arn or ksk.arn,
        created=created if created is not None else ksk.created,
        public_key=public_key or ksk.public_key,
    )


def _kms_failed(keyring: Keyring, event: KmsFailed) -> Keyring:
    ksk = keyring.ksk(event.name)
    trouble = trouble_after(ksk.trouble, event)
    if ksk.status is KskStatus.ACTIVE and (event.refused or event.at >= trouble.since + event.patience):
        ksk = replace(ksk, status=KskStatus.ACTION_NEEDED, changed=event.at)
    return _with_ksk(keyring, replace(ksk, trouble=trouble))


def trouble_after(before: Trouble | None, event: KmsFailed | KmsProbeFailed) -> Trouble:
    """What is known of a KMS that fails, after one more failure."""
    # A row of failures that lies in the future is of a clock that was set back: it begins anew.
    since, attempts = (before.since, before.attempts) if before and before.since <= event.at else (event.at, 0)
    return Trouble(
        event.doing,
        event.code,
        event.message,
        event.request_id,
        event.refused,
        since=since,
        at=event.at,
        attempts=max(0, attempts) + 1,
    )


def _without_delay(ksk: Ksk) -> Ksk:
    return ksk if ksk.trouble is None else replace(ksk, trouble=replace(ksk.trouble, attempts=0))


def _ksk_deleted(keyring: Keyring, event: KskDeleted) -> Keyring:
    """The KSK goes; what its DS leads validators to is in caches all the same."""
    ksk, at = keyring.ksk(event.name), max(event.at, keyring.newest)
    # One that goes by force may have been named until just now.
    named = at + keyring.propagation + ksk.ds_ttl if ksk.ds_named else 0
    return replace(
        keyring,
        ksks=tuple(k for k in keyring.ksks if k.name != event.name),
        deleted_ds_until=max(keyring.deleted_ds_until, ksk.ds_until or 0, named),
        refresh_wanted=True,
    )


def _seen(ksk: Ksk, keyring: Keyring, event: ParentSeen) -> Ksk:
    """What the parent's DS says of the KSK. It may have named it until just now, also where it does not any more."""
    named = ksk.name in event.names
    if not named and not ksk.ds_named:
        return ksk
    ttl = max(ksk.ds_ttl, event.ttl) if named else ksk.ds_ttl
    at, propagation = max(event.at, keyring.newest), keyring.propagation
    until = max(ksk.ds_until or 0, at + propagation + ttl)
    return replace(ksk, ds_named=named, ds_ttl=ttl, ds_until=until)


# --- the signed keyset and what is published


def _keyset_signed(keyring: Keyring, event: KeysetSigned) -> Keyring:
    old, new = keyring.keyset, event.keyset
    asked = event.at if event.asked is None else event.asked
    present = set(new.rdatas)
    signed_now = {s.ksk for s in new.signatures}
    began = next((z.activated for z in keyring.zsks if z.sequence == 1 and z.activated is not None), None)
    # Never the second in which signing began: what comes later in it is not in every cache.
    published = event.at if began is None else max(event.at, began + 1)

    def ksk_after(ksk: Ksk) -> Ksk:
        if ksk.public_key is None:
            return ksk
        if ksk.rdata not in present:
            return replace(ksk, published=None, ready=None, out=None, unseen=0)
        if ksk.status is KskStatus.ACTIVE and ksk.rdata in signed_now:
            ksk = replace(ksk, trouble=None)
        return ksk if ksk.published is not None else replace(ksk, published=published)

    def zsk_after(zsk: Zsk) -> Zsk:
        if zsk.rdata in present:
            return zsk if zsk.published is not None else replace(zsk, published=event.at)
        if zsk.published is not None and zsk.removed is None:
            return replace(zsk, removed=event.at)
        return zsk

    zsks = [zsk_after(zsk) for zsk in keyring.zsks]
    if not any(z.activated is not None for z in zsks):
        # Signing starts: there is no older key whose signatures a cache could hold.
        first = next(i for i, z in enumerate(zsks) if z.published is not None)
        zsks[first] = replace(zsks[first], activated=event.at)
    unconfirmed, cached_until = keyring.unconfirmed, keyring.cached_until
    if old is None:
        # What caches hold of a zone that was served unsigned: data without RRSIGs, and a denial of its DNSKEY RRset. Of
        # one that was never served, they hold nothing.
        unconfirmed = max(unconfirmed or 0, keyring.unsigned_ttl, _of_another_server(keyring))
        if keyring.unsigned_since is not None:
            cached_until = max(cached_until, keyring.data_cached_until)  # perhaps with a higher TTL than now
    elif (old.rdatas, old.ttl) != (new.rdatas, new.ttl):
        unconfirmed = max(unconfirmed or 0, old.ttl)
    # No earlier one is left in caches once a refresh finds the present one older than any of those can be.
    alone = unconfirmed is None and cached_until <= event.at
    gone = [z for z in zsks if z.removed is not None]
    return replace(
        keyring,
        ksks=tuple(ksk_after(ksk) for ksk in keyring.ksks),
        zsks=tuple(z for z in zsks if z not in gone[:-_REMEMBERED]),
        keyset=new,
        refreshed=asked,
        behind=keyring.behind if any(s.end <= keyring.landed for s in new.signatures) else 0,
        refresh_wanted=False,
        unconfirmed=unconfirmed,
        cached_until=cached_until,
        keyset_ttl=new.ttl if alone else max(keyring.keyset_ttl, old.ttl if old is not None else 0, new.ttl),
    )


def _of_another_server(keyring: Keyring) -> int:
    """The TTL of what another server answered that caches may hold: only of a zone that was never signed here."""
    return 0 if any(zsk.activated is not None for zsk in keyring.zsks) else keyring.earlier_ttl


def _published(keyring: Keyring, event: Published) -> Keyring:
    # Not before it was stored, whatever the clock says meanwhile.
    at = max(event.at, keyring.newest)
    ksks, zsks, cached_until = keyring.ksks, keyring.zsks, keyring.cached_until
    if keyring.unconfirmed is not None:
        # Until `gone` a cache may hold an RRset that was served before the present one.
        gone = cached_until = max(cached_until, at + keyring.propagation + keyring.unconfirmed)
        known = {"ready": gone, "out": at, "unseen": gone - at}
        ksks = tuple(replace(k, **known) if k.published is not None and k.ready is None else k for k in ksks)
        zsks = tuple(replace(z, **known) if z.published is not None and z.ready is None else z for z in zsks)
    if keyring.superseding:
        zsks = tuple(replace(z, superseded=at) if z.retired is not None and z.superseded is None else z for z in zsks)
    return replace(keyring, ksks=ksks, zsks=zsks, cached_until=cached_until, unconfirmed=None, superseding=False)


def _served_unsigned(keyring: Keyring, at: int, ttl: int) -> Keyring:
    """The zone is served unsigned, if it was not before: that, and with which TTL, is not forgotten."""
    highest = max(keyring.data_ttl, ttl)
    return replace(
        keyring,
        unsigned_since=at if keyring.unsigned_since is None else keyring.unsigned_since,
        unsigned_ttl=max(keyring.unsigned_ttl, highest),
        data_ttl=highest,
    )


def _signing_disabled(keyring: Keyring, event: SigningDisabled) -> Keyring:
    """The keyset goes; the ZSK stays, so that signing that is enabled again agrees with what caches hold."""
    gone = keyring.keyset.ttl if keyring.keyset is not None else 0
    keyring = _served_unsigned(keyring, event.at, keyring.data_ttl)
    return replace(
        keyring,
        signing=False,
        unsigned_by_force=event.at if event.forced else keyring.unsigned_by_force,
        keyset=None,
        refreshed=None,
        refresh_wanted=False,
        rollover_requested=None,
        behind=0,
        # What was served of the DNSKEY RRset counts when the next one is published, which is later than needed.
        unconfirmed=max(keyring.unconfirmed or 0, gone),
        ksks=tuple(replace(ksk, published=None, ready=None, out=None, unseen=0) for ksk in keyring.ksks),
        zsks=tuple(
            replace(z, published=None, ready=None, out=None, unseen=0) if z.activated is None else z
            for z in keyring.zsks
        ),
    )


def _zsk_activated(keyring: Keyring, event: ZskActivated) -> Keyring:
    def after(zsk: Zsk) -> Zsk:
        if zsk.sequence == event.sequence:
            return replace(zsk, activated=event.at)
        return replace(zsk, retired=event.at) if zsk.activated is not None and zsk.retired is None else zsk

    keyring.zsk(event.sequence)
    return replace(keyring, zsks=tuple(after(zsk) for zsk in keyring.zsks), superseding=True)


# --- marks


def _observed(keyring: Keyring, event: Observed) -> Keyring:
    if event.earlier_ttl is not None and not any(zsk.activated is not None for zsk in keyring.zsks):
        keyring = replace(keyring, earlier_ttl=event.earlier_ttl)
    if not event.settled:
        if keyring.served_unsigned:
            keyring = _served_unsigned(keyring, event.at, event.ttl)
        return replace(
            keyring,
            data_ttl=max(keyring.data_ttl, event.ttl),
            window=max(keyring.window, event.window),
            propagation=max(keyring.propagation, event.propagation),
        )
    until = keyring.data_cached_until
    if event.ttl < keyring.data_ttl or event.window < keyring.window or event.propagation < keyring.propagation:
        # What was served with the higher values is served nowhere after a propagation, and cached for a TTL more.
        until = max(until, max(event.at, keyring.newest) + keyring.propagation + keyring.data_ttl)
    return replace(
        keyring,
        data_ttl=event.ttl,
        unsigned_ttl=min(keyring.unsigned_ttl, event.ttl),
        window=event.window,
        propagation=event.propagation,
        data_cached_until=until,
    )


def _clock_jumped(keyring: Keyring, event: ClockJumped) -> Keyring:
    """Every wait that had not ended before the jump goes on as if the time in between had not been."""
    before = event.at - event.by

    def later(time: int | None) -> int | None:
        return time + event.by if time is not None and time > before else time

    removing = [at + event.by for at, _ in removals(keyring) if at > before]
    # Signing is disabled only when DNSKEY RRsets that a DS led to are gone from caches, too: a TTL later.
    led_to = max(keyring.keyset_ttl, keyring.keyset.ttl) if keyring.keyset is not None else 0

    def named(until: int | None) -> int | None:
        return until + event.by if until is not None and until + led_to > before else until

    def out(key: Ksk | Zsk) -> int | None:
        """What `ready` is counted from, moved with it."""
        moved = key.ready is not None and key.ready > before
        return key.out + event.by if moved and key.out is not None else key.out

    leapt = keyring.keyset is not None and any(before < s.end <= event.at for s in keyring.keyset.signatures)
    return replace(
        keyring,
        behind=keyring.behind + event.by if leapt or keyring.behind else 0,
        landed=event.at if leapt else keyring.landed,
        cached_until=later(keyring.cached_until) or 0,
        data_cached_until=max([later(keyring.data_cached_until) or 0, *removing]),
        deleted_ds_until=named(keyring.deleted_ds_until) or 0,
        ksks=tuple(replace(k, ready=later(k.ready), out=out(k), ds_until=named(k.ds_until)) for k in keyring.ksks),
        zsks=tuple(replace(z, ready=later(z.ready), out=out(z)) if z.activated is None else z for z in keyring.zsks),
    )


def _clock_trusted(keyring: Keyring, at: int) -> Keyring:
    """All that is stored happened before `at`, whatever it says, and no cache keeps anything signed longer than a week.

    So a time that lies ahead is `at`, and a wait ends a propagation and the longest TTL from `at` on, or earlier. One
    that was longer still when the newest event was stored (unsigned answers, a DS) has at most as much left.
    """
    last = at + keyring.propagation + max(MAXIMUM_SIGNED_TTL, keyring.unsigned_ttl)
    began = next((z.activated for z in keyring.zsks if z.sequence == 1), None)

    def past(time: int | None) -> int | None:
        return None if time is None else min(time, at)

    def wait(time: int | None) -> int | None:
        return None if time is None else min(time, max(last, at + time - keyring.newest))

    def unseen(key: Ksk | Zsk) -> int:
        ready, out = wait(key.ready), past(key.out)
        return key.unseen if ready is None or out is None else min(key.unseen, ready - out)

    ksks = tuple(
        replace(
            k,
            published=past(k.published) if k.published == began else _later_than_first(k.published, at),
            ready=wait(k.ready),
            out=past(k.out),
            unseen=unseen(k),
            ds_until=wait(k.ds_until),
            forced=past(k.forced),
        )
        for k in keyring.ksks
    )
    zsks = tuple(
        replace(
            z,
            published=past(z.published),
            ready=wait(z.ready),
            out=past(z.out),
            unseen=unseen(z),
            activated=past(z.activated),
            retired=past(z.retired),
            superseded=past(z.superseded),
            lost=past(z.lost),
        )
        for z in keyring.zsks
    )
    return replace(
        keyring,
        newest=at,
        behind=0,
        ksks=ksks,
        zsks=zsks,
        cached_until=wait(keyring.cached_until) or 0,
        data_cached_until=wait(keyring.data_cached_until) or 0,
        deleted_ds_until=wait(keyring.deleted_ds_until) or 0,
        refreshed=past(keyring.refreshed),
        unsigned_since=past(keyring.unsigned_since),
        unsigned_by_force=past(keyring.unsigned_by_force),
        rollover_requested=past(keyring.rollover_requested),
        refresh_wanted=keyring.keyset is not None,
    )


def _later_than_first(published: int | None, at: int) -> int | None:
    """When a KSK was published with which signing did not begin: never in the second in which it did, which may be
    `at`, since what came later is not in every cache.
    """
    return None if published is None else min(published, at + 1)
