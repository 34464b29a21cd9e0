"""Data: loaders, sources, digests, archives."""

import gzip
import hashlib
import io
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from quire.common import data
from quire.common.data import Dataset, DatasetCorrupt, DatasetUnavailable, registry
from quire.common.data.registry import File, fetch, fetch_all, gunzip, read_archive
from quire.common.errors import UsageError

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


def toy(url="http://localhost/file", digest=DIGEST):
    return Dataset("toy", "a toy", "free", "http://example.org", (File("file", (digest,), 12, url),))


def test_digits_split_is_fixed_and_scaled():
    first, second = data.digits(), data.digits()
    assert first.train.images.shape == (1437, 8, 8, 1)
    assert len(first.test) == 360
    assert (first.train.images.min(), first.train.images.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(first.test.labels, second.test.labels)
    with pytest.raises(ValueError, match="num_train is 1797"):
        data.digits(1797)


def test_sources_in_their_order(elsewhere):
    with pytest.raises(DatasetUnavailable, match=r"toy .*offline.*quire data fetch toy.*QUIRE_DATA"):
        fetch(toy(), "file")
    with pytest.raises(DatasetUnavailable, match="no address"):
        fetch_all(toy(url=""))
    for folder in ("cache", "data"):  # the second one wins
        (elsewhere / folder / "toy").mkdir(parents=True)
        (elsewhere / folder / "toy" / "file").write_bytes(CONTENT)
        assert fetch(toy(), "file") == elsewhere / folder / "toy" / "file"


def test_a_wrong_digest_is_refused(elsewhere):
    (elsewhere / "data" / "toy").mkdir()
    (elsewhere / "data" / "toy" / "file").write_bytes(CONTENT + b"!")
    with pytest.raises(DatasetCorrupt, match="has sha256"):
        fetch(toy(), "file")


def test_download_checks_the_digest(elsewhere, monkeypatch):
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.delenv("QUIRE_OFFLINE")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        url = f"http://127.0.0.1:{server.server_port}/file"
        with pytest.raises(DatasetCorrupt, match="expected content"):
            fetch(toy(url, "0" * 64), "file")
        assert fetch(toy(url), "file").read_bytes() == CONTENT
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(DatasetUnavailable, match="the download failed"):
        fetch(Dataset("other", "a toy", "free", "nowhere", (File("file", ("0" * 64,), 1, url),)), "file")


def test_data_dir_must_be_a_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path / "missing"))
    with pytest.raises(UsageError, match="not a directory"):
        data.digits and data.data_dir()


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


def test_gzip_is_bounded_and_whole(tmp_path):
    packed = gzip.compress(bytes(1000))
    (tmp_path / "a.gz").write_bytes(packed)
    assert len(gunzip(tmp_path / "a.gz")) == 1000
    with pytest.raises(DatasetCorrupt, match="more than 99"):
        gunzip(tmp_path / "a.gz", limit=99)
    (tmp_path / "a.gz").write_bytes(packed[:10])
    with pytest.raises(DatasetCorrupt, match="not a whole gzip"):
        gunzip(tmp_path / "a.gz")


def test_idx_headers_are_checked():
    good = b"\0\0\x08\x02" + np.array([2, 3], ">u4").tobytes() + bytes(range(6))
    np.testing.assert_array_equal(data.read_idx(good), np.arange(6).reshape(2, 3))
    with pytest.raises(DatasetCorrupt, match="promises"):
        data.read_idx(good[:-1])
    with pytest.raises(DatasetCorrupt, match="not an idx"):
        data.read_idx(b"hello")


def test_cifar10_records(elsewhere, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    rows = np.concatenate([np.array([[7], [0], [9]], np.uint8), images.transpose(0, 3, 1, 2).reshape(3, -1)], axis=1)
    path = elsewhere / "cifar.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
            info = tarfile.TarInfo("cifar-10-batches-bin/" + name)
            info.size = rows.nbytes
            archive.addfile(info, io.BytesIO(rows.tobytes()))
    monkeypatch.setattr(data.sets, "fetch", lambda *a: path)
    loaded = data.cifar10()
    assert loaded.train.images.shape == (15, 32, 32, 3)
    np.testing.assert_array_equal(loaded.test.images, images)
    assert loaded.test.labels.tolist() == [7, 0, 9]


def test_imagenet_folders_and_batches(elsewhere):
    with pytest.raises(DatasetUnavailable, match="imagenet-1k"):
        data.imagenet_files("val")
    for split in ("train", "val"):
        for wnid in ("n01", "n02"):
            folder = elsewhere / "data" / "imagenet-1k" / split / wnid
            folder.mkdir(parents=True)
            for i in range(3):
                Image.new("RGB", (40 + i, 30), (200, 10 * i, 0)).save(folder / f"{i}.JPEG")
    assert [label for _, label in data.imagenet_files("train")] == [0, 0, 0, 1, 1, 1]
    batches = list(data.imagenet_batches("val", image_size=16, batch_size=4))
    assert [images.shape for images, _ in batches] == [(4, 16, 16, 3), (2, 16, 16, 3)]
    endless = data.imagenet_batches("train", image_size=16, batch_size=4, seed=1)
    again = data.imagenet_batches("train", image_size=16, batch_size=4, seed=1)
    for _ in range(3):
        np.testing.assert_array_equal(next(endless)[0], next(again)[0])


def test_names_of_splits(as_installed):
    with pytest.raises(ValueError, match="split is 'train'"):
        data.wikitext2("train")
    with pytest.raises(ValueError, match="split is 'dev'"):
        data.imagenet_files("dev")
    with pytest.raises(ValueError, match="some of the 10000"):
        data.mnist_t10k(9000, 1000)


# --- Real files, where they stand ---


def needs(folder, name):
    if not (folder / name).is_dir():
        pytest.skip(f"QUIRE_DATA has no {name}")


def test_real_cifar10_subset(quire_data):
    needs(quire_data, "cifar10-subset")
    loaded = data.cifar10_subset()
    assert loaded.train.images.shape == (10000, 32, 32, 3)
    assert (np.bincount(loaded.test.labels) == 200).all()
    np.testing.assert_allclose(loaded.train.images.mean((0, 1, 2)), [125.818, 123.194, 113.997], atol=0.2)


def test_real_mnist(quire_data):
    needs(quire_data, "mnist-t10k")
    loaded = data.mnist_t10k()
    assert loaded.train.images.shape == (6000, 28, 28, 1)
    assert loaded.train.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert len(loaded.test) == 3000


def test_real_wikitext2(quire_data):
    needs(quire_data, "wikitext-2")
    assert len(data.wikitext2("valid").split()) == 213886
    assert " = Robert <unk> = " in data.wikitext2("test")
