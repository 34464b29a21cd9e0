"""A weight as codes into codebooks, its size in bits, and the packed form that is stored."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_ids
from quire.common.data.archives import read_npz
from quire.common.quant.packing import pack_bits, size_report, unpack_bits


class CodebookTensor(NamedTuple):
    """A quantised weight: one codebook, or one for each group of rows, or one scaled for each group.

    Attributes:
        codes: `[out, ...]`, integers `0 .. k - 1`.
        codebooks: ascending; one for all groups, or one for each.
        scales: of each group, or None.
        group_sizes: rows of each group, in order: what is stored of a grouping whose neurons have been re-ordered.
    """

    codes: Int[AnyArray, "out *rest"]
    codebooks: Float[AnyArray, "books k"]
    scales: Float[AnyArray, " groups"] | None
    group_sizes: tuple[int, ...]

    def row_codebooks(self) -> Float[AnyArray, "out k"]:
        """The scaled codebook of every row."""
        group = np.repeat(np.arange(len(self.group_sizes)), self.group_sizes)
        books = self.codebooks[group if len(self.codebooks) > 1 else np.zeros_like(group)]
        return books if self.scales is None else books * self.scales[group][:, None]

    def dequantize(self) -> Float[Array, "out *rest"]:
        """`s_G C_G[h]`; traceable."""
        return select(self.codes, self.row_codebooks())

    def parts(self) -> dict[str, tuple[int, int]]:
        """Counts and bits for `size_report`: codes, codebooks, scales, and where the groups begin."""
        sizes = self.codebooks.shape
        scales = 0 if self.scales is None else len(self.scales)
        return {
            "codes": (int(np.prod(self.codes.shape)), code_bits(sizes[-1])),
            "codebooks": (int(np.prod(sizes)), 32),
            "scales": (scales, 32),
            "boundaries": (len(self.group_sizes) - 1, code_bits(self.codes.shape[0])),
        }

    def nbits(self) -> int:
        """`N b + 32 k books + 32 scales + log2(out) (groups - 1)`, logarithms rounded up."""
        return int(size_report(self.parts(), 1)["total"])


def code_bits(count: int) -> int:
    """Bits of a number below `count`.

    >>> [code_bits(count) for count in (1, 2, 4, 5)]
    [0, 1, 2, 3]
    """
    return int(count - 1).bit_length()


def mapping_bits(weights: float, bits: int) -> float:
    """`N b`: what the codes alone take.

    >>> mapping_bits(1000, 3)
    3000
    """
    return weights * bits


def select(codes: Int[AnyArray, "out *rest"], codebooks: Float[AnyArray, "out k"]) -> Float[Array, "out *rest"]:
    """The codeword of every code, by a chain of k selections: gathers from tiny tables are slow on CPUs.

    Args:
        codes: one row a neuron.
        codebooks: one a row, unscaled or scaled.

    >>> select(jnp.array([[0, 1], [1, 1]]), jnp.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[1.0, 2.0], [4.0, 4.0]]
    """
    own = jnp.asarray(codebooks).reshape(len(codebooks), *(1,) * (codes.ndim - 1), -1)
    value = jnp.broadcast_to(own[..., 0], codes.shape)
    for c in range(1, own.shape[-1]):
        value = jnp.where(codes == c, own[..., c], value)
    return value


def sorted_codebooks(tensor: CodebookTensor) -> CodebookTensor:
    """The same weights with ascending codebooks: what learning may have put out of order."""
    books, codes = np.asarray(tensor.codebooks), np.asarray(tensor.codes)
    order = np.argsort(books, axis=-1, kind="stable")
    rank = np.argsort(order, axis=-1).astype(np.int32)
    group = np.repeat(np.arange(len(tensor.group_sizes)), tensor.group_sizes)
    rows = rank[group if len(books) > 1 else np.zeros_like(group)]
    flat = np.take_along_axis(rows, codes.reshape(len(codes), -1), axis=1)
    return tensor._replace(codes=flat.reshape(codes.shape), codebooks=np.take_along_axis(books, order, axis=-1))


# --- What is stored ---


def pack_tensor(tensor: CodebookTensor) -> dict[str, np.ndarray]:
    """Arrays to store: codes of b bits in words of 32, codebooks and scales in float32, sizes and shape.

    Raises:
        ValueError: if k is no power of two from 2 to 65536, or a code is out of range.
    """
    size = tensor.codebooks.shape[-1]
    if size < 2 or size & (size - 1) or size > 2**16:
        raise ValueError(f"the codebooks have {size} codewords; codes of whole bits need a power of two, 2 to 65536")
    check_ids("codes", tensor.codes, size)
    packed = {
        "words": np.asarray(pack_bits(np.asarray(tensor.codes), code_bits(size))),
        "codebooks": np.asarray(tensor.codebooks, np.float32),
        "group_sizes": np.array(tensor.group_sizes, np.uint32),
        "shape": np.array(tensor.codes.shape, np.uint32),
    }
    return packed if tensor.scales is None else packed | {"scales": np.asarray(tensor.scales, np.float32)}


def unpack_tensor(arrays: Mapping[str, np.ndarray]) -> CodebookTensor:
    """What `pack_tensor` stored.

    Raises:
        ValueError: if an array is missing or left over, or they do not fit together.

    >>> tensor = CodebookTensor(np.array([[0, 3], [1, 2]]), np.array([[-1.0, 0.0, 0.5, 2.0]]), None, (2,))
    >>> unpack_tensor(pack_tensor(tensor)).codes.tolist()
    [[0, 3], [1, 2]]
    """
    needed, names = {"words", "codebooks", "group_sizes", "shape"}, set(arrays) - {"scales"}
    if names != needed:
        raise ValueError(f"arrays are {sorted(arrays)}; a tensor has {sorted(needed)}, and scales or none")
    shape, sizes = tuple(map(int, arrays["shape"])), tuple(map(int, arrays["group_sizes"]))
    books, scales = arrays["codebooks"], arrays.get("scales")
    if sum(sizes) != shape[0] or len(books) not in (1, len(sizes)) or (scales is not None and len(scales) != len(sizes)):
        raise ValueError(f"shape is {shape}, group_sizes {sizes}, with {len(books)} codebooks; they do not fit together")
    count = int(np.prod(shape))
    codes = unpack_bits(jnp.asarray(arrays["words"]), code_bits(books.shape[-1]), count).reshape(shape)
    return CodebookTensor(codes, books, scales, sizes)


def save_tensors(path: Path | str, tensors: Mapping[str, CodebookTensor]) -> int:
    """Writes packed tensors by name, as one `.npz`, and returns how many bytes of numbers that are.

    Raises:
        ValueError: as for `pack_tensor`.
    """
    arrays = {f"{name}/{part}": x for name, t in tensors.items() for part, x in pack_tensor(t).items()}
    np.savez(path, **arrays)  # ty: ignore[invalid-argument-type]  # the arrays, not the option that savez also takes
    return sum(x.nbytes for x in arrays.values())


def load_tensors(path: Path | str) -> dict[str, CodebookTensor]:
    """What `save_tensors` wrote.

    Raises:
        ValueError: as for `unpack_tensor`.
        DatasetCorrupt: if the file is no such archive.
    """
    by_name: dict[str, dict] = {}
    for name, x in read_npz(Path(path)).items():
        tensor, _, part = name.rpartition("/")
        by_name.setdefault(tensor, {})[part] = x
    return {name: unpack_tensor(arrays) for name, arrays in by_name.items()}
