"""Learning Low-Rank Representations for Model Compression (Authors, year, venue, arXiv number)."""

from quire.lr2vq import benchmark, claims
from quire.lr2vq.config import PRESETS, Preset
from quire.lr2vq.paper import paper
from quire.lr2vq.running_mean import running_mean

__all__ = ["PRESETS", "Preset", "benchmark", "claims", "paper", "running_mean"]
