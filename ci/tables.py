"""Writes the claim tables of the READMEs, the scoreboard and the totals from the published records."""

from pathlib import Path

from quire.common.report import update_readmes

for path in update_readmes(Path(__file__).parent.parent):
    print(f"wrote {path}")
