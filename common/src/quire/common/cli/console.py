"""Where the command line writes: results to stdout; progress, notes and errors to stderr, so that `--json | jq` works."""

import json
import os
import sys
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

# Where nothing says how wide the output may be (a pipe, a log), tables take 120 columns instead of rich's 80.
WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
out = Console(width=WIDTH)
err = Console(stderr=True, width=WIDTH)

JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def fail(message: str, code: int) -> int:
    """Say on one line of stderr what is wrong.

    Returns:
        The exit code, as given.
    """
    print(f"quire: {message}", file=sys.stderr)
    return code


def print_json(value: Any) -> None:
    """JSON on stdout; letters that its encoding lacks are escaped, never replaced."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    print(json.dumps(value, indent=1, ensure_ascii=not unicode))


@contextmanager
def progress():
    """The progress display of papers and claims; silent where nobody watches."""
    from quire.common.claims.run import progress_bar

    with progress_bar(console=err, disable=not err.is_terminal) as display:
        yield display
