"""The registry of data sets: what the catalogue says of each, where its files may lie, and what to say when they are missing.

A set is one file `catalogue/<set>.toml`; nothing but that file has to change when a set is added.
"""

import hashlib
import os
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from quire.common.errors import DatasetCorrupt, DatasetUnavailable, UsageError, did_you_mean

_CATALOGUE = files("quire.common.data") / "catalogue"
_local_only: ContextVar[bool] = ContextVar("local_only", default=False)


@dataclass(frozen=True)
class File:
    """One file of a data set.

    Attributes:
        name: path inside the set's folder.
        sha256: accepted digests (a mirror may have compressed the same content differently), that of `url` last.
        size: bytes, for messages.
        url: address for the download, or "" if there is none.
    """

    name: str
    sha256: tuple[str, ...]
    size: int
    url: str = ""


@dataclass(frozen=True)
class Dataset:
    """A data set of the catalogue.

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

    def file(self, name: str) -> File:
        """The file called `name`.

        Raises:
            UsageError: if the catalogue lists none.
        """
        for file in self.files:
            if file.name == name:
                return file
        raise UsageError(f"{self.name} has no file {name!r}; {did_you_mean(name, [file.name for file in self.files])}")


def _key(name: str) -> str:
    return name.removesuffix(".toml").replace("_", "-").lower()


def _entries() -> dict[str, Traversable]:
    return {_key(entry.name): entry for entry in _CATALOGUE.iterdir() if entry.name.endswith(".toml")}


def catalogue() -> list[Dataset]:
    """Every data set, by name. Reads the catalogue and nothing else."""
    return [_read(entry) for _, entry in sorted(_entries().items())]  # ty: ignore[invalid-argument-type]  # a file hashes, whatever its protocol says


def dataset(name: str) -> Dataset:
    """The set called `name`; underscores count as hyphens.

    Raises:
        UsageError: if there is none.

    >>> dataset("mnist_t10k").files[1].size
    4542
    """
    entries = _entries()
    if _key(name) not in entries:
        raise UsageError(f"no data set is called {name!r}; {did_you_mean(_key(name), entries)}")
    return _read(entries[_key(name)])  # ty: ignore[invalid-argument-type]


@cache
def _read(entry: Traversable) -> Dataset:
    fields = tomllib.loads(entry.read_text(encoding="utf-8"))
    listed = (File(**file | {"sha256": tuple(file["sha256"])}) for file in fields.pop("files", ()))
    return Dataset(entry.name.removesuffix(".toml"), files=tuple(listed), **fields)


# --- Where files lie ---


def data_dir() -> Path | None:
    """The directory that `QUIRE_DATA` names, or None.

    Raises:
        UsageError: if it names something that is not a directory.
    """
    value = os.environ.get("QUIRE_DATA")
    if not value:
        return None
    try:
        path = Path(value).expanduser()
    except RuntimeError:  # "~" without a home
        path = Path(value)
    if not path.is_dir():
        raise UsageError(f"QUIRE_DATA is {value!r}, which is not a directory; point it at a folder of data sets, or unset it")
    return path


def cache_dir() -> Path | None:
    """Where downloads are kept: pooch's cache folder for quire, or None where nothing says which folder is home."""
    import pooch

    try:
        path = Path(pooch.os_cache("quire")).expanduser()
    except RuntimeError:  # neither HOME nor an entry in the password database
        return None
    return path if path.is_absolute() else None


def local_path(name: str, file: str = "") -> Path | None:
    """A file of a set where it already lies, `QUIRE_DATA` before the cache, or None; without `file`, the folder of the set."""
    folder = dataset(name).name
    for root in (data_dir, cache_dir):  # the cache is not looked for when the first one has the file
        base = root()
        if base is not None and (path := base / folder / file).exists():
            return path
    return None


def local_paths(name: str) -> list[Path]:
    """The files of a set that already lie here; of a set without a list of files, its folder."""
    listed = [file.name for file in dataset(name).files]
    return [path for file in listed or [""] if (path := local_path(name, file))]


def is_local(name: str) -> bool:
    """Whether the set ships with a package, or a file of it already lies in `QUIRE_DATA` or the cache."""
    return dataset(name).embedded or bool(local_paths(name))


def provided(name: str, file: str) -> Path:
    """Path of a file or folder that people prepare by the set's hint, so that there is no digest to check.

    Raises:
        DatasetUnavailable: if it is neither below `QUIRE_DATA` nor in the cache.
    """
    path = local_path(name, file)
    if path is None:
        raise unavailable(name, f"there is no {dataset(name).name}/{file}")
    return path


# --- Fetching ---


def fetch(name: str, *files: str) -> Path:
    """Path of a file of a data set, its digest checked; downloaded to the cache if it is nowhere yet, or damaged there.

    Args:
        name: of the set.
        files: of the file, as the catalogue lists it, or of several with the same content in other forms: the first that lies
            here is taken, or else the first that has an address.

    Raises:
        UsageError: if the catalogue does not list it.
        DatasetUnavailable: if it is missing and cannot be downloaded.
        DatasetCorrupt: if its digest is wrong.
    """
    listed = [dataset(name).file(file) for file in files]
    for file in listed:
        if path := local_path(name, file.name):
            return _checked(name, file, path)
    return _download(name, next((file for file in listed if file.url), listed[0]))


def _checked(name: str, file: File, path: Path) -> Path:
    digest = _digest(path)
    if digest in file.sha256:
        return path
    problem = f"{path} has sha256 {digest}, not {' or '.join(file.sha256)}"
    cache = cache_dir()
    if cache is None or not path.is_relative_to(cache):  # what people put into QUIRE_DATA is theirs
        raise DatasetCorrupt(f"{problem}; replace it, or delete it and fetch it again")
    try:
        return _download(name, file)
    except DatasetUnavailable as error:
        raise DatasetCorrupt(f"{problem}; delete it and fetch it again ({error})") from None


def fetch_all(name: str) -> list[Path]:
    """Paths of a set, every file checked: those that are here already, or else those that can be downloaded.

    A set may list the same content twice (compressed as `QUIRE_DATA` holds it, plain as its address serves it); one is enough.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for `fetch`.
    """
    entry = dataset(name)
    if entry.embedded:
        return []
    if not entry.files:
        return [provided(name, "")]
    here = [file for file in entry.files if local_path(name, file.name)]
    wanted = here or [file for file in entry.files if file.url]
    if not wanted:
        raise unavailable(name, "it has no address to download from")
    return [fetch(name, file.name) for file in wanted]


@contextmanager
def local_only() -> Generator[None]:
    """Inside, nothing is downloaded: a file that is not on this machine is unavailable."""
    token = _local_only.set(True)
    try:
        yield
    finally:
        _local_only.reset(token)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DatasetCorrupt(f"{path} cannot be read ({error.strerror})") from None


def _download(name: str, file: File) -> Path:
    if not file.url:
        raise unavailable(name, "it has no address to download from")
    if os.environ.get("QUIRE_OFFLINE") or _local_only.get():
        raise unavailable(name, "offline (QUIRE_OFFLINE is set)" if os.environ.get("QUIRE_OFFLINE") else "nothing is downloaded")
    cache = cache_dir()
    if cache is None:
        raise unavailable(name, "HOME is not set, so that there is no folder for downloads")
    path = cache / dataset(name).name / file.name
    import pooch

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pooch.get_logger().setLevel("ERROR")
        # pooch writes to a file of its own and renames it, so that of two processes at once either one may be last
        pooch.retrieve(file.url, known_hash=f"sha256:{file.sha256[-1]}", fname=path.name, path=path.parent, progressbar=False)
    except ValueError as error:  # pooch's word for a wrong digest
        raise DatasetCorrupt(f"{file.url} does not have the expected content ({error}); try again later") from None
    except Exception as error:
        raise unavailable(name, _failure(error, path.parent)) from None
    return path


def _failure(error: Exception, folder: Path) -> str:
    # errors of requests are OSErrors without a number, and pooch's of a folder is a PermissionError without one
    network = not isinstance(error, OSError) or error.errno is None or isinstance(error, ConnectionError | TimeoutError)
    if network and not isinstance(error, PermissionError):
        return f"the download failed ({type(error).__name__})"
    return f"the folder {folder} cannot be written ({error.strerror or 'Permission denied'})"


def unavailable(name: str, reason: str) -> DatasetUnavailable:
    """The error for a missing set: its name, size, address, and the ways to get it."""
    entry = dataset(name)
    size = f" ({entry.size / 1e6:.1f} MB)" if entry.size else ""
    ways = entry.hint or f"run `quire data fetch {entry.name}`"
    return DatasetUnavailable(
        f"data set {entry.name}{size} is not here: {reason}; get it from {entry.source}: {ways}, "
        f"or set QUIRE_DATA to a folder that holds {entry.name}/"
    )
