"""What a run leaves on disk: the folder is checked before work begins, and a file is there whole or not at all."""

import os
import uuid
from pathlib import Path
from typing import Any

from quire.common.errors import QuireError, UsageError


class NotWritten(QuireError):
    """The disk refused results that have been measured. `results` holds them, so that they can be shown or written elsewhere."""

    def __init__(self, message: str, results: Any):
        super().__init__(message)
        self.results = results


def output_folder(folder: Path | str, option: str = "--out") -> Path:
    """Make a folder for results and check that a file can be written there.

    Args:
        folder: where the results will go; missing parents are made.
        option: what the person gave it as, for the message.

    Returns:
        The folder.

    Raises:
        UsageError: if it is a file, or nothing can be written there.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / ".quire", b"\n").unlink(missing_ok=True)
    except OSError as error:
        reason = "a file stands there" if isinstance(error, (FileExistsError, NotADirectoryError)) else reason_of(error)
        raise UsageError(f"{option} is {folder}; it must be a folder that can be written to ({reason})") from None
    return folder


def write_whole(path: Path, content: bytes | str) -> Path:
    """Write the whole file or nothing: no reader ever sees half of it, and of several writers at once the last one stays.

    Args:
        path: the file, in a folder that is there.
        content: bytes, or text to write in UTF-8.

    Returns:
        The path.

    Raises:
        OSError: if the disk refuses; what stood there before still stands, and nothing else is left.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")  # no other writer has this name
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return path


def reason_of(error: OSError) -> str:
    """What the operating system said, in its words: `No space left on device`."""
    return error.strerror or type(error).__name__
