"""The claims of the paper, in its order."""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from quire.common.claims import Measurement, beats, below
from quire.common.testing import max_relative_error
from quire.muvera.paper import Config, paper
from quire.muvera.running_mean import running_mean


@paper.claim(
    "C1",
    says="The running sum computes the mean of every prefix.",
    source="Equation 1",
    metric="max abs error / max abs reference",
    holds=below(1e-10),
    exact=True,
)
def matches_definition(preset: Config, key: jax.Array) -> Measurement:
    """Against the definition, in float64."""
    with jax.enable_x64():
        x = jax.random.normal(key, (256,), jnp.float64)
        expected = [np.mean(np.asarray(x)[: i + 1]) for i in range(x.size)]
        return Measurement(max_relative_error(running_mean(x), expected), "256 normal numbers")


@paper.claim(
    "C2",
    says="The mean of n numbers estimates better than one of them.",
    source="Table 1",
    metric="absolute error",
    trivial="one number",
    holds=beats("one number", lower_is_better=True),
    seeds=20,
)
def error_of_the_mean(preset: Config, key: jax.Array) -> Measurement:
    """Normal numbers with mean zero."""
    x = jax.random.normal(key, (preset.num_samples,))
    error = jnp.abs(running_mean(x))
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    axes.loglog(np.arange(1, x.size + 1), np.maximum(error, 1e-6))
    axes.set(xlabel="numbers n", ylabel="error of the mean")
    return Measurement(float(error[-1]), f"{x.size} normal numbers", baselines={"one number": float(error[0])}, figure=figure)
