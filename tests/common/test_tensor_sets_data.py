"""Sparse tensors with coordinates: sizes, and files that are damaged."""

import numpy as np
import pytest

from quire.common.data import tensor_sets
from quire.common.data.tensor_sets import beijing_pm25, simulated_curves, us_temperatures
from quire.common.errors import DatasetCorrupt


def test_sizes(quire_data):
    temperatures = us_temperatures()
    assert temperatures.train.dims == (15, 95, 267) and len(temperatures.train) == 44_755 and len(temperatures.test) == 11_189
    np.testing.assert_allclose(temperatures.coordinates[0][:2], [0.5 / 15, 1.5 / 15])
    assert 50 < temperatures.train.values.mean() < 60
    assert beijing_pm25().train.dims == (428, 501, 1461)
    curves = simulated_curves()
    first, second = curves.functions
    train = curves.split.train
    assert np.std(train.values - first[train.indices[:, 0]] * second[train.indices[:, 1]]) < 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"tr_ind": np.array([[0, 9]])}, "within dims"), ({"U1_true": np.zeros(3)}, "there are"), ({"te_y": np.ones(3)}, "finite")],
)
def test_damaged_files(changes, message, tmp_path, monkeypatch):
    index, y, t = np.array([[0, 1]]), np.ones(1), np.array([0.0, 1.0])
    whole = {"tr_ind": index, "te_ind": index, "tr_y": y, "te_y": y, "coords1": t, "coords2": t, "U1_true": t, "U2_true": t}
    np.savez(tmp_path / "curves.npz", **(whole | changes))
    monkeypatch.setattr(tensor_sets, "fetch", lambda *_: tmp_path / "curves.npz")
    with pytest.raises(DatasetCorrupt, match=message):
        simulated_curves()
