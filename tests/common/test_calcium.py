"""Calcium recordings: the loader, names that are certain, files that are missing or damaged."""

import numpy as np
import pytest

from quire.common.data import calcium
from quire.common.data.calcium import Recording, neuropal_worms
from quire.common.data.registry import is_local
from quire.common.errors import DatasetCorrupt


def arrays(frames=5, names=("AVAL", "", "AVAR?", "AVAL", "RID")):
    rng = np.random.default_rng(0)
    each = {"traces_z": rng.normal(size=(len(names), frames)).astype(np.float16), "names": np.array(names)}
    each |= {"time_s": np.arange(frames, dtype=np.float32), "velocity": np.zeros(frames, np.float32)}
    return {f"worm/{k}": v for k, v in each.items()} | {"worm/reversal": np.array([0, 1, 0, 0, 1][:frames], np.int8)}


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Write arrays where the loader looks for its file."""

    def write(x):
        np.savez(tmp_path / "worms.npz", **x)
        monkeypatch.setattr(calcium, "fetch", lambda *names: tmp_path / "worms.npz")

    return write


def test_recordings(file):
    x = arrays()
    file(x)
    (animal,) = neuropal_worms().animals
    np.testing.assert_array_equal(animal.traces, x["worm/traces_z"].astype(np.float32))
    assert animal.traces.dtype == np.float32 and animal.reversal.tolist() == [False, True, False, False, True]
    certain = animal.identified()
    assert certain.neurons == ("AVAL", "RID")
    np.testing.assert_array_equal(certain.traces, animal.traces[[0, 4]])


def test_no_certain_name():
    nothing = np.zeros(0, np.float32)
    animal = Recording("x", np.zeros((1, 3), np.float32), ("",), np.arange(3, dtype=np.float32), nothing, nothing.astype(bool))
    assert animal.identified().traces.shape == (0, 3)


@pytest.mark.parametrize("change", [{"worm/names": None}, {"worm/time_s": np.zeros(4)}, {"worm/traces_z": np.zeros(5)}])
def test_damaged_files(file, change):
    x = arrays() | change
    file({name: value for name, value in x.items() if value is not None})
    with pytest.raises(DatasetCorrupt, match="worm"):
        neuropal_worms()


@pytest.mark.skipif(not is_local("celegans-neuropal"), reason="the recordings are not on this machine")
def test_seven_worms():
    animals = neuropal_worms().animals
    assert len(animals) == 7 and {a.traces.shape[1] for a in animals} == {800}
    shared = set.intersection(*(set(a.identified().neurons) for a in animals))
    assert len(shared) == 40 and {"AVAL", "AVAR", "AVEL", "AVER", "AIBL", "AIBR"} <= shared
