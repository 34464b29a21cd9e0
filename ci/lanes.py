"""Which notebooks a lane executes, and how papers are packed into shards."""

import argparse
import subprocess
import sys
from pathlib import Path

from quire.common.errors import UsageError
from quire.common.freshness.affected import Affected, affected
from quire.common.freshness.checkout import papers, read_json, record_path
from quire.common.freshness.fingerprint import checkout_sources, stale

ROOT = Path(__file__).parent.parent
BUDGET, FILL = 300, 4
"""Core-seconds of stale notebooks in `make test`, and how many notebooks it executes at least while the budget lasts."""
UNKNOWN = 80.0
"""Core-seconds of a notebook that has no stamp yet."""


def seconds(record: dict) -> float:
    """Core-seconds that the notebook of a record took."""
    return float(record.get("seconds", UNKNOWN))


def choose(records: dict[str, dict], stale: set[str], change: Affected, turn: int) -> tuple[list[str], list[str]]:
    """Notebooks for `make test`, and the stale ones that do not fit.

    Papers that this change edits come first: all that are stale, and within the budget those whose record was measured with the
    edit. Then come other stale ones, affected by this change before the rest, those verified longest ago first; then fresh ones
    in rotation.

    Args:
        records: the published record of every paper, by slug.
        stale: papers whose record is stale.
        change: what this change affects.
        turn: where the rotation stands.
    """
    chosen = [slug for slug in records if slug in change.own and slug in stale]
    edited = [slug for slug in records if slug in change.own and slug not in stale]
    waiting = sorted(stale - set(chosen), key=lambda slug: (slug not in change.papers, records[slug].get("verified", ""), slug))
    fresh = [slug for slug in records if slug not in stale and slug not in edited]
    start = turn * FILL % max(len(fresh), 1)
    spent = sum(seconds(records[slug]) for slug in chosen)
    for slug in (*edited, *waiting, *fresh[start:], *fresh[:start]):
        fits = spent + seconds(records[slug]) <= BUDGET
        if fits and (slug in edited or slug in stale or len(chosen) < FILL):
            chosen.append(slug)
            spent += seconds(records[slug])
    return chosen, [slug for slug in waiting if slug not in chosen]


def pack(records: dict[str, dict], shards: int) -> list[list[str]]:
    """Papers in `shards` groups of about the same cost: the dearest first, each to the group that has least."""
    groups: list[list[str]] = [[] for _ in range(shards)]
    loads = [0.0] * shards
    for slug in sorted(records, key=lambda slug: (-seconds(records[slug]), slug)):
        lightest = loads.index(min(loads))
        groups[lightest].append(slug)
        loads[lightest] += seconds(records[slug])
    return groups


def reference(wanted: str) -> str:
    """The first commit that exists of: the one that is wanted, `origin/main`, `main`, the one before this, this one."""
    for name in (wanted, "origin/main", "main", "HEAD~1"):
        found = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "-q", "--verify", f"{name}^{{commit}}"], capture_output=True)
        if name and found.returncode == 0:
            return name
    return "HEAD"


def this_change() -> tuple[Affected, int]:
    """What the checkout changes against where it came from, and the number of commits, which turns the rotation."""
    try:
        ref = reference("origin/main")
        heads = subprocess.run(["git", "-C", str(ROOT), "rev-parse", ref, "HEAD"], capture_output=True, text=True).stdout.split()
        count = subprocess.run(["git", "-C", str(ROOT), "rev-list", "--count", "HEAD"], capture_output=True, text=True).stdout
        return affected(ROOT, reference("HEAD~1") if len(set(heads)) == 1 else ref), int(count or 0)
    except UsageError as error:  # no git, or a copy without history: everything that is stale counts as this change
        print(f"no history to compare with: {error}", file=sys.stderr)
        return Affected([], [], [], [], []), 0


def main() -> None:
    """Print slugs, one a line; what is left out goes to stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    lanes = parser.add_subparsers(dest="lane", required=True)
    lanes.add_parser("test", help="notebooks of `make test`")
    lanes.add_parser("canaries", help="the three cheapest notebooks")
    shard = lanes.add_parser("shard", help="papers of one shard")
    shard.add_argument("index", type=int)
    shard.add_argument("count", type=int)
    lanes.add_parser("ref", help="the commit to compare with").add_argument("wanted", nargs="?", default="")
    options = parser.parse_args()
    records = {slug: read_json(record_path(ROOT, slug)) for slug in papers(ROOT)}
    if options.lane == "ref":
        lines = [reference(options.wanted)]
    elif options.lane == "canaries":
        lines = sorted(records, key=lambda slug: (seconds(records[slug]), slug))[:3]
    elif options.lane == "shard":
        lines = pack(records, options.count)[options.index]
    else:
        sources = checkout_sources(ROOT)
        lines, left = choose(records, {slug for slug in records if stale(ROOT, slug, sources)}, *this_change())
        if left:
            print(f"stale, beyond the budget of {BUDGET} core-seconds: {', '.join(left)}", file=sys.stderr)
    for line in lines:
        print(line)


if __name__ == "__main__":
    main()
