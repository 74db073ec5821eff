"""What people read instead of the class names of actions, events and commands: the field's terms (RFC 7583, RFC 6781).

The event log and the control protocol keep the class names: programs compare them, so they never change.
"""

from __future__ import annotations

from typing import Final

TERMS: Final = {
    # Actions.
    "IntendKsk": "request KSK",
    "MakeKsk": "create KSK",
    "LearnKsk": "get public key of KSK",
    "GenerateZsk": "generate ZSK",
    "SignKeyset": "sign DNSKEY RRset",
    "ConfirmPublished": "confirm publication",
    "ActivateZsk": "sign with new ZSK",
    "ProbeKsk": "try KSK again",
    "ForgetKsk": "delete KSK",
    "ObservePolicy": "apply policy",
    # Events.
    "KskIntended": "KSK requested",
    "KskCreated": "KSK created",
    "KskLearned": "public key of KSK read",
    "ZskGenerated": "ZSK generated",
    "KeysetSigned": "DNSKEY RRset signed",
    "KmsFailed": "KMS failed",
    "KmsProbeFailed": "KMS probe failed",
    "KmsProbeSucceeded": "KMS probe succeeded",
    "KskRecovered": "KSK signs again",
    "KskNeedsAction": "KSK needs action",
    "KskActivated": "KSK activated",
    "KskDeactivated": "KSK deactivated",
    "KskDeleting": "KSK being deleted",
    "KskDeleted": "KSK deleted",
    "DsWithdrawn": "DS withdrawn",
    "DsOffered": "DS offered",
    "Published": "publication confirmed",
    "ZskActivated": "new ZSK signs",
    "ZskLost": "ZSK compromised",
    "RolloverRequested": "ZSK rollover requested",
    "SigningEnabled": "signing enabled",
    "SigningDisabled": "signing disabled",
    "SigningConfigured": "setting signed applied",
    "ServedUnsigned": "served unsigned",
    "Observed": "policy applied",
    "ParentSeen": "DS at parent changed",
    "ClockJumped": "clock jumped forward",
    "ClockTrusted": "clock accepted",
    "TriedAgain": "retry requested",
    # Commands.
    "CreateKsk": "create KSK",
    "ActivateKsk": "activate KSK",
    "DeactivateKsk": "deactivate KSK",
    "DeleteKsk": "delete KSK",
    "WithdrawDs": "withdraw DS",
    "OfferDs": "offer DS",
    "EnableSigning": "enable signing",
    "DisableSigning": "disable signing",
    "StartRollover": "start ZSK rollover",
    "EmergencyRollover": "start emergency ZSK rollover",
    "TrustClock": "accept clock",
}


def term(name: str) -> str:
    """The term for a class name; a name of another version that is unknown here stays as it is."""
    return TERMS.get(name, name)


def with_terms(reason: str) -> str:
    """A reason as the event log has it, which an earlier version may have written with the class name of a command."""
    before, colon, after = reason.partition(": ")
    name, rest, subject = after.partition(": ")
    return f"{before}{colon}{TERMS[name]}{rest}{subject}" if name in TERMS else reason
