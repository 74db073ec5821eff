"""What a library raises while it reads text: whether the text is at fault.

dnspython's classes for rdata raise whatever their fields lead to (`struct.error`, `OverflowError`, `IndexError`), so
nobody can list what may come. Whoever hands text to it takes every `Exception` as a fault of the text, except what
`interruption` finds.
"""

from __future__ import annotations


def interruption(error: BaseException, outer: BaseException | None) -> BaseException | None:
    """The exception that interrupted the library and is no fault of the text, None where there is none.

    A lack of memory, or one that is no `Exception`, such as `KeyboardInterrupt`. `dns.rdata.from_text` turns these
    into a `SyntaxError` like any other, so they are looked for among what an error was raised from.

    `outer` is the exception that was being handled when the library was called (`sys.exc_info()[1]`). It and what led
    to it happened before, so the search ends there.
    """
    found: BaseException | None = error
    while found is not None and found is not outer:
        if isinstance(found, MemoryError) or not isinstance(found, Exception):
            return found
        found = found.__cause__ or found.__context__
    return None
