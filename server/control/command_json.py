"""What can be asked about a zone's keys, as the control protocol has it: `{"type": "ActivateKsk", "name": "ksk_1"}`."""

from __future__ import annotations

from keys.rules.commands import (
    ActivateKsk,
    CreateKsk,
    DeactivateKsk,
    DeleteKsk,
    DisableSigning,
    EmergencyRollover,
    EnableSigning,
    OfferDs,
    StartRollover,
    TrustClock,
    WithdrawDs,
)

COMMAND_TYPES = (
    ActivateKsk
    | CreateKsk
    | DeactivateKsk
    | DeleteKsk
    | DisableSigning
    | EmergencyRollover
    | EnableSigning
    | OfferDs
    | StartRollover
    | TrustClock
    | WithdrawDs
)
"""Every command, told apart by its `type`."""
