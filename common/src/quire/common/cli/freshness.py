"""`quire stale` and `quire affected`: what must run again. Neither imports JAX."""

import json
from pathlib import Path
from typing import Annotated

import typer

from quire.common.freshness.affected import affected as find_affected
from quire.common.freshness.checkout import find_root, papers
from quire.common.freshness.fingerprint import checkout_sources
from quire.common.freshness.fingerprint import stale as find_stale

commands = typer.Typer()

Root = Annotated[Path | None, typer.Option(help="Checkout with papers/ and notebooks/; found from here by default.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@commands.command()
def stale(
    why: Annotated[bool, typer.Option("--why", help="Say what differs.")] = False, root: Root = None, as_json: Json = False
) -> None:
    """List the papers whose published record was measured with other sources than these; exit 1 if there are any."""
    root = find_root(root)
    sources = checkout_sources(root)
    found = {slug: reasons for slug in papers(root) if (reasons := find_stale(root, slug, sources))}
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        for slug, reasons in found.items():
            print(slug + (": " + ", ".join(f"{part} {what}" for part, what in reasons.items()) if why else ""))
    if found:
        raise typer.Exit(1)


@commands.command()
def affected(
    since: Annotated[str, typer.Option(help="Commit to compare with.")] = "origin/main",
    root: Root = None,
    as_json: Json = False,
) -> None:
    """List papers, notebooks and tests that a change since a commit affects."""
    found = find_affected(find_root(root), since).as_json()
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        print("\n".join(f"{kind}: {name}" for kind, names in found.items() for name in names))
