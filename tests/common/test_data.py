"""Data: catalogue, sources and digests, archives, image loaders."""

import errno
import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from quire.common.data import images as image_sets
from quire.common.data import registry
from quire.common.data.archives import gunzip, read_archive, read_member, read_npy, read_npz, read_text
from quire.common.data.cifar100 import cifar100, cifar100_records
from quire.common.data.imagenet import imagenet_batches, imagenet_files
from quire.common.data.images import cifar10, cifar10_subset, digits, mnist_t10k, read_idx
from quire.common.data.registry import catalogue, data_dir, dataset, fetch, fetch_all, is_local, local_paths
from quire.common.data.source import open_or
from quire.common.data.text import wikitext2
from quire.common.errors import DatasetCorrupt, DatasetUnavailable, UsageError

CONTENT = b"some content"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty QUIRE_DATA and an empty cache, offline."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    monkeypatch.setattr(registry, "cache_dir", lambda: tmp_path / "cache")
    return tmp_path


@pytest.fixture
def toy(elsewhere, monkeypatch):
    """Writes a catalogue of one set, `toy`, with one file of an address and a digest."""

    def write(url="http://localhost/file", digest=DIGEST, name="parts/file"):
        folder = elsewhere / f"catalogue of {url} {digest}".replace("/", " ")
        folder.mkdir()
        listed = f'[[files]]\nname = "{name}"\nsha256 = ["{digest}"]\nsize = 12\nurl = "{url}"\n'
        (folder / "toy.toml").write_text(f'about = "a toy"\nlicence = "free"\nsource = "http://example.org"\n{listed}')
        monkeypatch.setattr(registry, "_CATALOGUE", folder)

    return write


@pytest.fixture
def server(monkeypatch) -> Iterator[str]:
    """The address of a file with the right content, online."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield f"http://127.0.0.1:{server.server_port}/file"
    server.shutdown()
    server.server_close()


def put(root, content=CONTENT, name="toy/parts/file"):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content)
    return root / name


# --- The catalogue ---


def test_the_catalogue_is_installed_and_whole():
    """Every file of it is read as package data, and says how to get a set that has no address."""
    sets = {entry.name: entry for entry in catalogue()}
    listed = [file.name for file in (files("quire.common.data") / "catalogue").iterdir()]
    assert len(sets) == len(listed) and {f"{name}.toml" for name in sets} == set(listed)
    assert {"openwebtext", "text8", "mnist-t10k", "imagenet-1k", "tzer_coverage"} <= set(sets)
    for name, entry in sets.items():
        assert entry.about and entry.licence and entry.source, name
        assert entry.embedded or entry.hint or any(file.url for file in entry.files), f"{name}: nothing says how to get it"
        assert len({file.name for file in entry.files}) == len(entry.files), name
        for file in entry.files:
            assert file.size > 0 and file.sha256 and file.url[:4] in ("", "http"), f"{name}: {file.name}"
            assert all(len(digest) == 64 and int(digest, 16) for digest in file.sha256), f"{name}: {file.name}"


def test_names_of_sets_and_files():
    assert dataset("TZER-coverage").name == "tzer_coverage" and dataset("mnist_t10k").name == "mnist-t10k"
    with pytest.raises(UsageError, match=r"did you mean .*mnist-t10k"):
        dataset("mnist-t1k")
    with pytest.raises(UsageError, match=r"cora has no file 'cora.np'; did you mean cora.npz"):
        fetch("cora", "cora.np")


def test_listing_imports_no_loader():
    code = "import sys; from quire.common.data.registry import catalogue; catalogue(); print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert not loaded & {"jax", "numpy", "scipy", "sklearn", "PIL", "pooch", "quire.common.data.images"}


def test_the_files_at_hand_are_those_of_the_catalogue(quire_data):
    """Names and digests of a few sets that no loader reads yet."""
    for name in ("adult", "cranfield", "us-temp", "tzer_coverage", "word-similarity"):
        if is_local(name):
            assert len(fetch_all(name)) == len(dataset(name).files) == len(local_paths(name))


# --- Sources ---


def test_sources_in_their_order(elsewhere, toy):
    toy(url="")
    with pytest.raises(DatasetUnavailable, match="no address"):
        fetch_all("toy")
    toy()
    with pytest.raises(DatasetUnavailable, match=r"toy .*offline.*quire data fetch toy.*QUIRE_DATA"):
        fetch("toy", "parts/file")
    assert not is_local("toy")
    for folder in ("cache", "data"):  # the second one wins
        path = put(elsewhere / folder)
        assert fetch("toy", "parts/file") == path and local_paths("toy") == [path]


def test_a_wrong_digest_is_refused(elsewhere, toy):
    toy()
    put(elsewhere / "data", CONTENT + b"!")
    with pytest.raises(DatasetCorrupt, match="has sha256"):
        fetch("toy", "parts/file")


def test_download_checks_the_digest(toy, server, monkeypatch):
    monkeypatch.delenv("QUIRE_OFFLINE")
    toy(server, "0" * 64)
    with pytest.raises(DatasetCorrupt, match="expected content"):
        fetch("toy", "parts/file")
    toy("http://127.0.0.1:9/file")
    with pytest.raises(DatasetUnavailable, match="the download failed"):
        fetch("toy", "parts/file")
    toy(server)
    assert fetch("toy", "parts/file").read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_fetched_again(elsewhere, toy, server, monkeypatch):
    toy(server)
    path = put(elsewhere / "cache", CONTENT[:5])
    with pytest.raises(DatasetCorrupt, match=r"cache/toy/parts/file has sha256 .*delete it and fetch it again .*offline"):
        fetch("toy", "parts/file")
    monkeypatch.delenv("QUIRE_OFFLINE")
    assert fetch("toy", "parts/file") == path and path.read_bytes() == CONTENT
    theirs = put(elsewhere / "data", CONTENT[:5])
    with pytest.raises(DatasetCorrupt, match=r"data/toy/parts/file has sha256 .*replace it"):
        fetch("toy", "parts/file")
    assert theirs.read_bytes() == CONTENT[:5]


def test_two_downloads_at_once(elsewhere, toy, server, monkeypatch):
    monkeypatch.delenv("QUIRE_OFFLINE")
    toy(server)
    found, together = [], threading.Barrier(4)

    def download():
        together.wait()
        found.append(fetch("toy", "parts/file").read_bytes())

    threads = [threading.Thread(target=download) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 4
    assert [path.name for path in (elsewhere / "cache/toy/parts").iterdir()] == ["file"], "nothing is left over"


def test_a_cache_that_cannot_be_written_is_named(elsewhere, toy, monkeypatch):
    monkeypatch.delenv("QUIRE_OFFLINE")
    toy()
    for error, reason in (
        (OSError(errno.ENOSPC, "No space left on device"), "No space left"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only"),
        (PermissionError("not allowed"), "Permission denied"),
    ):

        def refuse(*args, error=error, **options):
            raise error

        monkeypatch.setattr("pooch.retrieve", refuse)
        with pytest.raises(DatasetUnavailable, match=rf"the folder \S*cache/toy/parts cannot be written \({reason}"):
            fetch("toy", "parts/file")
    monkeypatch.setattr(registry, "cache_dir", lambda: put(elsewhere, name="no folder"))
    with pytest.raises(DatasetUnavailable, match=r"the folder .*no folder/toy/parts cannot be written"):
        fetch("toy", "parts/file")


def test_without_a_home(tmp_path, monkeypatch):
    """No HOME and no entry in the password database: `QUIRE_DATA` serves, and a download says what is missing."""
    monkeypatch.setattr("pooch.os_cache", lambda name: registry.Path("~/.cache") / name)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert registry.cache_dir() is None
    monkeypatch.delenv("QUIRE_OFFLINE", raising=False)
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    with pytest.raises(DatasetUnavailable, match="HOME is not set"):
        fetch("ett", "ETTh1.csv")
    put(tmp_path, name="ett/ETTh1.csv")
    assert local_paths("ett") == [tmp_path / "ett/ETTh1.csv"]


def test_data_dir_must_be_a_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path / "missing"))
    with pytest.raises(UsageError, match="not a directory"):
        data_dir()


def test_stand_ins_are_named(elsewhere, toy, server, monkeypatch):
    """The real set where it is here, else the fallback; a fallback never downloads, and damage is never covered up."""
    monkeypatch.delenv("QUIRE_OFFLINE")
    toy(server)

    def load():
        return fetch("toy", "parts/file").read_bytes()

    source = open_or(load, lambda: b"other", stand_in_for="all of it", instead_of="toy")
    assert (source.value, source.stand_in_for) == (b"other", "toy") and not is_local("toy")
    assert open_or(load, lambda: b"other", stand_in_for="all of it").stand_in_for == "all of it"
    source = open_or(load)
    assert (source.value, source.stand_in_for) == (CONTENT, "") and is_local("toy")
    source = open_or(load, lambda: b"other", instead_of="toy")
    assert (source.value, source.stand_in_for) == (CONTENT, "")
    put(elsewhere / "data", b"damaged")
    with pytest.raises(DatasetCorrupt):
        open_or(load, lambda: b"other", instead_of="toy")
    with pytest.raises(ValueError, match="stand_in_for is empty"):
        open_or(load, lambda: b"other")


# --- Archives ---


def test_archives_are_read_in_memory_and_bounded(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for name in ("../escape", "inside"):
            info = tarfile.TarInfo(name)
            info.size = len(CONTENT)
            archive.addfile(info, io.BytesIO(CONTENT))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert set(read_archive(tmp_path / "a.tar.gz")) == {"../escape", "inside"}
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar.gz"]
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10**6))
    for path in (tmp_path / "a.tar.gz", tmp_path / "b.zip"):
        with pytest.raises(DatasetCorrupt, match="more than 20"):
            read_archive(path, limit=20)
    (tmp_path / "c.tar").write_bytes(b"nonsense")
    with pytest.raises(DatasetCorrupt, match="not a whole archive"):
        read_archive(tmp_path / "c.tar")


def test_members_are_found_in_any_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("ml/u.data", "1")
    assert read_member(tmp_path / "a.zip", "u.data") == b"1"
    with pytest.raises(DatasetCorrupt, match=r"holds no u.item; it holds u.data"):
        read_member(tmp_path / "a.zip", "u.item")


def test_damaged_arrays_and_texts_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    np.save(tmp_path / "a.npy", np.arange(3))
    assert read_npz(tmp_path / "a.npz", "x")["x"].tolist() == read_npy(tmp_path / "a.npy").tolist() == [0, 1, 2]
    with pytest.raises(DatasetCorrupt, match="no array 'y'; it holds x"):
        read_npz(tmp_path / "a.npz", "y")
    np.save(tmp_path / "objects.npy", np.array([None]))
    (tmp_path / "short.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-4])
    (tmp_path / "empty.npy").write_bytes(b"")
    for name in ("objects.npy", "short.npy", "empty.npy"):
        with pytest.raises(DatasetCorrupt, match=r"not a whole \.npy file"):
            read_npy(tmp_path / name)
        with pytest.raises(DatasetCorrupt, match=r"not a whole \.npz file"):
            read_npz(tmp_path / name)
    (tmp_path / "a.txt").write_bytes(b"\xff")
    with pytest.raises(DatasetCorrupt, match="cannot be read as text"):
        read_text(tmp_path / "a.txt")


def test_gzip_is_bounded_and_whole(tmp_path):
    packed = gzip.compress(bytes(1000))
    (tmp_path / "a.gz").write_bytes(packed)
    assert len(gunzip(tmp_path / "a.gz")) == 1000
    with pytest.raises(DatasetCorrupt, match="more than 99"):
        gunzip(tmp_path / "a.gz", limit=99)
    (tmp_path / "a.gz").write_bytes(packed[:10])
    with pytest.raises(DatasetCorrupt, match="not a whole gzip"):
        gunzip(tmp_path / "a.gz")


# --- Images ---


def test_digits_split_is_fixed_and_scaled():
    first, second = digits(), digits()
    assert first.train.images.shape == (1437, 8, 8, 1)
    assert len(first.test) == 360
    assert (first.train.images.min(), first.train.images.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(first.test.labels, second.test.labels)
    with pytest.raises(ValueError, match="num_train is 1797"):
        digits(1797)


def test_idx_headers_are_checked():
    good = b"\0\0\x08\x02" + np.array([2, 3], ">u4").tobytes() + bytes(range(6))
    np.testing.assert_array_equal(read_idx(good), np.arange(6).reshape(2, 3))
    with pytest.raises(DatasetCorrupt, match="promises"):
        read_idx(good[:-1])
    with pytest.raises(DatasetCorrupt, match="not an idx"):
        read_idx(b"hello")


def test_cifar10_records(elsewhere, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    rows = np.concatenate([np.array([[7], [0], [9]], np.uint8), images.transpose(0, 3, 1, 2).reshape(3, -1)], axis=1)
    path = elsewhere / "cifar.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
            info = tarfile.TarInfo("cifar-10-batches-bin/" + name)
            info.size = rows.nbytes
            archive.addfile(info, io.BytesIO(rows.tobytes()))
    monkeypatch.setattr(image_sets, "fetch", lambda *a: path)
    loaded = cifar10()
    assert loaded.train.images.shape == (15, 32, 32, 3)
    np.testing.assert_array_equal(loaded.test.images, images)
    assert loaded.test.labels.tolist() == [7, 0, 9]


def test_imagenet_folders_and_batches(elsewhere):
    with pytest.raises(DatasetUnavailable, match="imagenet-1k"):
        imagenet_files("val")
    (elsewhere / "data/imagenet-1k/val").mkdir(parents=True)
    with pytest.raises(DatasetCorrupt, match="holds no image"):
        imagenet_files("val")
    for split in ("train", "val"):
        for wnid in ("n01", "n02"):
            folder = elsewhere / "data" / "imagenet-1k" / split / wnid
            folder.mkdir(parents=True)
            for i in range(3):
                Image.new("RGB", (40 + i, 30), (200, 10 * i, 0)).save(folder / f"{i}.JPEG")
    assert [label for _, label in imagenet_files("train")] == [0, 0, 0, 1, 1, 1]
    batches = list(imagenet_batches("val", image_size=16, batch_size=4))
    assert [images.shape for images, _ in batches] == [(4, 16, 16, 3), (2, 16, 16, 3)]
    endless = imagenet_batches("train", image_size=16, batch_size=4, seed=1)
    again = imagenet_batches("train", image_size=16, batch_size=4, seed=1)
    for _ in range(3):
        np.testing.assert_array_equal(next(endless)[0], next(again)[0])
    database = list(imagenet_batches("train", image_size=16, batch_size=4, ordered=True))
    assert np.concatenate([labels for _, labels in database]).tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match="batch_size is 7; there are 6 training images"):
        imagenet_batches("train", image_size=16, batch_size=7)
    with pytest.raises(ValueError, match="image_size is 0"):
        imagenet_batches("val", image_size=0, batch_size=1)


def test_names_of_splits(as_installed):
    with pytest.raises(ValueError, match="split is 'train'"):
        wikitext2("train")
    with pytest.raises(ValueError, match="split is 'dev'"):
        imagenet_files("dev")
    with pytest.raises(ValueError, match="some of the 10000"):
        mnist_t10k(9000, 1000)


# --- Real files, where they stand ---


def needs(folder, name):
    if not (folder / name).is_dir():
        pytest.skip(f"QUIRE_DATA has no {name}")


def test_real_cifar10_subset(quire_data):
    needs(quire_data, "cifar10-subset")
    loaded = cifar10_subset()
    assert loaded.train.images.shape == (10000, 32, 32, 3)
    assert (np.bincount(loaded.test.labels) == 200).all()
    np.testing.assert_allclose(loaded.train.images.mean((0, 1, 2)), [125.818, 123.194, 113.997], atol=0.2)


def test_real_mnist(quire_data):
    needs(quire_data, "mnist-t10k")
    loaded = mnist_t10k()
    assert loaded.train.images.shape == (6000, 28, 28, 1)
    assert loaded.train.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert len(loaded.test) == 3000


def test_real_wikitext2(quire_data):
    needs(quire_data, "wikitext-2")
    assert len(wikitext2("valid").split()) == 213886
    assert " = Robert <unk> = " in wikitext2("test")


def test_cifar100_keeps_the_fine_classes(monkeypatch, tmp_path):
    rows = np.arange(2 * 3074, dtype=np.int64).reshape(2, 3074).astype(np.uint8)
    split = cifar100_records(rows.tobytes())
    np.testing.assert_array_equal(split.labels, rows[:, 1])
    np.testing.assert_array_equal(split.images[1, 0, :, 2], rows[1, 2 + 2048 : 2 + 2048 + 32])  # first line of the blue plane
    for content in (b"", bytes(3073)):
        with pytest.raises(DatasetCorrupt, match="no records"):
            cifar100_records(content)
    archive = tmp_path / "cifar-100-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as stream:
        for name, count in (("train", 2), ("test", 1)):
            member = tarfile.TarInfo(f"cifar-100-binary/{name}.bin")
            member.size = 3074 * count
            stream.addfile(member, io.BytesIO(rows[:count].tobytes()))
    monkeypatch.setattr("quire.common.data.cifar100.fetch", lambda *_: archive)
    assert (len(cifar100().train), len(cifar100().test)) == (2, 1)


@pytest.mark.parametrize("content", [b"\0\0\x08\x03", b"\0\0\x08\x03\0\0", b"\0\0\x08\x02\0\0\0\1"])
def test_idx_headers_that_are_cut_short(content):
    with pytest.raises(DatasetCorrupt, match="ends within its header"):
        read_idx(content)


def test_cifar10_names_what_its_archive_lacks(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("cifar/data_batch_1.bin", b"")
    monkeypatch.setattr(image_sets, "fetch", lambda *names: tmp_path / "c.zip")
    with pytest.raises(DatasetCorrupt, match=r"lacks data_batch_2\.bin; it holds data_batch_1\.bin"):
        cifar10()


def test_a_locked_archive_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("u.data", "1 1 5 0\n")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    for start, flags in ((content.find(b"PK\x03\x04"), 6), (content.find(b"PK\x01\x02"), 8)):
        content[start + flags] |= 1  # says that it is encrypted
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DatasetCorrupt, match="is not a whole archive"):
        read_archive(tmp_path / "a.zip")


def test_a_photograph_that_is_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    folder = tmp_path / "imagenet-1k/train/n01"
    folder.mkdir(parents=True)
    (folder / "a.JPEG").write_bytes(b"not a photograph")
    with pytest.raises(DatasetCorrupt, match=r"a\.JPEG cannot be read as an image"):
        next(imagenet_batches("train", image_size=8, batch_size=1))


def test_a_folder_below_no_home_is_no_folder(monkeypatch):
    monkeypatch.setenv("QUIRE_DATA", "~nobody-of-this-name/data")
    with pytest.raises(UsageError, match="is not a directory"):
        data_dir()
