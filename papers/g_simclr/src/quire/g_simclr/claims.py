"""The claims of the paper, in its order."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, all_of, beats, below, every_seed, slope_close_to
from quire.common.claims.identity import identity
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.g_simclr import brute_force, figures
from quire.g_simclr.config import Preset
from quire.g_simclr.paper import paper
from quire.g_simclr.running_mean import running_mean


@paper.claim(
    "C1",
    says="The running sum computes the mean of every prefix",
    source="section 2, equation 1",
    metric="largest error / largest reference, float64",
    holds=all_of(below(1e-12), below(1e-5, of="float32")),
    exact=True,
)
def is_the_definition(preset: Preset, key: jax.Array) -> Measurement:
    """Random numbers, against the definition in NumPy."""
    x = generator(key).standard_normal((3, 64))

    def error(dtype: Any) -> float:
        return max_relative_error(running_mean(jnp.asarray(x, dtype)), brute_force.running_mean(x))

    return identity(error, "3 series of 64 normal numbers")


@paper.claim(
    "C2",
    says="The mean of n numbers estimates better than one number, with an error of order 1 / √n",
    source="section 3, table 1",
    metric="root mean square error of the mean of all numbers",
    trivial="one number",
    holds=all_of(beats("one number", lower_is_better=True), every_seed(slope_close_to(-0.5, atol=0.1, of="error"))),
)
def error_of_the_mean(preset: Preset, key: jax.Array) -> Measurement:
    """Normal numbers of mean zero."""
    x = generator(key).standard_normal((preset.num_trials, preset.num_samples), dtype=np.float32)
    error = np.sqrt(np.mean(np.square(jax.jit(running_mean)(x)), axis=0))
    counts = 2 ** np.arange(int(np.log2(preset.num_samples)) + 1)
    return Measurement(
        float(error[-1]),
        f"{preset.num_trials} series of {preset.num_samples} normal numbers",
        baselines={"one number": float(error[0])},
        series={"error": (counts, error[counts - 1])},
        figure=figures.errors(counts, error[counts - 1]),
    )
