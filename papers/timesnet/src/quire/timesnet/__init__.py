"""TimesNet: series folded by their dominant periods and convolved in two dimensions, for five tasks.

Wu, Hu, Liu, Zhou, Wang and Long, *TimesNet: Temporal 2D-Variation Modeling for General Time Series Analysis*, ICLR 2023,
arXiv 2210.02186. Authors' code: thuml/TimesNet and thuml/Time-Series-Library (MIT).
"""

from quire.common.layers.dlinear import DLinear
from quire.common.layers.series import normalise_windows
from quire.common.layers.timesnet import (
    Inception,
    SeriesBlock,
    TimesBlock,
    fft_periods,
    fold,
    folded_conv,
    merge_kernels,
    unfold,
)
from quire.common.losses.forecast import mape_loss, mase_loss, smape_loss
from quire.common.metrics.anomaly import anomaly_threshold, detection, point_adjust
from quire.common.metrics.forecast import mase, naive2, owa, smape
from quire.timesnet import benchmark, claims, figures
from quire.timesnet.convert import load_timesnet
from quire.timesnet.models import (
    Classifier,
    Forecaster,
    Imputer,
    Reconstructor,
    TimesNet,
    TimesNetConfig,
    anomaly_score,
    representation_cka,
)
from quire.timesnet.paper import paper
from quire.timesnet.training import predict, train

__all__ = [
    "Classifier",
    "DLinear",
    "Forecaster",
    "Imputer",
    "Inception",
    "Reconstructor",
    "SeriesBlock",
    "TimesBlock",
    "TimesNet",
    "TimesNetConfig",
    "anomaly_score",
    "anomaly_threshold",
    "benchmark",
    "claims",
    "detection",
    "fft_periods",
    "figures",
    "fold",
    "folded_conv",
    "load_timesnet",
    "mape_loss",
    "mase",
    "mase_loss",
    "merge_kernels",
    "naive2",
    "normalise_windows",
    "owa",
    "paper",
    "point_adjust",
    "predict",
    "representation_cka",
    "smape",
    "smape_loss",
    "train",
    "unfold",
]
