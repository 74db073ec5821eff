"""The wildcards of IAM policies: `*` is any run of characters, `?` any one."""

from __future__ import annotations


def glob(pattern: str, text: str) -> bool:
    """Whether `pattern` matches all of `text`.

    In time |pattern| × |text| at worst, which a regular expression with as many stars would not keep to.
    """
    at = within = 0
    star, resume = -1, 0
    while at < len(text):
        if within < len(pattern) and pattern[within] == "*":
            star, resume = within, at
            within += 1
        elif within < len(pattern) and pattern[within] in ("?", text[at]):
            at += 1
            within += 1
        elif star >= 0:  # let the last star take one more character
            resume += 1
            at, within = resume, star + 1
        else:
            return False
    return all(character == "*" for character in pattern[within:])


def arn_like(pattern: str, arn: str) -> bool:
    """Whether the six parts of an ARN match one by one: a wildcard does not reach over a colon between them."""
    if pattern == "*":
        return True
    wanted, parts = pattern.split(":", 5), arn.split(":", 5)
    return len(wanted) == len(parts) == 6 and all(map(glob, wanted, parts))
