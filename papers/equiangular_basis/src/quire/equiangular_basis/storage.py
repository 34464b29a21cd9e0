"""Sets of vectors on disk: `.npy` files, and the pickled PyTorch tensors of the authors, read without executing anything.

Their `EBV_pkl/eq_{d}_{N}.pkl` are pickles of a tensor, which holds its numbers as bytes in PyTorch's own older format; files of
`torch.save` in both formats are read as well. A pickle is a program; here it may call four functions and no others.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Num

from quire.common.arrays import AnyArray
from quire.common.data.archives import MAX_UNPACKED, read_archive, read_npy
from quire.common.errors import DatasetCorrupt
from quire.common.output import write_whole

MAGIC = 0x1950A86A20F9469CFC6C
"""First number of a file in the older format of `torch.save`."""
STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2"}


def save_ebv(path: str | Path, vectors: Num[AnyArray, "n d"]) -> Path:
    """Write a set as `.npy`, whole or not at all.

    Raises:
        ValueError: unless the name ends in `.npy` and the vectors are `[n, d]` and finite.
        OSError: if the disk refuses.
    """
    path = Path(path)
    if path.suffix != ".npy":
        raise ValueError(f"path is {path}; its name must end in .npy")
    buffer = io.BytesIO()
    np.save(buffer, _checked(np.asarray(vectors), "vectors", ValueError), allow_pickle=False)
    return write_whole(path, buffer.getvalue())


def load_ebv(path: str | Path) -> Num[np.ndarray, "n d"]:
    """A set from an `.npy` file, or from a pickled or saved PyTorch tensor of any other name.

    Sets of the authors are converted once by `save_ebv(new, load_ebv(old))`. Rows come as they are stored; `EBVHead`
    normalises them.

    Returns:
        `[n, d]`, float16, float32 or float64.

    Raises:
        FileNotFoundError: if there is no such file.
        DatasetCorrupt: if it is damaged, wants to call anything but what makes a tensor, or holds no finite vectors `[n, d]`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path is {path}; there is no such file")
    vectors = read_npy(path) if path.suffix == ".npy" else _read_tensor(path)
    return _checked(vectors, str(path), DatasetCorrupt)


def _checked(vectors: Any, name: str, error: type[Exception]) -> np.ndarray:
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or min(vectors.shape) < 1:
        shape = vectors.shape if isinstance(vectors, np.ndarray) else type(vectors).__name__
        raise error(f"{name} is {shape}; it must hold one array [n, d]")
    if not np.issubdtype(vectors.dtype, np.floating) or not np.isfinite(vectors).all():
        raise error(f"{name} holds {vectors.dtype} numbers; they must be floating and finite")
    return vectors


def _read_tensor(path: Path) -> Any:
    if path.stat().st_size > MAX_UNPACKED:
        raise DatasetCorrupt(f"{path} has {path.stat().st_size} bytes, more than {MAX_UNPACKED}")
    try:
        return _from_archive(path) if zipfile.is_zipfile(path) else _from_stream(path.read_bytes())
    except DatasetCorrupt:
        raise
    except Exception as error:  # what a crafted program of a pickle can raise has no end
        raise DatasetCorrupt(f"{path} is no pickled tensor ({type(error).__name__}: {error})") from None


def _from_stream(content: bytes) -> Any:
    """Of a plain pickle, or of the older format of `torch.save`: five pickles, then the numbers of every storage."""
    stream = io.BytesIO(content)
    found = TensorUnpickler(stream).load()
    if found != MAGIC if isinstance(found, int) else True:
        return found
    for _ in ("version of the format", "sizes of integers"):
        TensorUnpickler(stream).load()
    blocks: dict[str, Block] = {}
    result = TensorUnpickler(stream, blocks).load()
    for key in TensorUnpickler(stream).load():
        count = int.from_bytes(stream.read(8), "little", signed=True)
        block = blocks[key]
        if count != len(block.numbers):
            raise DatasetCorrupt(f"a storage promises {len(block.numbers)} numbers and holds {count}")
        block.numbers[:] = np.frombuffer(stream.read(count * block.numbers.itemsize), block.numbers.dtype)
    return result.numbers if isinstance(result, Block) else result


def _from_archive(path: Path) -> Any:
    """Of the newer format of `torch.save`: a zip archive of one pickle and a file for each storage."""
    files = {name.split("/", 1)[-1]: content for name, content in read_archive(path).items()}
    blocks: dict[str, Block] = {}
    result = TensorUnpickler(io.BytesIO(files["data.pkl"]), blocks).load()
    for key, block in blocks.items():
        block.numbers[:] = np.frombuffer(files[f"data/{key}"], block.numbers.dtype)
    return result


class Block(NamedTuple):
    """A storage of PyTorch: numbers in a row, which tensors are windows of."""

    numbers: np.ndarray


class TensorUnpickler(pickle.Unpickler):
    """Unpickles tensors as NumPy arrays. Everything that a pickle may name stands in `find_class`."""

    def __init__(self, stream: io.BytesIO, blocks: dict[str, Block] | None = None):
        super().__init__(stream)
        self._size, self._blocks = len(stream.getbuffer()), blocks

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name of PyTorch; an error for any other."""
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
            ("torch.storage", "_load_from_bytes"): self._storage,
            ("collections", "OrderedDict"): OrderedDict,  # of hooks; empty
        }
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) not in known:
            raise DatasetCorrupt(f"it wants to call {module}.{name}, which no tensor needs; nothing was executed")
        return known[module, name]

    def persistent_load(self, reference: Any) -> Block:
        """A storage whose numbers follow later: `("storage", type, key, device, count, ...)`."""
        kind, dtype, key, _, count, *view = reference
        if kind != "storage" or self._blocks is None or any(part is not None for part in view):
            raise DatasetCorrupt("it refers to something that is no storage of its own")
        if not 0 <= count <= self._size:
            raise DatasetCorrupt(f"a storage promises {count} numbers in a file of {self._size} bytes")
        return self._blocks.setdefault(key, Block(np.zeros(count, np.dtype(dtype))))

    @staticmethod
    def _storage(content: bytes) -> Block:
        return Block(_from_stream(content))

    @staticmethod
    def _parameter(tensor: np.ndarray, *_: Any) -> np.ndarray:
        return tensor

    @staticmethod
    def _tensor(block: Block, offset: int, size: tuple, stride: tuple, *_: Any) -> np.ndarray:
        """The window of a storage that starts at `offset` and steps by `stride`."""
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if min(offset, *size, *stride) < 0 or (0 not in size and last >= len(block.numbers)):
            raise DatasetCorrupt(f"a tensor {size} reaches beyond its storage of {len(block.numbers)} numbers")
        numbers = block.numbers[offset:]
        return np.lib.stride_tricks.as_strided(numbers, size, [s * numbers.itemsize for s in stride])
