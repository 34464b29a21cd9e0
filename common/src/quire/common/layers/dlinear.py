"""DLinear: the trend and the rest of a window, each mapped to the forecast by one matrix over time."""

import jax
from flax import nnx
from jaxtyping import Array, Float

from quire.common.layers.initialisers import linear
from quire.common.layers.series import moving_average


class DLinear(nnx.Module):
    """`y = W_trend m(x) + b_trend + W_rest (x - m(x)) + b_rest` over time, shared by all channels, m a moving average.

    Args:
        seq_len, pred_len: steps read and written.
        width: of the moving average, odd.
        rngs: for the initial weights.

    References:
        Zeng et al., *Are Transformers Effective for Time Series Forecasting?*, 2023, arXiv 2205.13504, section 4.
    """

    def __init__(self, seq_len: int, pred_len: int, *, width: int = 25, rngs: nnx.Rngs):
        self.seq_len, self.width = seq_len, width
        self.trend, self.rest = linear(seq_len, pred_len, rngs=rngs), linear(seq_len, pred_len, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b t c"], marks: Float[Array, "b t f"] | None = None, key: jax.Array | None = None
    ) -> Float[Array, "b p c"]:
        """Forecast of every channel; marks and key are ignored, so that it stands in for any other forecaster.

        Raises:
            ValueError: if the windows have another length.
        """
        if x.shape[1] != self.seq_len:
            raise ValueError(f"x has {x.shape[1]} steps; this forecaster reads {self.seq_len}")
        trend = moving_average(x, self.width)
        return (self.trend(trend.mT) + self.rest((x - trend).mT)).mT
