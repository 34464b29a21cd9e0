"""Extended XYZ and the 3BPA frames."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from quire.common.data import registry
from quire.common.data.molecules import read_extxyz, stack_frames, three_bpa
from quire.common.errors import DatasetCorrupt, DatasetUnavailable
from quire.common.train.seeds import fit_seeds

FRAME = """2
energy=-3.5 config="a b" Properties=species:S:1:pos:R:3:forces:R:3
O 0 0 1 0.1 0.2 0.3
H 0 1 0 -0.1 -0.2 -0.3
"""
ATOMS = "1\nenergy=-1.0 Properties=species:S:1:pos:R:3\nH 0 0 0\n1\nenergy=-2.0 Properties=species:S:1:pos:R:3\nO 0 0 0\n"


def test_frames_become_arrays():
    found = stack_frames("water", read_extxyz(FRAME + FRAME), read_extxyz(ATOMS))
    assert found.elements == ("H", "O") and len(found) == 2
    np.testing.assert_array_equal(found.species[0], [1, 0])
    np.testing.assert_array_equal(found.positions[1], [[0, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(found.forces[0].sum(0), 0)
    np.testing.assert_allclose(found.interaction_energy, [-0.5, -0.5])
    assert len(found[:1]) == 1
    assert read_extxyz(FRAME)[0].info["config"] == "a b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("two\n", "line 1 of the file is 'two', not a number of atoms"),
        (FRAME.replace("2\n", "3\n", 1), "ends within a frame of 3 atoms that begins at line 1"),
        (FRAME.replace("0.1 0.2 0.3", "0.1 0.2"), "does not have the 7 columns"),
        ("", "the file has no frame"),
        ("0\nProperties=species:S:1:pos:R:3\n", "line 1 of the file is '0'"),
        ("²\n", "not a number of atoms"),
        (FRAME + "\n" + FRAME, "line 5 of the file is ''"),
        (FRAME.replace("0 1 0", "0 nan 0"), "pos holds a number that is not finite"),
        (FRAME.replace("0 1 0", "0 x 0"), "pos holds something that is no number"),
        (FRAME.replace(":R:3:forces", ":R:x:forces"), "must be name:type:width"),
    ],
)
def test_damaged_files(text, message):
    with pytest.raises(DatasetCorrupt, match=message):
        read_extxyz(text)


def test_frames_that_do_not_fit_together():
    with pytest.raises(DatasetCorrupt, match=r"frames have \[1, 2\] atoms"):
        stack_frames("mixed", read_extxyz(FRAME + ATOMS), read_extxyz(ATOMS))


def test_keys_of_other_names():
    """Frames that say `REF_energy`: the error names the keys found, and the loader takes them."""
    renamed, atoms = FRAME.replace("energy=", "REF_energy=").replace("forces", "REF_forces"), read_extxyz(ATOMS)
    with pytest.raises(DatasetCorrupt, match="water has no 'energy' in the comment of a frame; it has REF_energy, config"):
        stack_frames("water", read_extxyz(renamed), atoms)
    with pytest.raises(DatasetCorrupt, match="water has no 'forces' of 3 columns in a frame; it has pos:3, REF_forces:3"):
        stack_frames("water", read_extxyz(FRAME.replace("forces", "REF_forces")), atoms)
    renamed_atoms = read_extxyz(ATOMS.replace("energy=", "REF_energy="))
    found = stack_frames("water", read_extxyz(renamed), renamed_atoms, energy="REF_energy", forces="REF_forces")
    np.testing.assert_array_equal(found.forces[0], [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]])
    with pytest.raises(DatasetCorrupt, match="an isolated atom has the symbols"):
        stack_frames("water", read_extxyz(FRAME), read_extxyz(FRAME))


def test_three_bpa(quire_data):
    frames = three_bpa("train_300K")
    assert frames.positions.shape == (500, 27, 3) and frames.elements == ("C", "H", "N", "O")
    np.testing.assert_array_equal(frames.species[0], frames.species[-1])
    assert np.abs(frames.forces.sum(1)).max() < 0.01  # eV / Angstrom: the molecule as a whole does not move
    assert -200 < frames.interaction_energy.mean() < -100


def test_three_bpa_missing_or_unknown(monkeypatch, tmp_path):
    monkeypatch.delenv("QUIRE_DATA", raising=False)
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    monkeypatch.setattr(registry, "cache_dir", lambda: tmp_path)
    with pytest.raises(DatasetUnavailable, match="3bpa"):
        three_bpa()
    with pytest.raises(ValueError, match="split is 'test'"):
        three_bpa("test")


def test_average_of_parameters():
    """A model whose gradient is 1 falls by the learning rate a step; its average lags behind."""

    class Offset(nnx.Module):
        def __init__(self, rngs):
            self.w = nnx.Param(jnp.zeros(()))

    def run(ema):
        keys = jnp.stack([nnx.Rngs(0).params()])
        options = {"steps": 4, "keys": keys, "ema": ema}
        _, state, _ = fit_seeds(
            Offset, optax.sgd(1.0), lambda model, data, key: model.w[...], lambda data, step: data, jnp.zeros(1), **options
        )
        return float(nnx.to_pure_dict(state)["w"][0])

    average = 0.0
    for step, w in enumerate((-1.0, -2.0, -3.0, -4.0)):
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * w
    assert run(0.0) == -4.0
    np.testing.assert_allclose(run(0.5), average, rtol=1e-6)
    with pytest.raises(ValueError, match="ema is 1"):
        run(1.0)
