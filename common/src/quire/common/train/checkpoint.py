"""Checkpoints by orbax, each with digests of its arrays, so that a damaged one is never half loaded."""

import hashlib
import logging
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from quire.common.checks import check_at_least
from quire.common.errors import QuireError
from quire.common.train.keys import with_keys, without_keys

logger = logging.getLogger(__name__)


class CheckpointError(QuireError):
    """No checkpoint of a folder can be read."""


class Checkpoints:
    """The checkpoints of one run, newest last.

    Args:
        folder: where they live; made when missing.
        keep: how many to keep.

    Raises:
        ValueError: for none to keep, or a folder that is a file.
    """

    def __init__(self, folder: Path | str, *, keep: int = 3):
        check_at_least("keep", keep)
        self.folder = Path(folder).absolute()
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"folder is {folder}; that is a file")
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any) -> None:
        """Save a pytree of arrays and random keys. A process killed on the way leaves the earlier checkpoints untouched."""
        state = without_keys(state)
        self._manager.save(
            step, args=ocp.args.Composite(state=ocp.args.StandardSave(state), digests=ocp.args.JsonSave(_digests(state)))
        )
        self._manager.wait_until_finished()

    def restore_latest(self, like: Any) -> tuple[int, Any] | None:
        """Step and state of the newest checkpoint that is whole, falling back to earlier ones.

        Args:
            like: a state with the wanted structure, shapes, dtypes and shardings.

        Returns:
            `(step, state)`, or None if the folder holds no checkpoint.

        Raises:
            CheckpointError: if there are checkpoints and none of them is whole or fits `like`.
        """
        steps = self.steps()
        problems = []
        for step in reversed(steps):
            try:
                return step, self._restore(step, like)
            except Exception as error:  # tensorstore, orbax and JSON each raise their own kinds for damaged files
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
                problems.append(f"step {step}: {reason}")
                logger.warning(
                    "checkpoint of step %d in %s cannot be read (%s); trying the one before", step, self.folder, reason
                )
        if not steps:
            return None
        raise CheckpointError(
            f"no checkpoint in {self.folder} can be read ({'; '.join(problems)}); delete the folder to start anew"
        )

    def _restore(self, step: int, like: Any) -> Any:
        stored = without_keys(like)
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), stored)
        found = self._manager.restore(
            step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract), digests=ocp.args.JsonRestore())
        )
        wrong = [name for name, digest in _digests(found["state"]).items() if found["digests"].get(name) != digest]
        if wrong:
            raise CheckpointError(f"{len(wrong)} arrays differ from their digests, the first is {wrong[0]}")
        return with_keys(like, found["state"])


def _digests(state: Any) -> dict[str, str]:
    """SHA-256 of the parts of every leaf that this process holds, by path."""

    def digest(x):
        shards = (
            sorted((s for s in x.addressable_shards if s.replica_id == 0), key=lambda s: str(s.index))
            if isinstance(x, jax.Array)
            else []
        )
        parts = [np.asarray(s.data) for s in shards] if isinstance(x, jax.Array) else [np.asarray(x)]
        return hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest()

    return {jax.tree_util.keystr(path): digest(x) for path, x in jax.tree_util.tree_leaves_with_path(state)}
