"""Compressed files, archives and arrays from strangers: bounded, in memory, without pickle."""

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from quire.common.errors import DatasetCorrupt

MAX_UNPACKED = 2 * 2**30


def gunzip(path: Path, *, limit: int = MAX_UNPACKED) -> bytes:
    """Content of a gzip file, refused beyond `limit` bytes.

    Raises:
        DatasetCorrupt: if it unpacks to more than `limit`, or is damaged.
    """
    try:
        with gzip.open(path) as stream:
            content = stream.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetCorrupt(f"{path} is not a whole gzip file ({error})") from None
    if len(content) > limit:
        raise DatasetCorrupt(f"{path} unpacks to more than {limit} bytes")
    return content


def read_text(path: Path, *, encoding: str = "utf-8") -> str:
    """Text of a file, unpacked if its name ends with `.gz`.

    Raises:
        DatasetCorrupt: if it is damaged, or no text in this encoding.
    """
    try:
        content = gunzip(path) if path.suffix == ".gz" else path.read_bytes()
        return content.decode(encoding)
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetCorrupt(f"{path} cannot be read as text ({error})") from None


def read_archive(path: Path, *, limit: int = MAX_UNPACKED) -> Mapping[str, bytes]:
    """Regular files of a tar or zip archive, in memory: nothing is written, so no member can leave a folder.

    Links and devices are ignored; sizes are checked before reading.

    Raises:
        DatasetCorrupt: if the archive is damaged or unpacks to more than `limit` bytes.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                members = [(i.filename, i.file_size, i) for i in archive.infolist() if not i.is_dir()]
                _check_total(path, members, limit)
                return {name: archive.open(info).read(size) for name, size, info in members}
        with tarfile.open(path) as archive:
            members = [(m.name, m.size, m) for m in archive.getmembers() if m.isreg()]
            _check_total(path, members, limit)
            # ty: ignore[missing-union-attribute]  # a regular file is never None
            return {name: archive.extractfile(member).read(size) for name, size, member in members}
    except (OSError, EOFError, RuntimeError, zlib.error, tarfile.TarError, zipfile.BadZipFile) as error:  # encrypted zips too
        raise DatasetCorrupt(f"{path} is not a whole archive ({error})") from None


def _check_total(path, members, limit):
    total = sum(size for _, size, _ in members)
    if total > limit:
        raise DatasetCorrupt(f"{path} unpacks to {total} bytes, more than {limit}")


def read_member(path: Path, name: str) -> bytes:
    """The file `name` of an archive, in whatever folder of it.

    Raises:
        DatasetCorrupt: if the archive is damaged or holds no such file.
    """
    members = {member.rsplit("/", 1)[-1]: content for member, content in read_archive(path).items()}
    if name not in members:
        raise DatasetCorrupt(f"{path} holds no {name}; it holds {', '.join(sorted(members)) or 'nothing'}")
    return members[name]


def read_npy(path: Path) -> np.ndarray:
    """The array of an `.npy` file.

    Raises:
        DatasetCorrupt: if it is no such file, is cut short, or holds objects.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise DatasetCorrupt(f"{path} is not a whole .npy file of numbers ({error})") from None
    if not isinstance(array, np.ndarray):
        raise DatasetCorrupt(f"{path} is an archive; it must be an .npy file")
    return array


def read_npz(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Arrays of an `.npz` file.

    Args:
        path: of the file.
        names: of the arrays that are wanted; all by default.

    Raises:
        DatasetCorrupt: if it is no such file, is damaged, holds objects, lacks an array, or unpacks to more than 2 GiB.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_total(path, [(i.filename, i.file_size, i) for i in archive.infolist()], MAX_UNPACKED)
        with np.load(path, allow_pickle=False) as arrays:
            if missing := [name for name in names if name not in arrays.files]:
                raise DatasetCorrupt(f"{path} holds no array {missing[0]!r}; it holds {', '.join(arrays.files) or 'none'}")
            return {name: arrays[name] for name in names or arrays.files}
    except (OSError, EOFError, RuntimeError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        raise DatasetCorrupt(f"{path} is not a whole .npz file of numbers ({error})") from None
