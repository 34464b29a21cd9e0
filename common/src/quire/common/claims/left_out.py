"""Claims that a preset leaves out: they are shown as not tested, with the reason, and nothing is missing."""

from quire.common.claims.run import Result
from quire.common.errors import DatasetUnavailable

LEFT_OUT = "left out of this preset: "


class NotTested(DatasetUnavailable):
    """What a claim needs is not part of this preset.

    Args:
        why: what it would take, and the preset that has it.
    """

    def __init__(self, why: str):
        super().__init__(LEFT_OUT + why)


def is_left_out(result: Result) -> bool:
    """Whether a claim was not tested because its preset leaves it out, rather than for want of data."""
    return result.verdict == "not tested" and result.why.startswith(LEFT_OUT)
