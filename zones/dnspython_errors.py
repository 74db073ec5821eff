"""What a library raises while it reads text: whether the text is at fault.

dnspython's classes for rdata raise whatever their fields lead to (`struct.error`, `OverflowError`, `IndexError`), so
no list of them can be complete. Callers that pass text to it treat every `Exception` as a fault of the text, except
what `interruption` finds.
"""

from __future__ import annotations


def interruption(error: BaseException, outer: BaseException | None) -> BaseException | None:
    """The exception that interrupted the library and is not a fault of the text; None if there is none.

    That is a lack of memory, or an exception outside `Exception`, such as `KeyboardInterrupt`. `dns.rdata.from_text`
    turns these into an ordinary `SyntaxError`, so this looks for them among the error's causes.

    `outer` is the exception that was being handled when the library was called (`sys.exc_info()[1]`). It and what led
    to it happened before, so the search ends there.
    """
    found: BaseException | None = error
    while found is not None and found is not outer:
        if isinstance(found, MemoryError) or not isinstance(found, Exception):
            return found
        found = found.__cause__ or found.__context__
    return None
