"""Which width scalings of a neural network learn features, and their exact infinite-width limits.

Yang and Hu, *Feature Learning in Infinite-Width Neural Networks* (Tensor Programs IV), ICML 2021, arXiv 2011.14522. Authors'
code: edwardjhu/TP4. The layers that other papers can use, muP optimisers included, are in `quire.common.mup`.
"""

from quire.common.mup import (
    ABC,
    ABCMLP,
    Readout,
    TensorProgram,
    coord_check,
    gauss_hermite,
    gaussian_particles,
    mup_adam,
    mup_sgd,
    readout,
    relu_gp,
    relu_ntk,
    train_abc,
    width_shapes,
)
from quire.infinite_width import benchmark, claims
from quire.infinite_width.deep import DeepLimit, chain_limit, deep_limit, deep_linear_limit
from quire.infinite_width.kernel_regime import KernelMachine, kernel_logits, kernel_machine, kernel_meta_train, predict, sgd_step
from quire.infinite_width.maml import (
    LinearNet,
    TaskBatch,
    adapt,
    finite_net,
    linear_limit,
    meta_gradient,
    meta_train,
    net_output,
)
from quire.infinite_width.one_hidden_layer import NeuronLaw, feature_kernel, mup_limit, neuron_law, output
from quire.infinite_width.paper import paper
from quire.infinite_width.word2vec import (
    Embeddings,
    cbow_event,
    cbow_step,
    gram,
    held_out_loss,
    initial_embeddings,
    train_cbow,
    train_kernel,
)

__all__ = [
    "ABC", "ABCMLP", "DeepLimit", "Embeddings", "KernelMachine", "LinearNet", "NeuronLaw", "Readout", "TaskBatch",
    "TensorProgram", "adapt", "benchmark", "cbow_event", "cbow_step", "chain_limit", "claims", "coord_check", "deep_limit",
    "deep_linear_limit", "feature_kernel", "finite_net", "gauss_hermite", "gaussian_particles", "gram", "held_out_loss",
    "initial_embeddings", "kernel_logits", "kernel_machine", "kernel_meta_train", "linear_limit", "meta_gradient",
    "meta_train", "mup_adam", "mup_limit", "mup_sgd", "net_output", "neuron_law", "output", "paper", "predict", "readout",
    "relu_gp", "relu_ntk", "sgd_step", "train_abc", "train_cbow", "train_kernel", "width_shapes",
]  # fmt: skip
