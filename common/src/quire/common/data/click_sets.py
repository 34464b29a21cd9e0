"""Logs of clicks by name, for papers on click-through rates: the sets that people know, and what stands in for them."""

from quire.common.data.adult import adult, open_adult
from quire.common.data.click_logs import ClickLog, generated_clicks
from quire.common.data.display_ads import avazu, criteo
from quire.common.data.ratings import movielens_1m_clicks, movielens_100k_clicks
from quire.common.data.source import Source, open_or

ROWS = 10_000_000
"""Rows of the large logs that are read."""

LOGS = {
    "movielens-1m": movielens_1m_clicks,
    "adult": adult,
    "criteo": lambda: criteo(ROWS),
    "avazu": lambda: avazu(ROWS),
}


def open_clicks(name: str, papers: str) -> Source[ClickLog]:
    """A log of clicks.

    MovieLens 100K stands in for the sets of a paper, and generated clicks for it; Adult is beside them. Nothing stands in for the
    large logs.

    Args:
        name: `"movielens-100k"`, `"movielens-1m"`, `"adult"`, `"criteo"` or `"avazu"`.
        papers: the sets that the paper itself trains on, in words.

    Raises:
        ValueError: for another name.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    if name == "movielens-100k":
        return open_or(movielens_100k_clicks, generated_clicks, stand_in_for=papers, instead_of=f"MovieLens 100K and {papers}")
    if name not in LOGS:
        raise ValueError(f"name is {name!r}; it must be one of movielens-100k, {', '.join(LOGS)}")
    return open_adult() if name == "adult" else open_or(LOGS[name])
