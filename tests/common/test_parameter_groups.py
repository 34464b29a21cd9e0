"""Which parameters of a field belong to a place, and which to its networks."""

import jax
import pytest
from flax import nnx

from quire.common.fields.hash_grid import hash_levels
from quire.common.fields.parameter_groups import place_or_network
from quire.common.fields.radiance import HashField, MlpField, VoxelSHField

FIELDS = {
    "hash": (
        lambda rngs: HashField(hash_levels(2, 4, 8, 6, 3), hidden=4, rngs=rngs),
        {"table": 0, "sigma_net": 1, "color_net": 1},
    ),
    "mlp": (
        lambda rngs: MlpField(1, 2, 4, skip=0, encoded=4, hidden=4, rngs=rngs),
        {"kernels": 0, "biases": 0, "sigma_net": 1, "color_net": 1},
    ),
    "voxel": (lambda rngs: VoxelSHField((3, 3, 3), 1, rngs=rngs), {"grid": 0}),
}


@pytest.mark.parametrize("kind", FIELDS)
def test_networks_are_a_group(kind):
    make, expected = FIELDS[kind]
    groups = jax.tree.map_with_path(lambda path, _: place_or_network(path), nnx.state(make(nnx.Rngs(0)), nnx.Param))
    assert {str(path[0].key): group for path, group in jax.tree.leaves_with_path(groups)} == expected
