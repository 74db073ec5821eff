"""A DNSSEC validator of the tests' own, on dnspython: it must not know any code that it judges.

It is stricter than resolvers are: every RRset must be signed by every RRSIG beside it, nothing may be in a section that
is not needed, and an RRSIG has to outlast the TTL it is served with.
"""

from tests.validator.judge import Judgement, Verdict, judge
from tests.validator.signatures import Bogus

__all__ = ["Bogus", "Judgement", "Verdict", "judge"]
