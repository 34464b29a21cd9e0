"""Errors that a person meets: one line each, saying what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class QuireError(Exception):
    """An error whose message is meant for the person at the keyboard; the command line prints it without a traceback."""


class UsageError(QuireError, ValueError):
    """An argument names something that does not exist or cannot be."""


class DatasetUnavailable(QuireError):
    """A data set is not on this machine and could not be downloaded."""


class DatasetCorrupt(QuireError):
    """A file does not hash to what the catalogue says, or its content is not what it should be."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """End of an error message: the nearest known names, or all of them."""
    known = list(known)
    near = get_close_matches(word, known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"choose from {', '.join(known)}" if known else "none is installed"
