"""An encoder and a head."""

import jax
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.layers.patch_net import PatchNet
from quire.common.layers.resnet import resnet50
from quire.grassmann_class.config import Preset
from quire.grassmann_class.head import GrassmannHead, VectorHead

Images = Num[Array, "batch h w c"]


class Classifier(nnx.Module):
    """Images to features and logits.

    Args:
        preset: encoder, d and gamma.
        classes: C.
        k: dimension of the class subspaces; None for class vectors.
        rngs: for the initial weights; the encoder's do not depend on the head.
    """

    def __init__(self, preset: Preset, classes: int, k: int | None = None, *, rngs: nnx.Rngs):
        if preset.channels:
            self.encoder = PatchNet(preset.channels, preset.dim, patch=preset.patch, in_channels=preset.in_channels, rngs=rngs)
        else:
            self.encoder = resnet50(in_channels=preset.in_channels, rngs=rngs)
        options = {"gamma": preset.gamma, "rngs": rngs}
        if k is None:
            self.head = VectorHead(preset.dim, classes, **options)
        else:
            self.head = GrassmannHead(preset.dim, classes, k, **options)

    def __call__(
        self, images: Images, cosine: bool | jax.Array = False
    ) -> tuple[Float[Array, "batch dim"], Float[Array, "batch classes"]]:
        """Features and logits; `cosine` chooses between the two softmaxes of class vectors, and means nothing to subspaces."""
        features = self.encoder(images)
        return features, self.head(features) if isinstance(self.head, GrassmannHead) else self.head(features, cosine)
