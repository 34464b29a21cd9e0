"""Results on disk: folders that cannot be written to, files that are whole or not there."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quire.common.errors import UsageError
from quire.common.output import output_folder, write_whole


def test_a_folder_is_made_and_left_empty(tmp_path):
    folder = output_folder(tmp_path / "a/b")
    assert list(folder.iterdir()) == []


def test_what_cannot_be_a_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(UsageError, match=r"--out is .*file.*a file stands there"):
            output_folder(path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_is_found_at_once(tmp_path, monkeypatch, code):
    def refuse(self, content):
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(UsageError, match=os.strerror(code)):
        output_folder(tmp_path)


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = write_whole(tmp_path / "record.json", "old")

    def half(self, content):
        with open(self, "wb") as file:
            file.write(content[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_at_once_do_not_take_each_other_s_file(tmp_path):
    path, texts = tmp_path / "record.json", [str(i) * 20_000 for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: [write_whole(path, text) for _ in range(10)], texts))
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]
