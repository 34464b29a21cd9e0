"""A table of embeddings that decides which of its rows are worth keeping, and may be read at any width."""

from collections.abc import Sequence
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Shaped

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids
from quire.common.layers.ctr import FeatureTable, lookup
from quire.optembed.masks import Norm, field_of_values, prefix_mask, row_mask, row_norms, ste_step

Thresholds = Literal["field", "feature"]
Pruned = Literal["zero", "oov"]


class OptEmbedTable(nnx.Module):
    """Embeddings `m_f m_c E_v` of the values of several fields, which lie in one table.

    Args:
        field_dims: number of values of every field. Ids count through them: those of field 1 begin at `field_dims[0]`.
        dim: D.
        threshold: one for each `"field"`, or for each `"feature"`, as the authors call a value. All start at zero.
        norm: p, of the norm that is compared with it.
        pruned: what is read in place of a pruned row: `"zero"`, or `"oov"`, a row that all pruned values of a field share.
        rescale: take the norm after the dimensions are masked, times `dim / (c + 1)` (the authors' `all2`).
        rngs: random keys. Rows have the variance of Xavier's initialisation, `2 / (values + dim)`.

    Raises:
        ValueError: without a field, for a size below 1, or for another word; when called, for ids that are not
            `[batch, fields]` within the table, or dimensions that do not fit them.

    >>> table = OptEmbedTable((3, 2), 4, rngs=nnx.Rngs(0))
    >>> table(np.array([[0, 3], [2, 4]]), dim_index=np.array([1, 3])).shape, table.row_mask().shape
    ((2, 2, 4), (5,))
    """

    def __init__(
        self,
        field_dims: Sequence[int],
        dim: int,
        *,
        threshold: Thresholds = "field",
        norm: Norm = 1,
        pruned: Pruned = "zero",
        rescale: bool = False,
        rngs: nnx.Rngs,
    ):
        check_field_dims(field_dims)
        for name, word, words in (("threshold", threshold, Thresholds), ("norm", norm, Norm), ("pruned", pruned, Pruned)):
            if word not in get_args(words):
                raise ValueError(f"{name} is {word!r}; it must be one of {', '.join(map(str, get_args(words)))}")
        self.field_dims, self.dim = tuple(map(int, field_dims)), check_at_least("dim", dim)
        self.norm, self.per_field, self.rescale = norm, threshold == "field", rescale
        values, fields = sum(self.field_dims), len(self.field_dims)
        self.rows = FeatureTable(values, dim, std=(2 / (values + dim)) ** 0.5, rngs=rngs)
        self.threshold = nnx.Param(jnp.zeros(fields if self.per_field else values))
        self.oov = FeatureTable(fields, dim, std=(2 / (fields + dim)) ** 0.5, rngs=rngs) if pruned == "oov" else None

    def __call__(
        self,
        ids: Int[AnyArray, "batch fields"],
        dim_index: Int[AnyArray, "*batch fields"] | None = None,
        *,
        keep: Shaped[AnyArray, " values"] | None = None,
        learn: bool | np.bool_ | Bool[AnyArray, ""] = True,
    ) -> Float[Array, "batch fields dim"]:
        """Masked embeddings.

        Args:
            ids: counted through all fields.
            dim_index: c, the last dimension that is kept: of every example and field, of every field, or None for all of them.
            keep: rows that may be read, 1 or 0; all of them for None.
            learn: whether the thresholds prune too. A traced boolean lets one program train with them and without.
        """
        if ids.ndim != 2 or ids.shape[1] != len(self.field_dims):
            raise ValueError(f"ids has shape {ids.shape}; {len(self.field_dims)} fields need [batch, {len(self.field_dims)}]")
        rows = self.rows(ids)
        index = jnp.broadcast_to(self.dim - 1 if dim_index is None else self._checked(dim_index, ids), ids.shape)
        dims = prefix_mask(index, self.dim).astype(rows.dtype)
        kept = jnp.ones(ids.shape, rows.dtype)
        if learn is not False:  # a traced boolean is not known yet
            kept = jnp.where(learn, ste_step(self._norms(rows, dims, index) - self._thresholds(ids)), kept)
        if keep is not None:
            if keep.shape != (len(self.rows.weights),):
                raise ValueError(f"keep has shape {keep.shape}; each of {len(self.rows.weights)} values needs a 1 or 0")
            kept = kept * lookup(jnp.asarray(keep, rows.dtype)[:, None], ids)[..., 0]
        found = kept[..., None] * rows
        if self.oov is not None:
            found += (1 - kept)[..., None] * self.oov.weights[...][None]
        return found * dims

    def _norms(self, rows, dims, index):
        if not self.rescale:
            return row_norms(rows, self.norm)
        return row_norms(rows * dims, self.norm) * (self.dim / (index + 1)).astype(rows.dtype)

    def _checked(self, dim_index, ids):
        check_ids("dim_index", dim_index, self.dim)
        if dim_index.shape not in (ids.shape, ids.shape[1:]):
            raise ValueError(f"dim_index has shape {dim_index.shape}; ids of shape {ids.shape} need that, or {ids.shape[1:]}")
        return jnp.asarray(dim_index)

    def _thresholds(self, ids):
        threshold = self.threshold[...]
        return threshold[None] if self.per_field else lookup(threshold[:, None], ids)[..., 0]

    def value_thresholds(self) -> Float[Array, " values"]:
        """The threshold that every value has to pass."""
        threshold = self.threshold[...]
        return threshold[field_of_values(self.field_dims)] if self.per_field else threshold

    def row_mask(self) -> Float[Array, " values"]:
        """`m_f` of all rows, 1 or 0; for reports, search and compaction, not for steps of training."""
        return row_mask(self.rows.weights[...], self.value_thresholds(), self.norm)


def check_field_dims(field_dims: Sequence[int]) -> None:
    """There are fields, and each has a value.

    Raises:
        ValueError: otherwise.
    """
    if not len(field_dims) or min(field_dims) < 1:
        raise ValueError(f"field_dims is {tuple(field_dims)}; it needs one field at least, each of at least 1 value")
