"""The study that the claims share: all models are trained, then judged by a probe, by likelihoods, and by what they draw."""

from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.attribute_cvae.config import Preset
from quire.attribute_cvae.cvae import CVAE, AttributeDecoder, elbo
from quire.attribute_cvae.gaussians import at_noise, log_density
from quire.attribute_cvae.generation import edit, sample
from quire.attribute_cvae.likelihood import conditional_log_likelihood
from quire.attribute_cvae.probe import Probe, train_probes
from quire.attribute_cvae.study import Seeds, Test, Trained, of_beta, open_seeds, open_test, over_models, train_all
from quire.common.claims import shared
from quire.common.random import generator

ROWS = 64
"""Sets of attributes that C4 and C4b draw for."""
DRAWS = 8
"""Draws for each of them."""


class Drawn(NamedTuple):
    """What one model makes of the test images; images `[n, *shape]`, the rest one number."""

    samples: Array
    swaps: Array
    moved_swaps: Array
    mse: Array
    kl: Array
    elbo: Array


def drawn(model: CVAE, y: Array, x: Array, x_new: Array, key: jax.Array) -> Drawn:
    """Samples for the attributes of the test images, the images with other attributes, reconstructions and the bound."""
    of_bound, of_sample = jax.random.split(key)
    _, terms = elbo(model, y, x, of_bound)
    again = jax.nn.sigmoid(model.decode(model.recognise(y, x).mean, x))
    return Drawn(
        sample(model, x, of_sample),
        edit(model, y, x, x_new),
        edit(model, y, x, x_new, "prior"),
        jnp.mean((again - y) ** 2),
        terms.kl.mean(),
        -jnp.mean(terms.reconstruction + terms.kl),
    )


def bounds(model: CVAE, y: Array, x: Array, key: jax.Array) -> Float[Array, " n"]:
    """The bound of every image, from one draw."""
    _, terms = elbo(model, y, x, key)
    return -(terms.reconstruction + terms.kl)


def told_apart(model: CVAE, x: Float[Array, "rows a"], key: jax.Array) -> Float[Array, ""]:
    """Share of the draws of `p(z | x)` that are likelier under the prior of their own attributes than of any other row."""
    prior = model.prior(x)
    z = at_noise(prior, jax.random.normal(key, (DRAWS, len(x), model.z_dim)))
    density = jax.vmap(lambda z: log_density(z[:, None], type(prior)(*(part[None] for part in prior))))(z)
    return jnp.mean(density.argmax(-1) == jnp.arange(len(x))[None])


def at_temperatures(
    model: CVAE, x: Float[Array, "rows a"], temperatures: Array, key: jax.Array
) -> Float[Array, "t draws rows *s"]:
    """Images for every temperature, from the same noise."""
    eps = jax.random.normal(key, (DRAWS, len(x), model.z_dim))
    one = lambda t, eps: jax.nn.sigmoid(model.decode(at_noise(model.prior(x), eps, t), x))  # noqa: E731
    return jax.vmap(lambda t: jax.vmap(lambda eps: one(t, eps))(eps))(temperatures)


def deterministic_scores(model: AttributeDecoder, y: Array, x: Array, seen_y: Array, seen_x: Array) -> tuple[Array, Array]:
    """`log p(y | x)` in nats of every test image, with the variance of the likelihood and with the one that fits training images."""
    logits = model(x)
    if model.likelihood.kind == "bernoulli":
        return model.likelihood.log_prob(y, logits), model.likelihood.log_prob(y, logits)
    variance = jnp.mean((jax.nn.sigmoid(model(seen_x)) - seen_y) ** 2)
    squares = ((jax.nn.sigmoid(logits) - y) ** 2).reshape(len(y), -1)
    fitted = -0.5 * (squares / variance + jnp.log(2 * jnp.pi * variance)).sum(-1)
    return model.likelihood.log_prob(y, logits), fitted


class Judge:
    """Scores of trained models; everything has a leading axis of seeds.

    Args:
        preset: sizes.
        seeds: keys and images.
        models: by kind.
        probe: by name of the images.
    """

    def __init__(self, preset: Preset, seeds: Seeds, models: dict[str, Trained], probe: Trained):
        self.preset, self.seeds, self.models, self.probe = preset, seeds, models, probe
        self.tests = {name: open_test(seeds, name) for name in seeds.names}
        self.first: Test = self.tests[seeds.names[0]]
        self.keys = self.folded(10)

    def folded(self, number: int) -> jax.Array:
        """A fresh key for every seed."""
        return jax.vmap(jax.random.fold_in, (0, None))(self.seeds.keys, number)

    def seen(self, images: Array | np.ndarray, x: np.ndarray, name: str) -> np.ndarray:
        """Share of attributes that the probe sees as they are meant to be, `[seeds]`; axes of draws beside the images are one."""
        flat = images.reshape(len(images), -1, *self.first.y.shape[2:])
        logits = np.asarray(over_models(self.probe.graph, Probe.__call__, self.probe.states[name], flat))
        if np.isnan(logits).any():
            raise FloatingPointError("the probe of generated images gave NaN")
        return ((logits > 0) == (x.reshape(logits.shape) > 0.5)).mean((1, 2))

    def of_group(self, kind: str, group: str, name: str) -> dict[str, np.ndarray]:
        """Scores of one group of models with attributes; `images` are its samples and swaps."""
        test = self.tests[name]
        made = over_models(self.models[kind].graph, drawn, self.models[kind].states[group], *test, self.keys)
        return {
            "samples": self.seen(made.samples, test.x, name),
            "swaps": self.seen(made.swaps, test.x_new, name),
            "moved swaps": self.seen(made.moved_swaps, test.x_new, name),
            "mse": np.asarray(made.mse),
            "kl": np.asarray(made.kl),
            "elbo": np.asarray(made.elbo),
        }

    def of_blind(self) -> dict[str, np.ndarray]:
        """Scores of the unconditional model, whose samples are held against the attributes of the test images."""
        model, test = self.models["blind"], self.first
        nothing = np.zeros((*test.x.shape[:2], 0), np.float32)
        made = over_models(model.graph, drawn, model.states["VAE"], test.y, nothing, nothing, self.keys)
        return {"samples": self.seen(made.samples, test.x, self.seeds.names[0]), "elbo": np.asarray(made.elbo)}

    def likelihoods(self) -> dict[str, np.ndarray]:
        """`log p(y | x)` in nats, mean over some test images, and the bound of the CVAE for the same ones `[seeds, n]`."""
        n, t = self.preset.n_scored, self.models
        y, x = self.first.y[:, :n], self.first.x[:, :n]
        found = {}
        ways = {way: partial(conditional_log_likelihood, n=self.preset.draws, method=way) for way in ("importance", "prior")}
        for name, (kind, group) in {
            "CVAE": ("learned", of_beta(1)),
            "GSNN": ("mixed", "GSNN"),
            "hybrid": ("mixed", "hybrid"),
        }.items():
            for way, function in ways.items():
                values = over_models(t[kind].graph, function, t[kind].states[group], y, x, self.keys)
                found[f"{name}, {way}"] = np.asarray(values)
        found["bound"] = np.asarray(over_models(t["learned"].graph, bounds, t["learned"].states[of_beta(1)], y, x, self.keys))
        seen_y, seen_x = (np.stack([part[:1000] for part in parts]) for parts in zip(*self._train(), strict=True))
        graph, states = t["deterministic"].graph, t["deterministic"].states["deterministic"]
        given, fitted = over_models(graph, deterministic_scores, states, y, x, seen_y, seen_x)
        return found | {"deterministic": np.asarray(given), "deterministic, fitted variance": np.asarray(fitted)}

    def _train(self):
        first = self.seeds.names[0]
        for sets in self.seeds.sets:
            train = sets[first].train
            yield (train.images[:1000] / 255).astype(np.float32), train.attributes[:1000].astype(np.float32)

    def rows(self) -> np.ndarray:
        """Different sets of attributes of every seed, `[seeds, rows, a]`."""
        distinct = [np.unique(x, axis=0) for x in self.first.x]
        count = min(ROWS, *map(len, distinct))
        return np.stack(
            [rows[generator(key).permutation(len(rows))[:count]] for rows, key in zip(distinct, self.keys, strict=True)]
        )

    def temperatures(self) -> dict[str, np.ndarray]:
        """Diversity and accuracy by temperature, `[seeds, temperatures]`."""
        t, x = self.models["learned"], self.rows()
        taus = np.broadcast_to(np.float32(self.preset.temperatures), (len(x), len(self.preset.temperatures)))
        images = np.asarray(
            over_models(t.graph, at_temperatures, t.states[of_beta(self.preset.training.reference)], x, taus, self.keys)
        )
        spread = np.sqrt(images.var(axis=2).mean(axis=tuple(range(2, images.ndim - 1))))
        many = np.broadcast_to(x[:, None], (len(x), DRAWS, *x.shape[1:]))
        accuracy = [self.seen(images[:, i], many, self.seeds.names[0]) for i in range(images.shape[1])]
        return {"diversity": spread, "accuracy": np.stack(accuracy, axis=1)}

    def unseen(self) -> dict[str, np.ndarray]:
        """Accuracy of samples for held-out combinations and for the others, of the models that were not shown the former."""
        t, found = self.models["learned"], {}
        for name, wanted in (("unseen", True), ("seen", False)):
            rows = []
            for x, held, key in zip(self.first.x, self.seeds.held, self.keys, strict=True):
                those = x[held[-len(x) :] == wanted]
                rows.append(those[generator(key).integers(0, len(those), len(x))])
            x = np.stack(rows)
            found[name] = self.seen(over_models(t.graph, sample, t.states["unseen"], x, self.keys), x, self.seeds.names[0])
        return found


@shared
def cvae_study(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Models, test images and scores; arrays have a leading axis of seeds.

    Returns:
        `models` by kind, `probe`, `test` by name of the images; `scores` by group of runs; `real`, what the probe sees in real test
        images; `likelihoods`, `temperatures`, `unseen`, `told apart` by beta.
    """
    seeds = open_seeds(preset, keys)
    models, probe = train_all(preset, seeds), probes(preset, seeds)
    judge, name = Judge(preset, seeds, models, probe), seeds.names[0]
    scores = {of_beta(beta): judge.of_group("learned", of_beta(beta), name) for beta in preset.training.betas}
    scores |= {other: judge.of_group("learned", other, other) for other in seeds.names[1:]}
    scores |= {"normal prior": judge.of_group("normal", "normal prior", name), "VAE": judge.of_blind()}
    t, rows = models["learned"], judge.rows()
    return {
        "names": seeds.names,
        "models": models,
        "probe": probe,
        "test": judge.tests,
        "train": np.stack([sets[name].train.images for sets in seeds.sets]),
        "scores": scores,
        "real": {each: judge.seen(test.y, test.x, each) for each, test in judge.tests.items()},
        "likelihoods": judge.likelihoods(),
        "temperatures": judge.temperatures(),
        "unseen": judge.unseen(),
        "told apart": {
            beta: np.asarray(over_models(t.graph, told_apart, t.states[of_beta(beta)], rows, judge.keys))
            for beta in preset.training.betas
        },
    }


def probes(preset: Preset, seeds: Seeds) -> Trained:
    """A probe for every set of images and seed, trained on real training images."""
    shown = {name: [sets[name].train for sets in seeds.sets] for name in seeds.names}
    every, count = list(chain.from_iterable(shown.values())), len(seeds.keys)
    keys = jnp.concatenate([jax.vmap(jax.random.fold_in, (0, None))(seeds.keys, 5 + i) for i in range(len(shown))])
    graph, state = train_probes(
        np.stack([each.images for each in every]),
        np.stack([each.attributes for each in every]),
        preset.probe,
        preset.probe_widths,
        keys,
    )
    cut = lambda i: jax.tree.map(lambda leaf: np.asarray(leaf)[i * count : (i + 1) * count], state)  # noqa: E731
    return Trained(graph, {name: cut(i) for i, name in enumerate(shown)})
