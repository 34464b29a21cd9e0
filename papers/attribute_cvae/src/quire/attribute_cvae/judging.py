"""The study that the claims share: all models are trained, then judged by a probe, by likelihoods, and by what they draw."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.attribute_cvae.config import Preset
from quire.attribute_cvae.cvae import CVAE, AttributeDecoder, negative_bound
from quire.attribute_cvae.gaussians import Normal, at_noise, log_density
from quire.attribute_cvae.generation import diversity, edit, sampled
from quire.attribute_cvae.likelihood import Method, log_mean, log_weights
from quire.attribute_cvae.probe import Probe, attribute_accuracy, train_probes
from quire.attribute_cvae.study import Seeds, Trained, of_beta, open_seeds, over_models, train_all
from quire.common.claims import shared
from quire.common.random import generator

ROWS, DRAWS = 64, 8
"""Sets of attributes that C4 and C4b draw for, and draws for each of them."""

Noise = Float[Array, "n d"]


class Drawn(NamedTuple):
    """What one model makes of the test images; images `[n, *shape]`, the rest one number an image."""

    samples: Array
    swaps: Array
    moved_swaps: Array
    mse: Array
    kl: Array
    bound: Array


def drawn(model: CVAE, y: Array, x: Array, x_new: Array, of_q: Noise, of_p: Noise) -> Drawn:
    """Samples for the attributes of the test images, the images with other attributes, reconstructions and the bound."""
    terms = negative_bound(model, y, x, of_q)
    again = jax.nn.sigmoid(model.decode(model.recognise(y, x).mean, x))
    return Drawn(
        sampled(model, x, of_p),
        edit(model, y, x, x_new),
        edit(model, y, x, x_new, "prior"),
        ((again - y) ** 2).reshape(len(y), -1).mean(1),
        terms.kl,
        -(terms.reconstruction + terms.kl),
    )


def log_likelihood(model: CVAE, y: Array, x: Array, eps: Array, method: Method) -> Float[Array, " n"]:
    """`log p(y | x)` from given noise `[draws, n, d]`."""
    return log_mean(log_weights(model, y, x, eps, method))


WAYS = {"importance": partial(log_likelihood, method="importance"), "prior": partial(log_likelihood, method="prior")}


def prior_means(model: CVAE, x: Array) -> Float[Array, "rows d"]:
    """Means of `p(z | x)`."""
    return jnp.asarray(model.prior(x).mean)


def told_apart(model: CVAE, x: Float[Array, "rows a"], eps: Float[Array, "draws rows d"]) -> Float[Array, ""]:
    """Share of the draws of `p(z | x)` that are likelier under the prior of their own attributes than of any other row."""
    prior = model.prior(x)
    z = at_noise(Normal(*(part[None] for part in prior)), eps)
    density = log_density(z[:, :, None], Normal(*(part[None, None] for part in prior)))
    return jnp.mean(density.argmax(-1) == jnp.arange(len(x))[None])


def at_temperatures(
    model: CVAE, x: Float[Array, "rows a"], temperatures: Array, eps: Float[Array, "draws rows d"]
) -> Float[Array, "t draws rows *shape"]:
    """Images for every temperature, from the same noise."""
    of_draws = jax.vmap(sampled, (None, None, 0, None))
    return jax.vmap(of_draws, (None, None, None, 0))(model, x, eps, temperatures)


def deterministic_scores(model: AttributeDecoder, y: Array, x: Array, seen_y: Array, seen_x: Array) -> tuple[Array, Array]:
    """`log p(y | x)` in nats of every test image, with the given variance and with the one that fits training images."""
    logits, variance = model(x), jnp.mean((jax.nn.sigmoid(model(seen_x)) - seen_y) ** 2)
    return model.likelihood.log_prob(y, logits), replace(model.likelihood, variance=variance).log_prob(y, logits)


def parted(points: np.ndarray, has: np.ndarray) -> bool:
    """Whether a hyperplane has the points `[n, d]` with `has` on one side and the others on the other: a linear programme.

    >>> parted(np.array([[0.0], [1.0], [2.0]]), np.array([True, False, True]))
    False
    """
    from scipy.optimize import linprog  # half a second to import

    signed = np.where(has, -1.0, 1.0)[:, None] * np.column_stack([points, np.ones(len(points))])
    found = linprog(np.zeros(signed.shape[1]), A_ub=signed, b_ub=-np.ones(len(points)), bounds=(None, None))
    return found.status == 0


class Judge:
    """Scores of trained models; everything has a leading axis of seeds.

    Args:
        preset: sizes.
        seeds: keys and images.
        models: by kind.
        probe: graph, and states as `"real"`.

    Attributes:
        y, x: test images in `[0, 1]` and their attributes `[seeds, n, ...]`.
        x_new: attributes of another image for each.
    """

    def __init__(self, preset: Preset, seeds: Seeds, models: dict[str, Trained], probe: Trained):
        self.preset, self.seeds, self.models, self.probe = preset, seeds, models, probe
        self.draws = [generator(jax.random.fold_in(key, 5)) for key in seeds.keys]
        self.y = np.stack([split.test.images for split in seeds.images]).astype(np.float32) / 255
        self.x = np.stack([split.test.attributes for split in seeds.images]).astype(np.float32)
        self.x_new = np.stack([x[draw.permutation(len(x))] for x, draw in zip(self.x, self.draws, strict=True)])
        self.of_q, self.of_p = self.noise(self.x.shape[1]), self.noise(self.x.shape[1])

    def noise(self, *shape: int) -> np.ndarray:
        """Standard normal numbers `[seeds, *shape, z_dim]`, drawn on the host."""
        shape = *shape, self.preset.training.z_dim
        return np.stack([draw.standard_normal(shape, dtype=np.float32) for draw in self.draws])

    def of(self, kind: str, group: str, function: Any, *args: Any) -> Any:
        """A function of the models of one group."""
        return over_models(self.models[kind].graph, function, self.models[kind].states[group], *args)

    def seen(self, images: Array | np.ndarray, x: np.ndarray) -> np.ndarray:
        """Share of attributes that the probe sees as they are meant to be, `[seeds]`."""
        logits = np.asarray(over_models(self.probe.graph, Probe.__call__, self.probe.states["real"], images))
        return np.array([attribute_accuracy(*pair) for pair in zip(logits, x, strict=True)])

    def of_group(self, kind: str, group: str) -> dict[str, np.ndarray]:
        """Scores of one group of models with attributes."""
        made = self.of(kind, group, drawn, self.y, self.x, self.x_new, self.of_q, self.of_p)
        seen = {
            "samples": self.seen(made.samples, self.x),
            "swaps": self.seen(made.swaps, self.x_new),
            "moved swaps": self.seen(made.moved_swaps, self.x_new),
        }
        return seen | {name: np.asarray(getattr(made, name)).mean(1) for name in ("mse", "kl", "bound")}

    def of_blind(self) -> dict[str, np.ndarray]:
        """Scores of the unconditional model, whose samples are held against the attributes of the test images."""
        nothing = self.x[:, :, :0]
        made = self.of("blind", "VAE", drawn, self.y, nothing, nothing, self.of_q, self.of_p)
        return {"samples": self.seen(made.samples, self.x), "bound": np.asarray(made.bound).mean(1)}

    def likelihoods(self) -> dict[str, np.ndarray]:
        """`log p(y | x)` in nats of some test images, and the bound of the CVAE for the same ones, `[seeds, n]`."""
        n = self.preset.n_scored
        y, x, eps, found = self.y[:, :n], self.x[:, :n], self.noise(self.preset.draws, n), {}
        groups = {"CVAE": ("learned", of_beta(1)), "GSNN": ("mixed", "GSNN"), "hybrid": ("mixed", "hybrid")}
        for name, place in groups.items():
            found |= {f"{name}, {way}": np.asarray(self.of(*place, function, y, x, eps)) for way, function in WAYS.items()}
        made = self.of(*groups["CVAE"], drawn, self.y, self.x, self.x_new, self.of_q, self.of_p)
        seen = [np.stack([getattr(split.train, part)[:1000] for split in self.seeds.images]) for part in ("images", "attributes")]
        one = self.of(
            "deterministic",
            "deterministic",
            deterministic_scores,
            y,
            x,
            seen[0].astype(np.float32) / 255,
            seen[1].astype(np.float32),
        )
        names = "deterministic", "deterministic, fitted variance"
        return found | dict(zip(names, map(np.asarray, one), strict=True)) | {"bound": np.asarray(made.bound)[:, :n]}

    def rows(self) -> np.ndarray:
        """Different sets of attributes of every seed, `[seeds, rows, a]`."""
        distinct = [np.unique(x, axis=0) for x in self.x]
        count = min(ROWS, *map(len, distinct))
        return np.stack([rows[draw.permutation(len(rows))[:count]] for rows, draw in zip(distinct, self.draws, strict=True)])

    def temperatures(self, x: np.ndarray, eps: np.ndarray) -> dict[str, np.ndarray]:
        """Diversity and accuracy by temperature, `[seeds, temperatures]`."""
        taus = np.tile(np.asarray(self.preset.temperatures, np.float32), (len(x), 1))
        images = np.asarray(self.of("learned", of_beta(self.preset.training.reference), at_temperatures, x, taus, eps))
        many = np.broadcast_to(x[:, None], (len(x), DRAWS, *x.shape[1:])).reshape(len(x), -1, x.shape[-1])
        flat = images.reshape(*images.shape[:2], -1, *images.shape[4:])
        spread = np.array([[diversity(draws) for draws in of_seed] for of_seed in images])
        return {"diversity": spread, "accuracy": np.stack([self.seen(flat[:, i], many) for i in range(flat.shape[1])], axis=1)}

    def separable(self, beta: float, x: np.ndarray) -> np.ndarray:
        """Share of the attributes whose two halves of the prior's means a hyperplane separates, `[seeds]`."""
        means = np.asarray(self.of("learned", of_beta(beta), prior_means, x), float)
        return np.array([np.mean([parted(m, has > 0.5) for has in rows.T]) for m, rows in zip(means, x, strict=True)])

    def unseen(self) -> dict[str, np.ndarray]:
        """Accuracy of samples for held-out combinations and for the others, of the models that were not shown the former."""
        found = {}
        for name, wanted in (("unseen", True), ("seen", False)):
            rows = []
            for x, held, draw in zip(self.x, self.seeds.held, self.draws, strict=True):
                those = x[held[-len(x) :] == wanted]
                rows.append(those[draw.integers(0, len(those), len(x))])
            x = np.stack(rows)
            found[name] = self.seen(self.of("learned", "unseen", sampled, x, self.of_p), x)
        return found


@shared
def cvae_study(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Models, test images and scores; arrays have a leading axis of seeds.

    Returns:
        `models` by kind; `y` and `x`, test images and attributes; `train`, training images as bytes; `names` of the attributes;
        `scores` by group of runs; `real`, what the probe sees in real test images; `likelihoods`, `temperatures`, `unseen`;
        `separable` and `told apart` by beta.
    """
    seeds = open_seeds(preset, keys)
    models = train_all(preset, seeds)
    judge = Judge(preset, seeds, models, real_probes(preset, seeds))
    rows = judge.rows()
    eps = judge.noise(DRAWS, rows.shape[1])
    scores = {of_beta(beta): judge.of_group("learned", of_beta(beta)) for beta in preset.training.betas}
    return {
        "models": models,
        "y": judge.y,
        "x": judge.x,
        "train": np.stack([split.train.images for split in seeds.images]),
        "names": seeds.images[0].train.names,
        "scores": scores | {"normal prior": judge.of_group("normal", "normal prior"), "VAE": judge.of_blind()},
        "real": judge.seen(judge.y, judge.x),
        "likelihoods": judge.likelihoods(),
        "temperatures": judge.temperatures(rows, eps),
        "unseen": judge.unseen(),
        "separable": {b: judge.separable(b, rows) for b in preset.training.betas},
        "told apart": {b: np.asarray(judge.of("learned", of_beta(b), told_apart, rows, eps)) for b in preset.training.betas},
    }


def real_probes(preset: Preset, seeds: Seeds) -> Trained:
    """A probe for every seed, trained on its real training images."""
    images, attributes = (np.stack([getattr(split.train, part) for split in seeds.images]) for part in ("images", "attributes"))
    keys = jax.vmap(jax.random.fold_in, (0, None))(seeds.keys, 6)
    graph, state = train_probes(images, attributes, preset.probe, preset.probe_widths, keys)
    return Trained(graph, {"real": state})
