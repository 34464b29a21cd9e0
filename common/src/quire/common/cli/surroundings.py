"""What a process finds around it, and what must not end a run: a windows backend, an encoding, no home, no device."""

import io
import logging
import os
import sys
from pathlib import Path

from quire.common.errors import UsageError

HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""glibc maps blocks above 32 MB afresh at every call; in huge pages that costs a few faults instead of thousands."""


def settle() -> None:
    """Make the process independent of settings that are meant for other programs.

    Figures go to files, so the backend for windows that `MPLBACKEND` names is of no use. Marks such as ✓ become `?` on a terminal
    whose encoding lacks them; the verdict stands beside each in words. Without a home, Jupyter's settings come from the
    environment that quire is installed in.
    """
    os.environ["MPLBACKEND"] = "agg"
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns when it finds no folder of its own
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if not _has_home():
        os.environ.setdefault("JUPYTER_CONFIG_DIR", f"{sys.prefix}/etc/jupyter")
        os.environ.setdefault("JUPYTER_DATA_DIR", f"{sys.prefix}/share/jupyter")


def _has_home() -> bool:
    try:
        Path.home()
    except RuntimeError:
        return False
    return True


def require_device() -> None:
    """Start JAX's backend.

    Raises:
        UsageError: if JAX has no device of the kind asked for.
    """
    import jax

    try:
        jax.devices()
    except Exception as error:  # an AssertionError without a word when the build lacks the platform, others for other causes
        if platforms := os.environ.get("JAX_PLATFORMS"):
            cure = "unset it to run on the processor, or install JAX for that device, for instance quire-common[cuda]"
            raise UsageError(f"JAX has no device for JAX_PLATFORMS={platforms}; {cure}") from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"JAX has no device: {reason}; set JAX_PLATFORMS=cpu to run on the processor") from error


def restart_with_huge_pages() -> None:
    """Start this process again with huge pages in its allocator, which reads its settings before anything else runs.

    Once only, on Linux, and not where `GLIBC_TUNABLES` is set already, by a person or by the first start.
    """
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | {"GLIBC_TUNABLES": HUGE_PAGES})
