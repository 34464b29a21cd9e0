"""Strict JAX, the golden vectors, and what every test file costs."""

import os
import subprocess
import sys
import time
from collections import defaultdict
from functools import cache
from importlib.metadata import version
from pathlib import Path

# Tests compile far more than they compute: without optimisation and fusion the suite takes half the time, in one part each
# program a fifth less. XLA aborts on flags that it does not know, so they go with the pinned release. `XLA_FLAGS=` (set, empty)
# runs the tests with XLA's defaults.
if version("jaxlib") == "0.10.2":
    flags = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    os.environ.setdefault("XLA_FLAGS", flags)

import jax
import pytest
from jaxtyping import config as jaxtyping_config
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_nans", True)
jax.config.update("jax_default_matmul_precision", "highest")

# Python's numeric tower: where a float is wanted, an int will do.
_hook = install_import_hook("quire", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

from quire.common.testing import Golden  # noqa: E402  (after the hook, so that shapes are checked)

HERE = Path(__file__).parent
collect_ignore = ["common/train_program.py"]  # a program that tests run
MAX_SECONDS, MAX_PROGRAMS = 90, 1500
"""What one test file may cost: processor seconds, 60 of them alone (two workers slow each other), and compiled programs."""
YARDSTICK = 1.6
"""Processor seconds of `ci/yardstick.py` on the machine, quiet, that the budget was made for."""
HELD_PROGRAMS = 800
"""Programs that a worker keeps at most: it holds a few megabytes of each."""


def pytest_addoption(parser):
    parser.addoption("--golden", metavar="DIR", default=str(HERE / "golden"), help="folder of the golden vectors, <slug>.npz")


@pytest.fixture(scope="session")
def golden(request):
    """`golden("crate")` reads the golden vectors of a paper from the folder that `--golden` names."""
    folder = Path(request.config.getoption("--golden"))

    def read(slug: str) -> Golden:
        file = folder / f"{slug}.npz"
        if not file.exists():
            file = folder / f"{slug.replace('_', '-')}.npz"
        if not file.exists():
            pytest.skip(f"no golden vectors of {slug} in {folder}")
        return Golden(file)

    return read


@pytest.fixture
def as_installed():
    """The library as a user has it: without the shape checks of the tests, so that its own errors show."""
    jaxtyping_config.update("jaxtyping_disable", True)
    yield
    jaxtyping_config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def quire_data() -> Path:
    """The folder that `QUIRE_DATA` names; tests that need it skip without it."""
    folder = os.environ.get("QUIRE_DATA")
    if not folder:
        pytest.skip("QUIRE_DATA is not set; it names a folder with one sub-folder per data set")
    return Path(folder)


# --- Costs: every report carries what its phase took; the run fails when a file exceeds its budget ---

_programs = _released = 0
_costs = defaultdict(lambda: [0.0, 0])


def _count_program(event, duration, **_):
    global _programs
    _programs += event == "/jax/core/compile/backend_compile_duration"


jax.monitoring.register_event_duration_secs_listener(_count_program)
_last = (time.process_time(), 0)


def pytest_configure(config):
    config.pluginmanager.register(Programs())


class Programs:
    """Counts the programs of every test and releases them: a worker that kept all would hold gigabytes at the end.

    A plugin of its own, because hooks of this file do not see the examples of the modules, which lie outside `tests`.
    """

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        global _last
        report = yield
        now = (time.process_time(), _programs)
        report.cost = [now[0] - _last[0], now[1] - _last[1]]
        _last = now
        return report

    def pytest_runtest_logreport(self, report):
        file = report.nodeid.split("::")[0]
        _costs[file] = [total + part for total, part in zip(_costs[file], getattr(report, "cost", (0, 0)), strict=True)]

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item, nextitem):
        global _released
        leaves_file = item.path.is_relative_to(HERE) and (nextitem is None or nextitem.path != item.path)
        if leaves_file or _programs - _released > HELD_PROGRAMS:
            jax.clear_caches()
            _released = _programs


@cache
def _slowness() -> float:
    """How many times longer work takes now than on a quiet machine."""
    environment = {**os.environ, "XLA_FLAGS": ""}
    command = [sys.executable, HERE.parent / "ci" / "yardstick.py"]
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return max(1.0, float(found) / YARDSTICK)


def _share(file):
    """How many budgets a file has: the examples of the READMEs one for every dozen of them, all others one."""
    return max(1, len(list(HERE.parent.glob("papers/*/README.md"))) / 12) if file.endswith("test_readmes.py") else 1


def _excessive():
    dear = {file: cost for file, cost in _costs.items() if cost[0] > MAX_SECONDS * _share(file)}
    dear = {file: cost for file, cost in dear.items() if cost[0] > MAX_SECONDS * _share(file) * _slowness()}
    return dear | {file: cost for file, cost in _costs.items() if cost[1] > MAX_PROGRAMS * _share(file)}


def pytest_sessionfinish(session, exitstatus):
    if exitstatus == 0 and not hasattr(session.config, "workerinput") and _excessive():
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter):
    total = sum(seconds for seconds, _ in _costs.values())
    terminalreporter.section(f"costs: {total:.0f} processor seconds, the dearest files")
    shown = None if terminalreporter.verbosity > 0 else 10  # all of them with -v
    for file, (seconds, programs) in sorted(_costs.items(), key=lambda entry: -entry[1][0])[:shown]:
        over = f"  ABOVE THE BUDGET of {MAX_SECONDS} s, {MAX_PROGRAMS} programs" if file in _excessive() else ""
        terminalreporter.line(f"{seconds:6.1f} s  {programs:5d} programs  {file}{over}")
