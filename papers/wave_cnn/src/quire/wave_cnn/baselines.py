"""What a network has to be better than: a mean field, the data of the rim, linear and cubic regression, the nearest run."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import check_finite
from quire.wave_cnn.training import relative_error
from quire.wave_cnn.waves import WaveData


def ridge(
    x: Float[np.ndarray, "n k"], y: Float[np.ndarray | Array, "n m"], new: Float[np.ndarray, "l k"], penalty: float
) -> Float[np.ndarray, "l m"]:
    """Linear regression with a penalty on squared weights, around the means: `x` may have more columns than rows.

    Raises:
        ValueError: for a penalty that is not positive, or shapes that do not fit.
    """
    if not penalty > 0:
        raise ValueError(f"penalty is {penalty}; it must be positive")
    _check_rows(x, y, new)
    x, y, new = (np.asarray(a, float) for a in (x, y, new))
    mean, level = x.mean(0), y.mean(0)
    x, new = x - mean, new - mean
    return new @ x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(len(x)), y - level) + level


def _check_rows(x, y, new):
    if len(x) != len(y) or x.shape[1:] != new.shape[1:] or not len(x):
        raise ValueError(f"x, y and new have shapes {x.shape}, {y.shape}, {new.shape}; they need [n, k], [n, m] and [l, k]")


def linear_features(data: WaveData) -> Float[np.ndarray, "n k"]:
    """Everything that a network is given, once: speeds, the pulse, and the rim at every time."""
    n, channels = len(data.fields), data.inputs.shape[-1]
    rim = np.abs(data.inputs[..., -1]).max((0, 1)) > 0
    parts = [
        data.parameters.speed,
        data.inputs[:, 0, ..., channels - 2].reshape(n, -1),
        data.inputs[..., -1][:, :, rim].reshape(n, -1),
    ]
    return np.concatenate(parts, axis=1)


def linear_field(train: WaveData, new: Sequence[WaveData], penalties: Sequence[float]) -> list[Float[np.ndarray, "n *_"]]:
    """Fields of `new[1:]` by ridge regression on all inputs; the penalty is the best one on `new[0]`."""
    data = [train, *new]
    features = [linear_features(each) for each in data]
    y = train.fields.reshape(len(train.fields), -1)

    def fields(which, penalty):
        return ridge(features[0], y, features[which], penalty).reshape(data[which].fields.shape)

    best = min(penalties, key=lambda penalty: relative_error(fields(1, penalty), data[1].fields))
    return [fields(which, best) for which in range(2, len(data))]


def cubic(
    x: Float[np.ndarray, "n k"], y: Float[np.ndarray, "n m"], new: Float[np.ndarray, "l k"], penalty: float = 1e-6
) -> Float[np.ndarray, "l m"]:
    """Regression on all monomials of degree 3 at most, of inputs in units of their spread.

    Raises:
        ValueError: as for `ridge`.
    """
    _check_rows(x, y, new)
    from sklearn.preprocessing import PolynomialFeatures

    mean, spread = x.mean(0), np.maximum(x.std(0), 1e-12)
    basis = PolynomialFeatures(3, include_bias=False).fit((x - mean) / spread)
    return ridge(basis.transform((x - mean) / spread), y, basis.transform((new - mean) / spread), penalty)


def nearest(
    x: Float[np.ndarray, "n k"], y: Float[np.ndarray, "n *_"], new: Float[np.ndarray, "l k"]
) -> Float[np.ndarray, "l *_"]:
    """What the run with the nearest parameters gave, in units of their spread.

    Raises:
        ValueError: without a run, for shapes that do not fit, or parameters that are not finite.
    """
    _check_rows(x, y, new)
    check_finite("x", x)
    check_finite("new", new)
    spread = np.maximum(x.std(0), 1e-12)
    distance = np.sum(((new[:, None] - x[None]) / spread) ** 2, axis=-1)
    return y[np.argmin(distance, axis=1)]
