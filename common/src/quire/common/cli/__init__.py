"""The `quire` command: list, show, run, bench, data, report, new."""

from quire.common.cli.app import main

__all__ = ["main"]
