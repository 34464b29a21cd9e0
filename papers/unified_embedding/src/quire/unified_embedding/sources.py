"""Logs of clicks that the experiments open."""

from quire.common.data.click_logs import ClickLog
from quire.common.data.click_sets import open_clicks
from quire.common.data.source import Source

PAPERS = "Criteo, Avazu and MovieLens-1M"


def open_log(name: str) -> Source[ClickLog]:
    """The log of a preset; MovieLens 100K, and generated clicks after it, stand in for the sets of the paper.

    Raises:
        ValueError, DatasetUnavailable, DatasetCorrupt: as `open_clicks`.
    """
    return open_clicks(name, PAPERS)
