"""What is left of a table: a dense small one for every field, and which row of it a value reads."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Shaped

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids
from quire.optembed.embedding_table import OptEmbedTable, check_field_dims

Rows = Int[np.ndarray, " fields"]


def kept_rows(keep: Shaped[AnyArray, " values"], field_dims: Sequence[int]) -> Rows:
    """Rows that every field keeps.

    Args:
        keep: 1 for rows that stay, 0 for others.
        field_dims: number of values of every field.

    Raises:
        ValueError: for other numbers, or another number of them.

    >>> kept_rows(np.array([1, 0, 1, 0, 0]), (3, 2)).tolist()
    [2, 0]
    """
    check_field_dims(field_dims)
    keep = np.asarray(keep)
    if keep.shape != (sum(field_dims),) or not np.isin(keep, (0, 1)).all():
        raise ValueError(f"keep has shape {keep.shape}; it needs a 0 or 1 for each of {sum(field_dims)} values")
    return np.array([int(part.sum()) for part in np.split(keep, np.cumsum(field_dims)[:-1])])


def table_params(keep: Shaped[AnyArray, " values"], dim_index: Int[AnyArray, " fields"], field_dims: Sequence[int]) -> int:
    """Numbers in the table: `sum_i rows_i (c_i + 1)`.

    The released code multiplies by `c_i`, one dimension too few for every field.

    Raises:
        ValueError: as `kept_rows`, and if there is not one index for each field.

    >>> table_params(np.array([1, 0, 1, 1, 1]), np.array([3, 0]), (3, 2))
    10
    """
    rows, index = kept_rows(keep, field_dims), np.asarray(dim_index)
    if index.shape != rows.shape or (index < 0).any():
        raise ValueError(f"dim_index is {index.tolist()}; each of {len(rows)} fields needs a number from 0 on")
    return int(rows @ (index + 1))


def sparsity(
    keep: Shaped[AnyArray, " values"], dim_index: Int[AnyArray, " fields"], field_dims: Sequence[int], dim: int
) -> float:
    """`1 - params / (values D)`, the part of the full table that is gone.

    Raises:
        ValueError: as `table_params`, and for an index that is not below D.

    >>> sparsity(np.array([1, 0, 1, 1, 1]), np.array([3, 0]), (3, 2), 4)
    0.5
    """
    check_ids("dim_index", np.asarray(dim_index), check_at_least("dim", dim))
    return 1 - table_params(keep, dim_index, field_dims) / (sum(field_dims) * dim)


class CompactTable(nnx.Module):
    """Embeddings of fields of several widths, padded by zeros to one, from tables that hold nothing else.

    Args:
        tables: rows that are kept, `[rows, c + 1]` for every field.
        local: the row that every value reads in the table of its field, counted through all fields; pruned ones are beyond it.
        field_dims: number of values of every field.
        dim: width that is padded to.

    Attributes:
        tables: parameters, so that a compact table can be trained on.
    """

    def __init__(
        self,
        tables: Sequence[Float[Array, "_ _"]],
        local: Int[np.ndarray, " values"],
        field_dims: Sequence[int],
        dim: int,
    ):
        self.tables = nnx.List([nnx.Param(table) for table in tables])
        self.local = nnx.data(jnp.asarray(local))
        self.field_dims, self.dim = tuple(field_dims), dim

    def __call__(self, ids: Int[AnyArray, "batch fields"]) -> Float[Array, "batch fields dim"]:
        """Embeddings `[batch, fields, dim]` of ids that count through all fields; NaN for a traced id that is not there.

        Raises:
            ValueError: for ids that are not `[batch, fields]`, or beyond the table.
        """
        if ids.ndim != 2 or ids.shape[1] != len(self.field_dims):
            raise ValueError(f"ids has shape {ids.shape}; {len(self.field_dims)} fields need [batch, {len(self.field_dims)}]")
        check_ids("ids", ids, len(self.local))
        local = jnp.take(self.local, ids, mode="fill", fill_value=-1)  # -1: a traced id that is not there
        found = jnp.stack([self._of_field(i, local[:, i]) for i in range(len(self.field_dims))], axis=1)
        return jnp.where((local < 0)[..., None], jnp.nan, found)

    def _of_field(self, field, local):
        table = self.tables[field][...]
        if not len(table):
            return jnp.zeros((len(local), self.dim), table.dtype)
        rows = jnp.take(table, local, axis=0, mode="fill", fill_value=0)
        return jnp.pad(rows, ((0, 0), (0, self.dim - table.shape[1])))

    @property
    def nbytes(self) -> dict[str, int]:
        """Bytes of the `tables`, and of the `map` from values to their rows."""
        parameters = [table[...] for table in self.tables]
        return {"tables": sum(x.size * x.dtype.itemsize for x in parameters), "map": self.local.size * self.local.dtype.itemsize}


def compact(
    table: OptEmbedTable, keep: Shaped[AnyArray, " values"] | None = None, dim_index: Int[AnyArray, " fields"] | None = None
) -> CompactTable:
    """The tables that remain when rows and dimensions are gone. What they answer is what the masked table answers.

    A field whose pruned values share a row (`pruned="oov"`) has that as its last one.

    Args:
        table: trained.
        keep: rows that stay, 1 or 0; those above their thresholds for None.
        dim_index: c of every field; all dimensions for None.

    Raises:
        ValueError: as `sparsity`.

    >>> table = OptEmbedTable((3, 2), 4, rngs=nnx.Rngs(0))
    >>> small = compact(table, np.array([1, 0, 1, 1, 1]), np.array([3, 0]))
    >>> [part.shape for part in small.tables], small(np.array([[1, 4]])).shape, small.nbytes["tables"]
    ([(2, 4), (2, 1)], (1, 2, 4), 40)
    """
    sizes, dim = table.field_dims, table.dim
    keep = np.asarray(table.row_mask() if keep is None else keep)
    index = np.full(len(sizes), dim - 1) if dim_index is None else np.asarray(dim_index)
    sparsity(keep, index, sizes, dim)  # checks both
    ends = np.cumsum(sizes)[:-1]
    weights = np.split(np.asarray(table.rows.weights[...]), ends)
    tables, local = [], []
    for field, (rows, kept) in enumerate(zip(weights, np.split(keep > 0, ends), strict=True)):
        count, width = int(kept.sum()), int(index[field]) + 1
        local.append(np.where(kept, np.cumsum(kept) - 1, count))
        part = rows[kept]
        if table.oov is not None:
            part = np.concatenate([part, np.asarray(table.oov.weights[...])[field : field + 1]])
        tables.append(jnp.asarray(part[:, :width]))
    return CompactTable(tables, np.concatenate(local).astype(np.int32), sizes, dim)
