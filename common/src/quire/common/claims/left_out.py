"""Claims that a preset leaves out: they are shown as not tested, with the reason."""

from quire.common.errors import DatasetUnavailable


class NotTested(DatasetUnavailable):
    """What a claim needs is not there at this preset; the message says why, and where it is."""
