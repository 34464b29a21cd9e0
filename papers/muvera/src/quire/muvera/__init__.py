"""MUVERA: Multi-Vector Retrieval via Fixed Dimensional Encodings (Authors, year, venue, arXiv number)."""

from quire.muvera import claims as _claims  # noqa: F401  (registers the claims)
from quire.muvera.paper import Config, paper
from quire.muvera.running_mean import running_mean

__all__ = ["Config", "paper", "running_mean"]
