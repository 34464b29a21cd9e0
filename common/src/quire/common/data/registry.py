"""The registry of data sets: where each file may come from, what it must hash to, and what to say when it is missing."""

import gzip
import hashlib
import os
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pooch

from quire.common.errors import QuireError, UsageError, did_you_mean

MAX_UNPACKED = 2 * 2**30


class DatasetUnavailable(QuireError):
    """A data set is not on this machine and could not be downloaded."""


class DatasetCorrupt(QuireError):
    """A file does not hash to what the registry says, or an archive is not what it should be."""


@dataclass(frozen=True)
class File:
    """One file of a data set.

    Attributes:
        name: file name inside the set's folder.
        sha256: accepted digests (a mirror may have compressed the same content differently).
        size: bytes, for messages.
        url: address for the download, or "" if there is none.
    """

    name: str
    sha256: tuple[str, ...]
    size: int
    url: str = ""


@dataclass(frozen=True)
class Dataset:
    """A data set of the registry.

    Attributes:
        name: its folder below `QUIRE_DATA` and in the cache.
        about: content with shapes, in one sentence.
        licence: terms, and whether it may be redistributed.
        source: where a person gets it.
        files: its files; none for a set that ships with a package, or for a folder tree too large for a list.
        embedded: ships with an installed package.
        hint: what to do when it is missing and has no address.
    """

    name: str
    about: str
    licence: str
    source: str
    files: tuple[File, ...] = ()
    embedded: bool = False
    hint: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass
class Registry:
    """Data sets by name."""

    datasets: dict[str, Dataset] = field(default_factory=dict)

    def add(self, dataset: Dataset) -> Dataset:
        """Register a set; its loader refers to the returned object."""
        self.datasets[dataset.name] = dataset
        return dataset

    def find(self, name: str) -> Dataset:
        """The set called `name`; underscores count as hyphens.

        Raises:
            UsageError: if there is none.
        """
        key = name.replace("_", "-").lower()
        if key not in self.datasets:
            raise UsageError(f"no data set is called {name!r}; {did_you_mean(key, self.datasets)}")
        return self.datasets[key]


REGISTRY = Registry()


def data_dir() -> Path | None:
    """The directory that `QUIRE_DATA` names, or None.

    Raises:
        UsageError: if it names something that is not a directory.
    """
    value = os.environ.get("QUIRE_DATA")
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_dir():
        raise UsageError(f"QUIRE_DATA is {value!r}, which is not a directory; point it at a folder of data sets, or unset it")
    return path


def cache_dir() -> Path:
    """Where downloads are kept: pooch's cache folder for quire."""
    return Path(pooch.os_cache("quire"))


def local_path(dataset: Dataset, name: str) -> Path | None:
    """The file or folder of a set where it already lies, `QUIRE_DATA` before the cache, or None."""
    for root in (data_dir(), cache_dir()):
        if root is not None and (path := root / dataset.name / name).exists():
            return path
    return None


def provided(dataset: Dataset, name: str) -> Path:
    """Path of a file or folder that people prepare by the set's hint, so that there is no digest to check.

    Raises:
        DatasetUnavailable: if it is neither below `QUIRE_DATA` nor in the cache.
    """
    path = local_path(dataset, name)
    if path is None:
        raise unavailable(dataset, f"there is no {dataset.name}/{name}")
    return path


def is_local(dataset: Dataset) -> bool:
    """Whether the set ships with a package, or a file of it already lies in `QUIRE_DATA` or the cache."""
    return dataset.embedded or any(local_path(dataset, file.name) for file in dataset.files)


def fetch(dataset: Dataset, name: str) -> Path:
    """Path of a file of a data set, its digest checked; downloaded to the cache if it is nowhere yet.

    Raises:
        DatasetUnavailable: if it is missing and cannot be downloaded.
        DatasetCorrupt: if its digest is wrong.
    """
    file = next(f for f in dataset.files if f.name == name)
    path = local_path(dataset, name)
    if path is None:
        path = _download(dataset, file)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest not in file.sha256:
        raise DatasetCorrupt(f"{path} has sha256 {digest}, not {' or '.join(file.sha256)}; delete it and fetch it again")
    return path


def fetch_all(dataset: Dataset) -> list[Path]:
    """Paths of a set, every file checked: those that are here already, or else those that can be downloaded.

    A set may list the same content twice (compressed as `QUIRE_DATA` holds it, plain as its address serves it); one is enough.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for `fetch`.
    """
    if dataset.embedded:
        return []
    here = [file for file in dataset.files if local_path(dataset, file.name)]
    wanted = here or [file for file in dataset.files if file.url]
    if not wanted:
        raise unavailable(dataset, "it has no address to download from")
    return [fetch(dataset, file.name) for file in wanted]


def _download(dataset: Dataset, file: File) -> Path:
    if not file.url or os.environ.get("QUIRE_OFFLINE"):
        raise unavailable(dataset, "offline (QUIRE_OFFLINE is set)" if file.url else "it has no address to download from")
    folder = cache_dir() / dataset.name
    try:
        pooch.get_logger().setLevel("ERROR")
        return Path(
            pooch.retrieve(file.url, known_hash=f"sha256:{file.sha256[-1]}", fname=file.name, path=folder, progressbar=False)
        )
    except ValueError as error:  # pooch's word for a wrong digest
        raise DatasetCorrupt(f"{file.url} does not have the expected content ({error}); try again later") from None
    except Exception as error:  # any failure of the network
        raise unavailable(dataset, f"the download failed ({type(error).__name__})") from None


def unavailable(dataset: Dataset, reason: str) -> DatasetUnavailable:
    """The error for a missing set: its name, size, address, and the ways to get it."""
    size = f" ({dataset.size / 1e6:.1f} MB)" if dataset.size else ""
    ways = dataset.hint or f"run `quire data fetch {dataset.name}`"
    return DatasetUnavailable(
        f"data set {dataset.name}{size} is not here: {reason}; get it from {dataset.source}: {ways}, "
        f"or set QUIRE_DATA to a folder that holds {dataset.name}/"
    )


def gunzip(path: Path, *, limit: int = MAX_UNPACKED) -> bytes:
    """Content of a gzip file, refused beyond `limit` bytes.

    Raises:
        DatasetCorrupt: if it unpacks to more than `limit`, or is damaged.
    """
    try:
        with gzip.open(path) as stream:
            content = stream.read(limit + 1)
    except (OSError, EOFError) as error:
        raise DatasetCorrupt(f"{path} is not a whole gzip file ({error})") from None
    if len(content) > limit:
        raise DatasetCorrupt(f"{path} unpacks to more than {limit} bytes")
    return content


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
            return {name: archive.extractfile(member).read(size) for name, size, member in members}
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DatasetCorrupt(f"{path} is not a whole archive ({error})") from None


def _check_total(path, members, limit):
    total = sum(size for _, size, _ in members)
    if total > limit:
        raise DatasetCorrupt(f"{path} unpacks to {total} bytes, more than {limit}")
