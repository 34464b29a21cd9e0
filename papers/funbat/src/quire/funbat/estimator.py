"""The method as one object: settings, `fit`, `predict`, the latent functions."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.train.finite import check_state
from quire.funbat.cep import run_epochs
from quire.funbat.entries import Entries, entries_at
from quire.funbat.model import Hyper, Kind, Model, State, initial_state
from quire.funbat.prediction import functions_at, predict_at


class Fitted(NamedTuple):
    """What `fit` found: the entries standardised, the state, and the units of y."""

    entries: Entries
    state: State
    hyper: Hyper
    mean: float
    std: float


class FunBaT:
    """Functional Bayesian Tucker (or CP) decomposition of entries at real-valued coordinates.

    `y ~ N(vec(G)^T [u_1(x_1) (x) ... (x) u_K(x_K)], 1 / tau)`, every component of every `u_k` a Matern process.

    Args:
        rank: R, functions of each mode.
        kind: `tucker` or `cp`.
        nu: smoothness of the processes, 1/2, 3/2 or 5/2.
        lengthscales: in units of each mode's coordinate; one number for all modes, or one for each.
        variances: of the processes, likewise.
        damping, damping_noise, damping_core, extra_variance, a0, b0, core_prior_precision: see `Hyper`.
        initial_variance: of q at the start.
        standardise: whether y is shifted and scaled to mean 0 and variance 1 for the inference.
        smooth, joint, parallel: see `Model`.

    Raises:
        ValueError: for settings out of range; lengthscales and variances are checked by `fit`, which knows the modes.

    Example:
        >>> x = np.random.default_rng(0).uniform(size=(200, 2))
        >>> y = np.sin(6 * x[:, 0]) * np.exp(-x[:, 1])
        >>> model = FunBaT(1, "cp", nu=1.5, lengthscales=0.3, damping=0.1, damping_noise=0.2, standardise=False)
        >>> mean, variance = model.fit(x, y, epochs=60, key=jax.random.key(0)).predict(np.array([[0.3, 0.5]]))
        >>> print(f"{mean[0]:.1f}, the truth is {np.sin(1.8) * np.exp(-0.5):.1f}")
        0.6, the truth is 0.6

    References:
        Fang et al., *Functional Bayesian Tucker Decomposition for Continuous-indexed Tensor Data*, 2024, sections 3 and 4. The
        authors' code unfolds the core with its axes in reverse, and draws the mean of the prior at random; neither is done here.
    """

    def __init__(
        self,
        rank: int,
        kind: Kind = "tucker",
        *,
        nu: float = 0.5,
        lengthscales: float | Sequence[float] = 0.5,
        variances: float | Sequence[float] = 1.0,
        damping: float = 0.9,
        damping_noise: float = 0.9,
        damping_core: float = 0.95,
        extra_variance: float = 1.0,
        a0: float = 1.0,
        b0: float = 1.0,
        core_prior_precision: float = 0.0,
        initial_variance: float = 0.1,
        standardise: bool = True,
        smooth: bool = True,
        joint: bool = False,
        parallel: bool = False,
    ):
        self.model = Model(rank, kind, nu, smooth, joint, parallel)
        self.lengthscales, self.variances = lengthscales, variances
        self.numbers = (damping, damping_noise, damping_core, extra_variance, a0, b0, core_prior_precision)
        self.initial_variance, self.standardise = initial_variance, standardise
        Hyper((1.0, 1.0), (1.0, 1.0), *self.numbers).checked(2)
        self._fitted: Fitted | None = None

    def fit(
        self, coords: Real[AnyArray, "entries modes"], y: Real[AnyArray, " entries"], epochs: int, key: jax.Array
    ) -> "FunBaT":
        """Inference from the entries; replaces what an earlier call found.

        Args:
            coords: of each entry, in any order and units.
            y: their values.
            epochs: over all modes, core and noise.
            key: of the start.

        Returns:
            Itself.

        Raises:
            ValueError: for entries as `entries_at` refuses them, lengthscales or variances that are not positive or not one for
                each mode, or fewer than one epoch.
            TrainingDiverged: if a posterior is not finite; in float32 a core needs `core_prior_precision` where functions are
                nearly dependent.
        """
        check_at_least("epochs", epochs)
        entries = entries_at(coords, y)
        modes = len(entries.coordinates)
        hyper = Hyper(_each(self.lengthscales, modes), _each(self.variances, modes), *self.numbers).checked(modes)
        mean, std = (float(entries.values.mean()), float(entries.values.std())) if self.standardise else (0.0, 1.0)
        std = std if std > 0 else 1.0  # constant values
        entries = entries._replace(values=((entries.values - mean) / std).astype(entries.values.dtype))
        state = initial_state(entries, self.model, key, variance=self.initial_variance)
        state = run_epochs(entries, state, hyper, epochs, model=self.model)
        check_state(state._asdict(), 0, epochs)
        self._fitted = Fitted(entries, state, hyper, mean, std)
        return self

    @property
    def fitted(self) -> Fitted:
        """What the last `fit` found.

        Raises:
            ValueError: before the first one.
        """
        if self._fitted is None:
            raise ValueError("this model has seen no entry; call fit first")
        return self._fitted

    def predict(self, coords: Real[AnyArray, "new modes"]) -> tuple[Float[Array, " new"], Float[Array, " new"]]:
        """Mean and variance of values at any coordinates, noise included, in the units of y and their square.

        Raises:
            ValueError: before `fit`, or if there is not one finite coordinate for each mode.
        """
        f = self.fitted
        mean, variance = predict_at(f.entries, f.state, f.hyper, self.model, coords)
        return f.mean + f.std * mean, f.std**2 * variance

    def functions(self, k: int, t: Real[AnyArray, " new"]) -> tuple[Float[AnyArray, "new rank"], Float[AnyArray, "new rank"]]:
        """Means and variances of the functions of mode k; scale, sign and order are not identified by the entries.

        Raises:
            ValueError: before `fit`, for a mode that there is not, or coordinates that are not finite.
        """
        f = self.fitted
        q = functions_at(f.entries, f.state, f.hyper, self.model, k, t)
        return q.mean, jnp.diagonal(q.covariance, axis1=-2, axis2=-1)


def _each(numbers: float | Sequence[float], modes: int) -> tuple[float, ...]:
    each = np.asarray(numbers, float)
    return (float(each),) * modes if each.ndim == 0 else tuple(each.tolist())
