"""TimesNet and its heads: one backbone for forecasting, imputation, reconstruction and classification (section 3.2)."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.layers.dropout import dropout
from quire.common.layers.initialisers import linear
from quire.common.layers.intermediates import capture, sow
from quire.common.layers.series import SeriesEmbedding, normalise_windows
from quire.common.layers.timesnet import InceptionForm, SeriesBlock, TimesBlock, inception_sizes
from quire.common.metrics.similarity import linear_cka


@dataclass(frozen=True)
class TimesNetConfig:
    """Sizes of a model; the defaults are those of ETTh1.

    Attributes:
        seq_len: steps that the model reads.
        pred_len: steps that it forecasts; 0 for the other tasks.
        channels: of the series.
        dim: D, channels between the blocks.
        hidden_dim: channels inside of a block (d_ff).
        num_layers: blocks.
        top_k: k, periods of a block.
        num_kernels, form: kernels of an inception, and whether square or factorised.
        mark_dim: calendar features; 0 for none.
        num_classes: of the classifier.
        dropout: of the embedding.
        folded: False for the ablation, blocks along time with as many weights.

    Raises:
        ValueError: for a size out of its range, or another form.
    """

    seq_len: int
    channels: int
    pred_len: int = 0
    dim: int = 16
    hidden_dim: int = 32
    num_layers: int = 2
    top_k: int = 5
    num_kernels: int = 6
    form: InceptionForm = "square"
    mark_dim: int = 0
    num_classes: int = 0
    dropout: float = 0.1
    folded: bool = True

    def __post_init__(self):
        if self.seq_len < 2 or self.pred_len < 0:
            raise ValueError(f"seq_len is {self.seq_len} and pred_len {self.pred_len}; they must be at least 2 and 0")
        length = self.seq_len + self.pred_len
        if not 1 <= self.top_k <= length // 2:
            raise ValueError(f"top_k is {self.top_k}; {length} steps have between 1 and {length // 2} periods")
        for name in ("channels", "dim", "hidden_dim", "num_layers"):
            check_at_least(name, getattr(self, name))
        for name in ("mark_dim", "num_classes"):
            check_at_least(name, getattr(self, name), 0)
        inception_sizes(self.num_kernels, self.form)  # which refuses what it does not know
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must lie in [0, 1)")


class TimesNet(nnx.Module):
    """The backbone: embedding, then blocks, each followed by one and the same LayerNorm. Sows `features` of every layer."""

    def __init__(self, config: TimesNetConfig, *, rngs: nnx.Rngs):
        c = config
        self.embedding = SeriesEmbedding(c.channels, c.dim, mark_dim=c.mark_dim, dropout=c.dropout, rngs=rngs)
        self.blocks = nnx.List([_block(c, rngs) for _ in range(c.num_layers)])
        self.norm = nnx.LayerNorm(c.dim, epsilon=1e-5, use_fast_variance=False, rngs=rngs)

    def embed(
        self, x: Float[Array, "b t c"], marks: Float[Array, "b t f"] | None = None, key: jax.Array | None = None
    ) -> Float[Array, "b t dim"]:
        """Embedded series; a key turns dropout on."""
        return self.embedding(x, marks, key)

    def __call__(self, h: Float[Array, "b t dim"]) -> Float[Array, "b t dim"]:
        """The blocks."""
        sow(self, "features", h)
        for block in self.blocks:
            h = self.norm(block(h))
            sow(self, "features", h)
        return h


def _block(c: TimesNetConfig, rngs: nnx.Rngs) -> nnx.Module:
    if not c.folded:
        return SeriesBlock(c.dim, c.hidden_dim, num_kernels=c.num_kernels, rngs=rngs)
    return TimesBlock(c.dim, c.hidden_dim, top_k=c.top_k, num_kernels=c.num_kernels, form=c.form, rngs=rngs)


class Forecaster(nnx.Module):
    """Long- and short-term forecasts: a linear map over time extends the embedded window, the blocks see past and future.

    Args:
        config: with `pred_len` at least 1.
        rngs: for the initial weights.
    """

    def __init__(self, config: TimesNetConfig, *, rngs: nnx.Rngs):
        if config.pred_len < 1:
            raise ValueError(f"pred_len is {config.pred_len}; a forecaster needs at least 1")
        self.seq_len, self.pred_len = config.seq_len, config.pred_len
        self.backbone = TimesNet(config, rngs=rngs)
        self.extend = linear(config.seq_len, config.seq_len + config.pred_len, rngs=rngs)
        self.project = linear(config.dim, config.channels, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b t c"], marks: Float[Array, "b t f"] | None = None, key: jax.Array | None = None
    ) -> Float[Array, "b p c"]:
        """Forecast of the steps after x, in the units of x.

        Args:
            x: windows `[b, seq_len, c]`.
            marks: calendar features of their steps.
            key: turns dropout on.

        Raises:
            ValueError: if the windows have another length, or channels or marks do not fit.
        """
        if x.shape[1] != self.seq_len:
            raise ValueError(f"x has {x.shape[1]} steps; this forecaster reads {self.seq_len}")
        x, scale = normalise_windows(x)
        h = self.extend(self.backbone.embed(x, marks, key).mT).mT
        return scale.undo(self.project(self.backbone(h))[:, -self.pred_len :])


class Imputer(nnx.Module):
    """Fills what is missing: windows are normalised by what was observed of them."""

    def __init__(self, config: TimesNetConfig, *, rngs: nnx.Rngs):
        self.backbone = TimesNet(config, rngs=rngs)
        self.project = linear(config.dim, config.channels, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "b t c"],
        mask: Float[Array, "b t c"],
        marks: Float[Array, "b t f"] | None = None,
        key: jax.Array | None = None,
    ) -> Float[Array, "b t c"]:
        """Every entry, observed or not.

        Args:
            x: windows; entries that are missing are ignored.
            mask: 1 where observed, 0 where missing.
            marks: calendar features.
            key: turns dropout on.

        Raises:
            ValueError: if `mask` has another shape than x.
        """
        if mask.shape != x.shape:
            raise ValueError(f"mask has shape {mask.shape}; it must have that of x, {x.shape}")
        x, scale = normalise_windows(jnp.where(mask > 0, x, 0), mask)
        return scale.undo(self.project(self.backbone(self.backbone.embed(x, marks, key))))


class Reconstructor(nnx.Module):
    """Writes a window again; where it fails, something is unusual."""

    def __init__(self, config: TimesNetConfig, *, rngs: nnx.Rngs):
        self.backbone = TimesNet(config, rngs=rngs)
        self.project = linear(config.dim, config.channels, rngs=rngs)

    def __call__(self, x: Float[Array, "b t c"], key: jax.Array | None = None) -> Float[Array, "b t c"]:
        """The windows, reconstructed; a key turns dropout on."""
        x, scale = normalise_windows(x)
        return scale.undo(self.project(self.backbone(self.backbone.embed(x, None, key))))


def anomaly_score(x: Float[Array, "b t c"], reconstruction: Float[Array, "b t c"]) -> Float[Array, "b t"]:
    """Squared error of every step, averaged over channels.

    Raises:
        ValueError: if the shapes differ.
    """
    if x.shape != reconstruction.shape:
        raise ValueError(f"x has shape {x.shape} and reconstruction {reconstruction.shape}; they must be the same")
    return jnp.mean((x - reconstruction) ** 2, axis=-1)


class Classifier(nnx.Module):
    """Class of a padded series: all features of all steps that are not padding, through one linear map.

    Args:
        config: with `num_classes` at least 2; `seq_len` is the padded length.
        rngs: for the initial weights.
    """

    def __init__(self, config: TimesNetConfig, *, rngs: nnx.Rngs):
        if config.num_classes < 2:
            raise ValueError(f"num_classes is {config.num_classes}; a classifier needs at least 2")
        self.seq_len, self.dropout = config.seq_len, config.dropout
        self.backbone = TimesNet(config, rngs=rngs)
        self.project = linear(config.seq_len * config.dim, config.num_classes, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b t c"], padding_mask: Float[Array, "b t"], key: jax.Array | None = None
    ) -> Float[Array, "b classes"]:
        """Logits.

        Args:
            x: standardised series, padded to `seq_len`.
            padding_mask: 1 for steps of the series, 0 for padding.
            key: turns dropout on.

        Raises:
            ValueError: for another length, or a mask of another shape.
        """
        if x.shape[1] != self.seq_len or padding_mask.shape != x.shape[:2]:
            raise ValueError(
                f"x has {x.shape[1]} steps and padding_mask shape {padding_mask.shape}; "
                f"this classifier needs {self.seq_len} steps and a mask {(x.shape[0], self.seq_len)}"
            )
        first, second = (None, None) if key is None else jax.random.split(key)
        h = jax.nn.gelu(self.backbone(self.backbone.embed(x, None, first)), approximate=False)
        h = dropout(h, self.dropout, second) * padding_mask[..., None]
        return self.project(h.reshape(h.shape[0], -1))


def representation_cka(model: nnx.Module, *inputs: Array) -> Float[Array, ""]:
    """Similarity of the first and the last block's features, `linear_cka` over all steps of the batch (section 4.7, figure 6).

    Low where a task needs layers that differ (imputation, anomaly detection in the paper), high where it does not (forecasting).
    With a single block, the features before it stand for the first.
    """
    features = capture(model, *inputs)[1]["backbone"]["features"]
    first, last = (jnp.asarray(features[place]) for place in (min(1, len(features) - 2), -1))
    return linear_cka(first.reshape(-1, first.shape[-1]), last.reshape(-1, last.shape[-1]))
