"""Graphs, few-shot classes and surfaces that do not fit together are refused."""

import jax
import numpy as np
import pytest

from quire.common.data.few_shot import by_class, draw_tasks
from quire.common.data.graph_sets import tu_molecules, zinc_12k
from quire.common.data.meshes import ball_surface, centred
from quire.common.errors import DatasetCorrupt

ZINC = {
    "A": "1, 2\n2, 1",
    "graph_indicator": "1\n1\n2",
    "node_labels": "0\n1\n2",
    "edge_labels": "1\n1",
    "graph_attributes": "0.5\n2",
}


def write(folder, index="0,1", **columns):
    folder.mkdir(parents=True, exist_ok=True)
    for what, text in (ZINC | columns).items():
        (folder / f"ZINC_val_{what}.txt").write_text(text + "\n")
    (folder / "index").write_text(index)


def test_folders_of_the_tu_collection(tmp_path, monkeypatch):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    folder = tmp_path / "zinc-12k" / "ZINC_val"
    write(folder)
    assert [molecule.tags.tolist() for molecule in zinc_12k("val")] == [[0, 1], [2]]
    for damaged, message in (
        ({"index": "-1"}, "graphs 0 to 1"),
        ({"index": "2"}, "graphs 0 to 1"),
        ({"index": ""}, "graphs 0 to 1"),
        ({"node_labels": "0\n1"}, "2 labels of 3 nodes"),
        ({"edge_labels": "1"}, "1 labels of 2 edges"),
        ({"graph_indicator": "1\n2\n1"}, "not listed graph by graph"),
    ):
        write(folder, **damaged)
        with pytest.raises(DatasetCorrupt, match=message):
            zinc_12k("val")


def test_mutag(quire_data):
    assert len(tu_molecules("MUTAG")) == 188


def test_few_shot_sizes(as_installed):
    for images, labels in ((np.zeros((0, 2)), np.zeros(0)), (np.zeros((3, 2)), np.zeros(2))):
        with pytest.raises(ValueError, match="at least one"):
            by_class(images, labels)
    with pytest.raises(ValueError, match="ways 0"):
        draw_tasks(jax.random.key(0), np.zeros((1, 5), np.int32), batch=1, images=4, ways=0)


def test_a_surface_without_extent():
    ball = ball_surface(0)
    with pytest.raises(ValueError, match=r"the surface 0\.0 wide"):
        centred(ball._replace(vertices=np.zeros_like(ball.vertices)))
    with pytest.raises(ValueError, match="half_width is -1"):
        centred(ball, -1)
