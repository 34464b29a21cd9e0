"""The method and what it is compared with: which classes make pairs, and what of the model is used."""

from typing import Any, NamedTuple

from quire.hydra.pairing import Pairing


class Method(NamedTuple):
    """Numbers 0 or 1, or arrays of them, so that methods side by side are one program.

    Attributes:
        open_gate: all gates are ones.
        contrast: weight of the contrastive loss.
        supervised: share of the classifier's gradient that reaches the backbone.
        exclude_self: a sample is no positive of its own.
    """

    open_gate: Any = 0.0
    contrast: Any = 1.0
    supervised: Any = 0.0
    exclude_self: Any = 0.0


OPEN = Method(open_gate=1.0)

METHODS: dict[str, tuple[Pairing | None, Method]] = {
    "arbitrary + gate": ("arbitrary", Method()),
    "arbitrary + open": ("arbitrary", OPEN),
    "identical + open": ("identical", OPEN),
    "distinct + gate": ("distinct", Method()),
    "SimCLR": (None, Method(open_gate=1.0, exclude_self=1.0)),
    "cross-entropy": ("identical", Method(open_gate=1.0, contrast=0.0, supervised=1.0)),
}
"""Pairing and switches by name. `arbitrary + gate` is the paper's, `identical + open` a supervised contrastive loss.

Without a pairing, two views of an image are its pair and classes are unknown: SimCLR's loss is that of identical pairs with one
class for each image, without self-similarity.
"""

COMPARED = ("arbitrary + gate", "arbitrary + open", "identical + open")
"""Methods that are trained for every seed."""
