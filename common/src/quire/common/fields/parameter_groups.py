"""Two groups of parameters of a radiance field, which are trained at rates of their own."""

import jax

from quire.common.fields.radiance import NETWORKS


def place_or_network(path: tuple) -> int:
    """0 for parameters that belong to a place, 1 for those of the networks of density and colour.

    The number is the column of the rates that a parameter follows in `train.shared_program`.

    Args:
        path: of a parameter in the pytree of a field, as `jax.tree.map_with_path` gives it.

    >>> from flax import nnx
    >>> from quire.common.fields.radiance import VMField
    >>> field = nnx.state(VMField((4, 4, 4), 1, 2, hidden=4, rngs=nnx.Rngs(0)))
    >>> groups = jax.tree.map_with_path(lambda path, _: place_or_network(path), field)
    >>> sorted({(str(path[0].key), group) for path, group in jax.tree.leaves_with_path(groups)})
    [('basis', 0), ('color_net', 1), ('lines', 0), ('planes', 0)]
    """
    return int(jax.tree_util.keystr(path, simple=True, separator=".").split(".")[0] in NETWORKS)
