"""Encoder, projector, gate and classifier in one model, and its loss."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.layers.initialisers import he_normal
from quire.common.layers.nested import unit_rows
from quire.common.layers.norms import BatchNorm
from quire.common.layers.patch_net import PatchNet
from quire.common.layers.resnet import resnet18, resnet50
from quire.common.losses.classification import smoothed_cross_entropy
from quire.hydra.config import Network, Objective
from quire.hydra.gates import PairGate, gate_entropy, linear_like_torch
from quire.hydra.loss import contrast
from quire.hydra.methods import METHODS, Method
from quire.hydra.similarity import gated_cosine

FULL = METHODS["arbitrary + gate"][1]


class Projector(nnx.Module):
    """Linear, batch norm, ReLU, linear without bias, layer norm: from latents h to embeddings z.

    Args:
        features: length of h.
        hidden, dim: widths; the authors' 2048 and 256.
        rngs: for the initial weights.

    >>> Projector(8, 16, 4, rngs=nnx.Rngs(0))(jnp.ones((3, 8))).shape
    (3, 4)
    """

    def __init__(self, features: int, hidden: int = 2048, dim: int = 256, *, rngs: nnx.Rngs):
        self.expand = linear_like_torch(features, hidden, rngs=rngs)
        self.norm = BatchNorm(hidden)
        self.reduce = linear_like_torch(hidden, dim, use_bias=False, rngs=rngs)
        self.last_norm = nnx.LayerNorm(dim, epsilon=1e-5, rngs=rngs)

    def __call__(self, h: Float[Array, "batch features"]) -> Float[Array, "batch dim"]:
        """Embeddings."""
        return self.last_norm(self.reduce(jax.nn.relu(self.norm(self.expand(h)))))


class Terms(NamedTuple):
    """Parts of the loss, in nats: of pairs, of the classifier, of the gates (weighted)."""

    contrast: Float[Array, ""]
    classifier: Float[Array, ""]
    gates: Float[Array, ""]


class HydraModel(nnx.Module):
    """A backbone with projector, pair gate and a linear classifier of its latents.

    Args:
        backbone: images to latents h `[batch, features]`.
        features: length of h.
        num_classes: K.
        network: widths of projector and gate.
        objective: form of gate and loss.
        rngs: for the initial weights.

    Variables:
        scale_logit: with gate mode `"squared"`, the logarithm of the factor of similarities, from log 10.
        alpha: with it and `objective.alpha`, share of the ungated similarity that is taken off.
    """

    def __init__(
        self,
        backbone: nnx.Module,
        features: int,
        num_classes: int,
        network: Network,
        objective: Objective,
        *,
        rngs: nnx.Rngs,
    ):
        self.objective = objective
        self.backbone = backbone
        self.projector = Projector(features, network.projector_hidden, network.dim, rngs=rngs)
        self.classifier = linear_like_torch(features, num_classes, rngs=rngs)
        self.gate = PairGate(
            num_classes,
            network.dim,
            embed_dim=network.embed_dim,
            hidden=network.gate_hidden,
            mode=objective.pair_input,
            relaxation=objective.relaxation,
            rngs=rngs,
        )
        squared = objective.gate_mode == "squared"
        self.scale_logit = nnx.Param(jnp.asarray(math.log(10.0))) if squared else None
        self.alpha = nnx.Param(jnp.asarray(objective.alpha)) if squared and objective.alpha else None

    def __call__(self, images: Num[Array, "batch h w c"]) -> tuple[Float[Array, "batch features"], Float[Array, "batch dim"]]:
        """Latents h and embeddings z."""
        h = self.backbone(images)
        return h, self.projector(h)

    def similarities(
        self, z: Float[Array, "batch dim"], keys: Float[Array, "n dim"], gate: Float[Array, "batch dim"]
    ) -> Float[Array, "batch n"]:
        """Logits of the contrastive loss: similarities over the temperature, or times the learned scale."""
        similar = gated_cosine(z, keys, gate, self.objective.gate_mode)
        if self.scale_logit is None:
            return similar / self.objective.temperature
        if self.alpha is not None:
            similar = similar - self.alpha[...] * (unit_rows(z) @ unit_rows(keys).T)
        return jnp.exp(self.scale_logit[...]) * similar

    def terms(
        self,
        images: Num[Array, "batch h w c"],
        y1: Int[AnyArray, " batch"],
        y2: Int[AnyArray, " batch"],
        *,
        labels: Int[AnyArray, " batch"] | None = None,
        second: Num[Array, "batch h w c"] | None = None,
        method: Method = FULL,
        key: jax.Array | None = None,
    ) -> Terms:
        """The terms of the loss; their sum is what is minimised.

        Args:
            images: of a batch.
            y1, y2: class of every image, and the class that it is paired with; any numbers where all gates are open.
            labels: what the classifier is to say; y1 by default.
            second: another view of every image; its embeddings are then the keys, and nothing is its own positive.
            method: what of the model is used.
            key: noise of the gates.
        """
        h, z = self(images)
        keys = z if second is None else self(second)[1]
        closable = jnp.asarray(method.open_gate) == 0
        gate, penalty = self.gate.with_penalty(*(jnp.where(closable, y, 0) for y in (y1, y2)), key=key)
        gate = jnp.where(closable, gate, 1)
        exclude_self = method.exclude_self if second is None else 0
        logits = self.similarities(z, keys, gate)
        pairs = contrast(logits, y1, y2, y1, reduction=self.objective.reduction, exclude_self=exclude_self)
        fixed = jax.lax.stop_gradient(h)
        scores = self.classifier(fixed + method.supervised * (h - fixed))  # h, whatever share of its gradient passes
        penalty = penalty + self.objective.entropy_weight * gate_entropy(gate)
        labels = y1 if labels is None else labels
        return Terms(method.contrast * pairs, smoothed_cross_entropy(scores, jnp.asarray(labels)), method.contrast * penalty)


def _small_normal(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Normal weights with the variance of PyTorch's default, `1 / (3 fan_in)`."""
    return he_normal(key, shape, dtype) * 6**-0.5


def build_backbone(network: Network, *, rngs: nnx.Rngs) -> tuple[nnx.Module, int]:
    """The backbone of a configuration, and the length of its latents."""
    if network.backbone == "patch":
        net = PatchNet(
            network.channels,
            network.features,
            patch=network.patch,
            in_channels=network.in_channels,
            kernel_init=_small_normal,
            rngs=rngs,
        )
        return net, network.features
    if network.backbone == "resnet18":
        return resnet18(stem="cifar", in_channels=network.in_channels, rngs=rngs), 512
    return resnet50(in_channels=network.in_channels, rngs=rngs), 2048


def build_model(network: Network, objective: Objective, num_classes: int, *, rngs: nnx.Rngs) -> HydraModel:
    """The model of a configuration."""
    backbone, features = build_backbone(network, rngs=rngs)
    return HydraModel(backbone, features, num_classes, network, objective, rngs=rngs)
