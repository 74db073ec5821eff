"""Records that an earlier version served and that are invalid now: the caller that loads the zone decides about them.

An upgrade must not take down a zone that was served before it. So a server leaves such a record out and warns, while
`signwright check` reports an error. Records that no version served are errors everywhere.
"""

from __future__ import annotations


class NoLongerValidError(ValueError):
    """A record that an earlier version served and this one refuses; its text says what is wrong."""
