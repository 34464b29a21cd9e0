"""The claims of the paper, in the order of its stages."""

from typing import Any

import jax
import numpy as np

from quire.common.claims import Measurement, all_of, at_least, at_most, below, on_average
from quire.common.claims.identity import identity
from quire.common.random import generator
from quire.optembed import figures
from quire.optembed.base_models import KINDS
from quire.optembed.config import Preset
from quire.optembed.identities import compaction_errors, definition_errors, mask_errors
from quire.optembed.paper import paper
from quire.optembed.study import FULL, ONE_DIM, OPT, RANDOM, click_runs, planted_runs, pruned_precision, smallest

# --- Exact statements ---


@paper.claim(
    "C1",
    says="Masks, their straight-through slope, five base models, loss and gradients are those of the equations",
    source="authors' code",
    metric="largest error / largest reference, float64",
    holds=below(1e-9),
    exact=True,
)
def is_the_definition(preset: Preset, key: jax.Array) -> Measurement:
    """Random supernets on random batches, against the definition example by example; derivatives by complex steps."""
    config = preset.identities

    def errors(dtype: Any) -> dict[str, float]:
        found = mask_errors(config, dtype)
        for kind in KINDS:
            found |= definition_errors(kind, config, generator(key), dtype)
        return found

    data = f"five base models, {len(config.field_dims)} fields, batches of {config.examples}"
    return identity(errors, data, single=False)


@paper.claim(
    "C2",
    says="A compact table answers what the masked one answers, in 1 - sparsity of its bytes",
    source="abstract; `calc_sparsity` of the authors' code, mended",
    metric="largest difference of logits or of the ratio of bytes, float64",
    holds=all_of(at_most(1e-6), at_most(1e-6, of="float32")),
    exact=True,
    seeds=1,
)
def compaction_is_exact(preset: Preset, key: jax.Array) -> Measurement:
    """Random table, thresholds and dimensions under DeepFM, which reads vectors padded by zeros in a sum and in a perceptron."""
    config = preset.identities

    def errors(dtype: Any) -> dict[str, float]:
        return compaction_errors("deepfm", config, generator(key), dtype)

    return identity(errors, f"DeepFM, {len(config.field_dims)} fields, batches of {config.examples}")


# --- Training ---


@paper.claim(
    "C3",
    says="Learned thresholds prune rows that say nothing",
    source="abstract: redundant embeddings",
    metric="share of the pruned rows that say nothing",
    holds=all_of(at_least(0.8), at_least(-0.005, of="AUC - AUC of the full table")),
    trivial="rows at random",
)
def prunes_useless_rows(preset: Preset, key: jax.Array) -> Measurement:
    """Clicks of which it is known what they depend on; retrained without the pruned rows."""
    runs = planted_runs(preset, key)
    pruned, signal, auc = runs["pruned"], runs["signal"], {name: float(x) for name, x in runs["auc"].items()}
    count = int(pruned.sum())
    return Measurement(
        pruned_precision(pruned, signal),
        runs["name"],
        baselines={
            "rows at random": float((~signal).mean()),
            "rare rows": pruned_precision(smallest(runs["counts"], count), signal),
            "short rows of the full table": pruned_precision(smallest(runs["full_norms"], count), signal),
        },
        extras={
            "AUC - AUC of the full table": auc["retrained"] - auc["full"],
            "AUC, retrained": auc["retrained"],
            "AUC, full table": auc["full"],
            "AUC, supernet": auc["supernet"],
            "rows pruned": count / len(pruned),
            "useless rows that are pruned": float(pruned[~signal].mean()),
            "precision, without drawn dimensions": pruned_precision(runs["rows_pruned"], signal),
            "rows pruned, without drawn dimensions": float(runs["rows_pruned"].mean()),
        },
        figure=figures.norms(runs["norms"], runs["threshold"], signal),
    )


def _measured(preset: Preset, key: jax.Array) -> tuple[dict[str, Any], dict[str, float], dict[str, float]]:
    """Runs, AUC by table, parameters by table relative to the full one."""
    runs = click_runs(preset, key)
    auc = {name: float(x) for name, x in runs["auc"].items()} | {RANDOM: float(runs["rivals"].mean())}
    full = float(runs["params"][FULL])
    share = {name: float(x) / full for name, x in runs["params"].items()}
    return runs, auc, share | {RANDOM: float(runs["rival_params"].mean()) / full}


@paper.claim(
    "C4",
    says="The table shrinks without losing accuracy",
    source="abstract",
    metric="test AUC after retraining",
    holds=all_of(
        on_average(at_least(0.3, of="part of the parameters that is gone")),
        on_average(at_least(-0.005, of="AUC - AUC of the full table")),
    ),
    trivial=ONE_DIM,
)
def smaller_without_loss(preset: Preset, key: jax.Array) -> Measurement:
    """Supernet, search, retraining; every table is trained from the same start on the same batches."""
    runs, auc, share = _measured(preset, key)
    return Measurement(
        auc[OPT],
        runs["name"],
        baselines={name: x for name, x in auc.items() if name != OPT},
        extras={
            "part of the parameters that is gone": 1 - share[OPT],
            "AUC - AUC of the full table": auc[OPT] - auc[FULL],
            "AUC - AUC of one dimension for all": auc[OPT] - auc[ONE_DIM],
            "rows kept": float(runs["keep"].mean()),
            "dimensions kept, mean over fields": float((runs["cand"] + 1).mean()),
        }
        | {f"parameters / full table, {name}": x for name, x in share.items()}
        | {f"log loss, {name}": float(x) for name, x in runs["log_loss"].items()}
        | {f"supernet, test AUC, {name}": float(x) for name, x in runs["supernet"].items()},
        stand_in_for=runs["stand_in_for"],
        figure=figures.sizes(share, auc),
    )


@paper.claim(
    "C5",
    says="Searched dimensions are better than dimensions at random of no more parameters",
    source="abstract: search for optimal dimensions",
    metric="test AUC after retraining",
    holds=on_average(at_least(0, of="AUC - mean of the random candidates")),
    trivial=RANDOM,
)
def searched_beats_random(preset: Preset, key: jax.Array) -> Measurement:
    """The rows are the same, and so are start and batches."""
    runs, auc, share = _measured(preset, key)
    rivals = runs["rivals"]
    return Measurement(
        auc[OPT],
        f"{runs['name']}; {len(rivals)} random candidates",
        baselines={RANDOM: auc[RANDOM], "best of the random candidates": float(rivals.max())},
        extras={
            "AUC - mean of the random candidates": auc[OPT] - auc[RANDOM],
            "standard deviation of the random candidates": float(rivals.std()),
            "random candidates that are better": float((rivals > auc[OPT]).mean()),
            "parameters / those of OptEmbed, random candidates": share[RANDOM] / share[OPT],
        },
        stand_in_for=runs["stand_in_for"],
        figure=figures.rivals(rivals, auc[OPT]),
    )


@paper.claim(
    "C5b",
    says="Evolution finds better candidates than a random search of equal length",
    source="ablation: random search",
    metric="best validation AUC in the supernet",
    holds=on_average(at_least(0, of="evolution - random search")),
    trivial="random search",
)
def evolution_beats_random_search(preset: Preset, key: jax.Array) -> Measurement:
    """The fitness itself, of as many candidates."""
    runs = click_runs(preset, key)
    best, drawn = float(runs["best"]), float(runs["random_best"])
    return Measurement(
        best,
        runs["name"],
        baselines={"random search": drawn, "mean of random candidates": float(np.mean(runs["random_history"]))},
        extras={"evolution - random search": best - drawn, "candidates": float(runs["history"].size)},
        stand_in_for=runs["stand_in_for"],
        figure=figures.search(runs["history"], runs["random_history"]),
    )
