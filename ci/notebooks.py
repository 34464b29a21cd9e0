"""Executes notebooks under the guard, each a test; with --write, publishes what the executions gave.

One execution, three results: the notebook, the record that its scorecard emits (`papers/<slug>/records/quick.json`), and the
verdicts. Both files get the same stamp: fingerprint, parts, core-seconds, those of the yardstick run beside it, the day.
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from quire.common.claims.display import RECORD_TYPE, surprises
from quire.common.errors import QuireError
from quire.common.freshness.checkout import notebook_path, papers, record_path, write_json
from quire.common.freshness.fingerprint import stamp

ROOT = Path(__file__).parent.parent
TIMEOUT = 900
STAMP = ("fingerprint", "parts", "seconds", "yardstick", "xla_flags", "verified")
COMPILE_FASTER = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
"""Notebooks compile as much as they compute: XLA's older emitters compile in less than half the time and run as fast."""


@dataclass
class Execution:
    """A notebook that was executed: its cells with outputs, its record, the core-seconds of its kernel."""

    notebook: nbformat.NotebookNode
    record: dict
    seconds: float


def execute(slug: str) -> Execution:
    """Execute the notebook of a paper, in a kernel where nothing outside the paper's closure can be used.

    Raises:
        RuntimeError: if a cell fails, or no cell shows a scorecard of the whole paper.
    """
    notebook = nbformat.read(notebook_path(ROOT, slug), as_version=4)
    folder = {"metadata": {"path": str(ROOT / "notebooks")}}
    client = NotebookClient(
        notebook, timeout=TIMEOUT, kernel_name="python3", resources=folder, record_timing=False, coalesce_streams=True
    )
    try:
        with client.setup_kernel():
            hidden(client, f"__import__('quire.common.freshness.guard', fromlist=['_']).guard_notebook({str(ROOT)!r}, {slug!r})")
            start = processor_seconds(client)
            for index, cell in enumerate(list(notebook.cells)):
                client.execute_cell(cell, index)
            seconds = processor_seconds(client) - start
            client.set_widgets_metadata()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise RuntimeError(f"{slug}: {error}") from None
    return Execution(notebook, take_record(notebook, slug), seconds)


def hidden(client: NotebookClient, code: str) -> str:
    """Execute code that is no cell of the notebook; what it prints."""
    cells = client.nb.cells
    cells.append(nbformat.v4.new_code_cell(code))  # the client writes what it executes to the place that it is told
    client.execute_cell(cells[-1], len(cells) - 1, store_history=False)
    cell = cells.pop()
    return "".join(output.get("text", "") for output in cell.outputs)


def processor_seconds(client: NotebookClient) -> float:
    """Core-seconds that the kernel has used."""
    return float(hidden(client, "print(__import__('time').process_time())"))


def take_record(notebook: nbformat.NotebookNode, slug: str) -> dict:
    """Take the record out of the outputs: it is published beside the notebook and not in it."""
    shown = [
        output["data"] for cell in notebook.cells for output in cell.get("outputs", ()) if RECORD_TYPE in output.get("data", {})
    ]
    records = [data.pop(RECORD_TYPE) for data in shown]
    if not records or records[-1]["paper"] != slug:
        raise RuntimeError(f"{slug}: no cell shows the scorecard of this paper; end the notebook with Scorecard(record)")
    return records[-1]


def yardstick() -> float:
    """Core-seconds of the yardstick, in a process of its own and with XLA's own flags."""
    command, defaults = [sys.executable, ROOT / "ci/yardstick.py"], {**os.environ, "XLA_FLAGS": ""}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=defaults).stdout)


def publish(slug: str, execution: Execution, unit: float) -> None:
    """Write record and notebook, both with the same stamp."""
    costs = {
        "seconds": round(execution.seconds, 1),
        "yardstick": round(unit, 2),
        "xla_flags": os.environ["XLA_FLAGS"],
        "verified": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    record = stamp(ROOT, slug, execution.record, **costs)
    record_path(ROOT, slug).parent.mkdir(exist_ok=True)
    write_json(record_path(ROOT, slug), record)
    execution.notebook.metadata["quire"] = {name: record[name] for name in STAMP}
    nbformat.write(execution.notebook, notebook_path(ROOT, slug))


def run(slug: str, *, write: bool, gate_undecided: bool) -> str:
    """Execute one notebook and publish it if asked to; what to say about it, starting with `ok` or `FAILED`."""
    try:
        before = yardstick() if write else 0.0
        execution = execute(slug)
        undecided = surprises(execution.record["claims"])[1]
        if undecided and gate_undecided:
            raise RuntimeError(f"{slug}: {'; '.join(undecided)}")
        if write:
            publish(slug, execution, (before + yardstick()) / 2)  # an hour can change within a notebook
    except (RuntimeError, QuireError) as error:
        return f"FAILED {error}"
    note = f"; not decided: {'; '.join(undecided)}" if undecided else ""
    return f"ok {slug}: {execution.seconds:.0f} core-seconds{note}"


def main() -> int:
    """Parse the command line, execute, say how each ended; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slugs", nargs="*", help="papers; all of them by default")
    parser.add_argument("--write", action="store_true", help="publish notebooks and records; one at a time")
    parser.add_argument("--gate-undecided", action="store_true", help="claims by the clock and level ones count; one at a time")
    parser.add_argument("-n", type=int, default=2, help="notebooks at once")
    options = parser.parse_args()
    alone = options.write or options.gate_undecided
    if options.write and os.environ.get("QUIRE_PRESET", "quick") != "quick":
        parser.error("only the preset quick is published from notebooks; unset QUIRE_PRESET")
    # XLA aborts on flags that it does not know, so they go with the pinned release. `XLA_FLAGS=` (set, empty) takes its defaults.
    os.environ.setdefault("XLA_FLAGS", COMPILE_FASTER if version("jaxlib") == "0.10.2" else "")
    task = partial(run, write=options.write, gate_undecided=alone)
    with ProcessPoolExecutor(1 if alone else options.n) as pool:
        lines = []
        for line in pool.map(task, options.slugs or papers(ROOT)):
            print(line, flush=True)
            lines.append(line)
    return any(line.startswith("FAILED") for line in lines)


if __name__ == "__main__":
    sys.exit(main())
