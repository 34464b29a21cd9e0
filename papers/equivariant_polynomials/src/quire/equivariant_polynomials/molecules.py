"""Regression on molecules as in the paper: ZINC-12k, Alchemy-12k, and the small TU sets as stand-ins."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.data.graph_sets import Molecule, alchemy_12k, tu_molecules, zinc_12k
from quire.common.graphs.dense import pad_graphs
from quire.common.graphs.multigraph import MultiGraph
from quire.common.graphs.ppgn import PPGN
from quire.equivariant_polynomials.features import missing_polynomials, normalise_features, occurring, polynomial_features
from quire.equivariant_polynomials.regression import Batch, TrainingConfig, predict, train_regression

_SPLIT_SETS = {"zinc-12k": zinc_12k, "alchemy-12k": alchemy_12k}
_WHOLE_SETS = ("MUTAG", "PTC", "NCI1")


def molecule_splits(name: str, key: jax.Array) -> list[list[Molecule]]:
    """Training, validation and test molecules.

    Args:
        name: `"zinc-12k"`, `"alchemy-12k"` with their own splits; `"MUTAG"`, `"PTC"`, `"NCI1"` are split 80 : 10 : 10 by the key.
        key: for the sets without splits.

    Raises:
        ValueError: for another name.
        DatasetUnavailable, DatasetCorrupt: if files are missing or damaged.
    """
    if name in _SPLIT_SETS:
        return [_SPLIT_SETS[name](split) for split in ("train", "val", "test")]
    if name not in _WHOLE_SETS:
        raise ValueError(f"name is {name!r}; it must be one of {[*_SPLIT_SETS, *_WHOLE_SETS]}")
    whole = tu_molecules(name)
    order = np.asarray(jax.random.permutation(key, len(whole)))
    return [[whole[i] for i in part] for part in np.split(order, [len(whole) * 8 // 10, len(whole) * 9 // 10])]


@dataclass(frozen=True)
class MoleculeEncoder:
    """From molecules to what the networks see; fitted to the training molecules.

    Attributes:
        size: nodes after padding.
        graphs: the polynomials among the input channels.
        mean, std: of the targets `[k]`.
    """

    size: int
    graphs: tuple[MultiGraph, ...]
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, train: Sequence[Molecule], graphs: Sequence[MultiGraph] = (), *, standardise: bool = False) -> "MoleculeEncoder":
        """An encoder with those of the polynomials that occur in the training molecules.

        Args:
            train: training molecules.
            graphs: polynomials to try.
            standardise: bring each target to mean 0 and standard deviation 1 (the paper does for Alchemy).

        Raises:
            ValueError: if there are no molecules.
        """
        if not train:
            raise ValueError("train is empty; give at least one molecule")
        targets = np.stack([m.target for m in train])
        mean, std = targets.mean(0), targets.std(0)
        if not standardise:
            mean, std = np.zeros_like(mean), np.ones_like(std)
        if graphs:
            A, mask, _ = pad_graphs([m.adjacency[None].astype(np.float32) for m in train])
            graphs = occurring(graphs, _polynomials(A[:, 0], graphs, mask))
        return cls(max(len(m.tags) for m in train), tuple(graphs), mean, std)

    @property
    def in_channels(self) -> int:
        """Polynomials, A, kinds of bonds, diag(tags + 1)."""
        return len(self.graphs) + 3

    def __call__(self, group: Sequence[Molecule]) -> Batch:
        """Channels `[B, in_channels, n, n]`, mask, sizes and targets `[B, k]` of padded molecules (item 11 of the method).

        Raises:
            ValueError: as `pad_graphs`.
        """
        size = max([self.size, *(len(m.tags) for m in group)])
        Z, mask, sizes = pad_graphs([_channels(m) for m in group], size)
        if self.graphs:
            Z = np.concatenate([normalise_features(jnp.asarray(_polynomials(Z[:, 0], self.graphs, mask))), Z], 1)
        targets = (np.stack([m.target for m in group]) - self.mean) / np.where(self.std > 0, self.std, 1)
        return jnp.asarray(Z), jnp.asarray(mask), jnp.asarray(sizes), jnp.asarray(targets, jnp.float32)


def molecule_errors(name: str, config: TrainingConfig, key: jax.Array, *, width: int, depth: int) -> dict[str, float]:
    """Test errors, in units of the target, of the paper's ladder of networks, trained by its recipe.

    Args:
        name: of the set, as `molecule_splits` takes it.
        config: recipe.
        key: for the split, the weights and the shuffles.
        width, depth: of the networks.

    Returns:
        Mean absolute errors of `"predicting 0"`, `"PPGN"`, `"PPGN++"`, `"PPGN++(5)"` and `"PPGN++(6)"`.

    Raises:
        ValueError, DatasetUnavailable, DatasetCorrupt: as `molecule_splits` and `train_regression`.
    """
    train, validation, test = molecule_splits(name, jax.random.fold_in(key, 0))
    ladder = {"PPGN": (False, 0), "PPGN++": (True, 0), "PPGN++(5)": (True, 5), "PPGN++(6)": (True, 6)}
    errors = {"predicting 0": float(np.mean([np.abs(m.target).mean() for m in test]))}
    for label, (plus, degree) in ladder.items():
        encoder = MoleculeEncoder.fit(train, missing_polynomials(degree), standardise=name == "alchemy-12k")
        rngs = nnx.Rngs(jax.random.fold_in(key, 1))
        model = PPGN(encoder.in_channels, width, depth, len(encoder.mean), plus=plus, remat=True, rngs=rngs)
        train_regression(model, encoder(train), encoder(validation), config, jax.random.fold_in(key, 2))
        *inputs, target = encoder(test)
        errors[label] = float((jnp.abs(predict(model, inputs, config.batch_size) - target).mean(0) * encoder.std).mean())
    return errors


def _channels(m: Molecule) -> np.ndarray:
    bonds = m.adjacency if m.bonds is None else m.bonds
    return np.stack([m.adjacency, bonds, np.diag(m.tags + 1)]).astype(np.float32)


def _polynomials(A: np.ndarray, graphs: Sequence[MultiGraph], mask: np.ndarray) -> np.ndarray:
    """Counts, 512 molecules at a time. Molecules are sparse: no count comes near 2^24, where float32 would round."""
    parts = np.split(np.arange(len(A)), range(512, len(A), 512))
    return np.concatenate([polynomial_features(jnp.asarray(A[i]), graphs, jnp.asarray(mask[i])) for i in parts])
