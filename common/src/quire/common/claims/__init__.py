"""Claims: measured statements of papers, with criteria, verdicts, records and tables."""

from quire.common.claims.criteria import (
    Criterion,
    Verdict,
    above,
    all_of,
    at_least,
    at_most,
    beats,
    below,
    close_to,
    confidence_interval,
    every_seed,
    on_average,
    slope_above,
    slope_below,
    slope_close_to,
)
from quire.common.claims.display import Scorecard
from quire.common.claims.measurement import Measurement, log_log_slope
from quire.common.claims.paper import Claim, Paper, installed, load, shared
from quire.common.claims.run import Record, Result, run

__all__ = [
    "Claim",
    "Criterion",
    "Measurement",
    "Paper",
    "Record",
    "Result",
    "Scorecard",
    "Verdict",
    "above",
    "all_of",
    "at_least",
    "at_most",
    "beats",
    "below",
    "close_to",
    "confidence_interval",
    "every_seed",
    "installed",
    "load",
    "log_log_slope",
    "on_average",
    "run",
    "shared",
    "slope_above",
    "slope_below",
    "slope_close_to",
]
