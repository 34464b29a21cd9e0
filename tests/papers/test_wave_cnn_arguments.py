"""Wave CNN: wrong arguments are refused by their names, never cut, clamped or broadcast."""

import jax
import numpy as np
import pytest
from flax import nnx

from quire.wave_cnn import (
    BoundaryGenerator,
    Generator,
    OneLayer,
    OneWayConv,
    Parameters,
    Surrogate,
    Trainer,
    WaveFE,
    Waves,
    cp_linear,
    he_variance,
    per_kernel_conv,
    simulate,
    solve_inside,
)
from quire.wave_cnn.baselines import cubic, nearest
from quire.wave_cnn.training import Run, Scaled

KEY = jax.random.key(0)
SQUARE = Waves(8, 4, 2, (2, 5))
TWO = Waves(8, 4, 2, (2, 5), materials=2)
ONE = Parameters(np.full((1, 2), 0.5), np.full(1, 0.1), np.ones((1, 1)))
X, Y = np.ones((3, 2)), np.ones((3, 1))


def trained(samples):
    trainer = Trainer(lambda rngs: nnx.Linear(1, 1, rngs=rngs), 1, 1)
    return trainer(Run(KEY, Scaled(np.ones((2, 1)), np.ones((2, 1)), 1.0), samples, 0.1))


CALLS = [
    (lambda: nearest(X, Y, X * np.nan), "new has 6 numbers that are not finite"),
    (lambda: nearest(X * np.nan, Y, X), "x has 6 numbers that are not finite"),
    (lambda: nearest(X, Y, X[:, :1]), r"x, y and new have shapes \(3, 2\), \(3, 1\), \(3, 1\)"),
    (lambda: nearest(X, np.ones((5, 1)), X), r"\(5, 1\)"),
    (lambda: cubic(X[:0], Y[:0], X), r"\(0, 2\)"),
    (lambda: simulate(ONE, TWO), r"\[n, 2\], \[n\] and \[n, 2\]"),
    (lambda: simulate(ONE._replace(speed=np.ones((1, 2))), SQUARE), r"\[n, 2\], \[n\] and \[n, 1\]"),
    (lambda: solve_inside(ONE, np.zeros((2, 3, 16)), SQUARE), r"rims has shape \(2, 3, 16\)"),
    (lambda: Waves(bc="open"), "bc is 'open'"),
    (lambda: BoundaryGenerator(0, 2, (2, 2), None, rngs=nnx.Rngs(0)), "inputs is 0"),
    (lambda: BoundaryGenerator(2, 2, (), None, rngs=nnx.Rngs(0)), "width is 0"),
    (lambda: he_variance(0, (3, 3)), "in_features is 0"),
    (
        lambda: per_kernel_conv(np.ones((1, 4, 4, 3)), [np.ones((2, 3, 1, 3)), np.ones((3, 2, 1, 3))], evaluate="sequential"),
        "factors",
    ),
    (lambda: OneWayConv(1, 1, (3, 3), mode="shared", stride=(1,), rngs=nnx.Rngs(0))(np.ones((1, 4, 4, 1))), r"stride is \(1,\)"),
    (lambda: cp_linear(np.ones((1, 4)), [np.ones((2, 1)), np.ones((2, 3))], [np.ones((5, 3))]), r"factors have shapes"),
    (lambda: WaveFE(2, 2).energy(np.zeros(9), np.zeros(8)), r"u has shape \(9,\) and v \(8,\)"),
    (lambda: WaveFE(2, 2).acceleration(np.zeros(8)), r"u has shape \(8,\)"),
    (lambda: WaveFE(2, 2).newmark(np.zeros(9), np.zeros(8), 0.1, 1), r"v0 has shape \(8,\)"),
    (lambda: WaveFE(2, 2, c=lambda x: x[:, 0]).acceleration(np.zeros(9)), "c is a function"),
    (lambda: trained(3), "samples is 3; the data have 2"),
    (lambda: Surrogate(batch_size=0), "batch_size is 0"),
    (lambda: Surrogate(rates=()), "least of rates is 0"),
    (lambda: Generator(train=10), "train is 10"),
    (lambda: Generator(rate=np.nan), "rate is nan"),
    (lambda: OneLayer(repeats=0), "repeats is 0"),
]


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[message for _, message in CALLS])
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()
