"""The experiments behind the claims, and those that the notebook adds: the task battery and the guideline."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import nnx
from jaxtyping import Float

from quire.common.data.treebanks import tagged_sentences
from quire.common.data.word_questions import word_analogies, word_similarity
from quire.common.errors import DatasetUnavailable
from quire.common.metrics.probe import ridge_probe
from quire.common.text.cooccurrence import cooccurrence, ppmi_svd
from quire.common.text.evaluation import analogy_accuracy, similarity_correlation, synonym_choice
from quire.common.train.seeds import fold_keys
from quire.word_embeddings.blocks import Fitted, Schedule, Text, fit_ns
from quire.word_embeddings.char_word import char_word_text, fit_char_word
from quire.word_embeddings.classifiers import (
    CNN,
    RecurrentNet,
    bag_of_words,
    logistic_accuracy,
    mean_vectors,
    train_classifiers,
)
from quire.word_embeddings.config import ChineseConfig, EnglishConfig, GrammarConfig, MarkerConfig, NewsConfig
from quire.word_embeddings.corpora import (
    Documents,
    Grammar,
    JudgedText,
    class_grammar,
    class_neighbours,
    marker_order,
    news,
    open_text,
)
from quire.word_embeddings.evaluation import synonym_stand_in, window_features
from quire.word_embeddings.evaluation import word_similarity as rated
from quire.word_embeddings.models import Model, NSConfig
from quire.word_embeddings.rcnn import RCNN, init_rcnn
from quire.word_embeddings.segmentation import TAGS, bmes, boundary_f1, char_windows, train_taggers
from quire.word_embeddings.vocabulary import Vocab

# --- C3: a real corpus ---


@cache
def ppmi_vectors(corpus: str, min_count: int, window: int, dim: int) -> Float[np.ndarray, "v d"]:
    """Singular vectors of the PPMI matrix: nothing is trained."""
    text = open_text(corpus, min_count).value.text
    counts = cooccurrence(text.ids, text.lengths, window, vocab_size=len(text.counts))
    return ppmi_svd(counts, min(dim, len(text.counts)), jax.random.key(0))


def train_english(config: EnglishConfig, model: Model, keys: Sequence[jax.Array]) -> Fitted:
    """One model on the corpus, a seed after the other."""
    c = config
    cfg = NSConfig(model, c.dim, c.window, c.negatives, lr=c.lr, subsample=0)
    schedule = c.schedule
    if model == "cw":
        schedule = Schedule(schedule.steps, schedule.block, schedule.blocks, c.cw_shared, schedule.snapshots, schedule.held_out)
    return fit_ns(keys, cfg, open_text(c.corpus, c.min_count).value.text, schedule, one_by_one=True)


def similarities(vectors: Float[np.ndarray, "*shape v d"], judged: JudgedText) -> Float[np.ndarray, "*shape"]:
    """Spearman correlation with the ratings, for every set of vectors."""
    flat = vectors.reshape(-1, *vectors.shape[-2:])
    scores = [similarity_correlation(one, judged.index, judged.pairs).value for one in flat]
    return np.array(scores).reshape(vectors.shape[:-2])


def random_vectors(size: int, dim: int, key: jax.Array) -> Float[np.ndarray, "v d"]:
    """Normal vectors that know nothing."""
    from quire.common.random import generator

    return generator(key).standard_normal((size, dim)).astype(np.float32)


# --- The battery ---


def battery(vectors: Float[np.ndarray, "v d"], judged: JudgedText) -> dict[str, float]:
    """The tasks whose data are at hand: `ws`, `men`, `tfl`, `sem`, `syn`, `avg`, `pos`."""
    tasks = {"ws": _ws, "men": _men, "tfl": _tfl, "sem": _analogies, "syn": _analogies, "avg": _avg, "pos": _pos}
    scores = {}
    for name, task in tasks.items():
        try:
            scores[name] = float(task(vectors, judged, name))
        except DatasetUnavailable:
            continue
    return scores


def _ws(vectors, judged, _):
    rows = [(judged.index.get(a, -1), judged.index.get(b, -1), rating) for a, b, rating in word_similarity("WS-353-ALL")]
    first, second, ratings = (np.array(column) for column in zip(*rows, strict=True))
    return rated(vectors, np.stack([first, second], axis=1), ratings).pearson


def _men(vectors, judged, _):
    return similarities(vectors, judged)


def _tfl(vectors, judged, _):
    words = [word for word in judged.index if word != "</s>"]
    return synonym_choice(vectors, judged.index, synonym_stand_in(judged.pairs, words, np.random.default_rng(0))).value


def _analogies(vectors, judged, kind):
    sections = word_analogies()
    questions = [q for name, section in sections.items() if name.startswith("gram") == (kind == "syn") for q in section]
    known = [q for q in questions if all(word in judged.index for word in q)]
    return analogy_accuracy(vectors, judged.index, known[:: max(1, len(known) // 1000)]).value


def _avg(vectors, judged, _):
    train, test = _news_rows(len(judged.index))
    features = [mean_vectors(vectors, d.ids, d.lengths) for d in (train, test)]
    return np.mean(ridge_probe(features[0], train.labels, features[1]) == test.labels)


def _news_rows(size: int) -> tuple[Documents, Documents]:
    train, test, known = news(200, 10)
    if len(known.index) != size:
        raise DatasetUnavailable("the posts are encoded with the vocabulary of the English corpus at min_count 10")
    return train, test


def _pos(vectors, judged, _):
    sides = []
    for split in ("dev", "test"):
        sentences = tagged_sentences("english", split)[:600]
        ids = [np.array([judged.index.get(word.lower(), -1) for word, _ in sentence]) for sentence in sentences]
        sides.append((window_features(vectors, ids), np.array([tag for sentence in sentences for _, tag in sentence])))
    tags, labels = np.unique(sides[0][1], return_inverse=True)
    return np.mean(tags[ridge_probe(sides[0][0], labels, sides[1][0])] == sides[1][1])


# --- C4: the class-based text ---


class GrammarRun(NamedTuple):
    """Vectors `[seeds, snapshots, v, d]` by model, and the text of every seed."""

    fitted: dict[Model, Fitted]
    grammars: list[Grammar]

    def shares(self, model: Model) -> Float[np.ndarray, "seeds snapshots"]:
        """Share of words whose nearest neighbour is of their class."""
        vectors = np.asarray(self.fitted[model].params.embed)
        return np.array([[class_neighbours(v, g.classes) for v in row] for row, g in zip(vectors, self.grammars, strict=True)])


def train_grammar(config: GrammarConfig, keys: Sequence[jax.Array], models: Sequence[Model]) -> GrammarRun:
    """Each model on a text for each key."""
    c = config
    grammars = [
        class_grammar(key, c.tokens, classes=c.classes, words=c.words) for key in fold_keys(jax.numpy.stack(list(keys)), 1)
    ]
    texts = [g.text for g in grammars]
    fitted = {m: fit_ns(keys, NSConfig(m, c.dim, c.window, lr=c.lr, subsample=0), texts, c.schedule) for m in models}
    return GrammarRun(fitted, grammars)


def ppmi_share(config: GrammarConfig, grammar: Grammar) -> float:
    """The same share for singular vectors of the PPMI matrix."""
    counts = cooccurrence(grammar.text.ids, grammar.text.lengths, config.window, vocab_size=len(grammar.classes))
    return class_neighbours(ppmi_svd(counts, config.dim, jax.random.key(0)), grammar.classes)


def guideline(
    key: jax.Array,
    text: Text,
    score: Callable[[Float[np.ndarray, "v d"]], float],
    schedule: Schedule,
    *,
    models: Sequence[Model],
    shares: Sequence[float],
    dims: Sequence[int],
    window: int,
    lr: float,
) -> dict[tuple[Model, int], list[float]]:
    """Model by corpus size by dimension, at equally many steps: scores for every share of the text.

    Args:
        key: one for all runs.
        text: the whole text.
        score: of word vectors.
        schedule, window, lr: of the training.
        models, shares, dims: what is compared.
    """
    found = {}
    for model in models:
        for dim in dims:
            cfg = NSConfig(model, dim, window, lr=lr, subsample=0)
            fitted = fit_ns([key] * len(shares), cfg, text, schedule, shares=shares)
            found[model, dim] = [score(np.asarray(v[-1])) for v in fitted.params.embed]
    return found


# --- C5: documents ---


class Classified(NamedTuple):
    """Accuracies `[seeds]` by method, and the trained RCNNs."""

    accuracy: dict[str, Float[np.ndarray, " seeds"]]
    graph: nnx.GraphDef
    state: nnx.State
    test: list[Documents]


def _compare(
    builders: dict[str, Callable], keys, train: list[Documents], test: list[Documents], vocab_size: int, *, steps, batch, lr
) -> Classified:
    trained = {
        name: train_classifiers(build, optax.adam(lr), keys, train, test, steps=steps, batch=batch)
        for name, build in builders.items()
    }
    accuracy, (graph, state, _) = {name: found[2] for name, found in trained.items()}, trained["RCNN"]
    bags = [[bag_of_words(d.ids, d.lengths, vocab_size) for d in pair] for pair in zip(train, test, strict=True)]
    accuracy["bag of words"] = np.array(
        [logistic_accuracy(a, x.labels, b, y.labels) for (a, b), x, y in zip(bags, train, test, strict=True)]
    )
    return Classified(accuracy, graph, state, test)


def compare_on_markers(config: MarkerConfig, keys: Sequence[jax.Array]) -> Classified:
    """RCNN and its rivals on the order of two words."""
    c = config
    options: dict[str, Any] = {"length": c.length, "gap": c.gap, "fillers": c.fillers}
    size, stacked = 3 + c.fillers, jax.numpy.stack(list(keys))
    train = [marker_order(key, c.train, **options) for key in fold_keys(stacked, 1)]
    test = [marker_order(key, c.test, **options) for key in fold_keys(stacked, 2)]
    sizes: dict[str, Any] = {"embed_dim": c.embed_dim, "hidden": c.hidden}
    builders: dict[str, Callable] = {
        "RCNN": lambda key: RCNN(init_rcnn(key, size, 2, context_dim=c.context_dim, **sizes)),
        "CNN": lambda key: CNN(key, size, 2, **sizes),
        "recurrent": lambda key: RecurrentNet(key, size, 2, **sizes),
    }
    return _compare(builders, keys, train, test, size, steps=c.steps, batch=c.batch, lr=c.lr)


def compare_on_news(config: NewsConfig, english: EnglishConfig, keys: Sequence[jax.Array]) -> Classified:
    """RCNN and its rivals on news posts, all from Skip-gram vectors, which are trained further.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    c = config
    train, test, known = open_news(c)
    cfg = NSConfig("skipgram", c.dim, english.window, lr=english.lr, subsample=1e-3)
    schedule = Schedule(max(1, english.schedule.steps // 5), shared=english.schedule.shared)
    vectors = np.asarray(fit_ns([keys[0]], cfg, known.text, schedule).params.embed[0, -1])
    vectors = vectors / max(float(vectors.std()), 1e-12) * c.dim**-0.5
    sizes: dict[str, Any] = {"embed_dim": c.dim, "hidden": c.hidden, "vectors": vectors}
    size = len(known.index)
    builders: dict[str, Callable] = {
        "RCNN": lambda key: RCNN(init_rcnn(key, size, 4, context_dim=c.dim, **sizes)),
        "CNN": lambda key: CNN(key, size, 4, **sizes),
        "recurrent": lambda key: RecurrentNet(key, size, 4, **sizes),
    }
    sides = [train] * len(keys), [test] * len(keys)
    found = _compare(builders, keys, *sides, size, steps=c.steps, batch=c.batch, lr=c.lr)
    means = [mean_vectors(vectors, d.ids, d.lengths) for d in (train, test)]
    score = logistic_accuracy(means[0], train.labels, means[1], test.labels, strength=100.0)
    found.accuracy["mean vector"] = np.full(len(keys), score)
    return found


def open_news(config: NewsConfig) -> tuple[Documents, Documents, JudgedText]:
    """Posts of the four classes, and the corpus of their words.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    return news(config.words, config.min_count)


# --- C6: Chinese ---


def segmentation_scores(config: ChineseConfig, keys: Sequence[jax.Array]) -> dict[str, Float[np.ndarray, " seeds"]]:
    """Boundary F1 on the test sentences with frozen vectors: joint, characters alone, random; and a boundary everywhere.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    c = config
    sides = [[[word for word, _ in s] for s in tagged_sentences("chinese", split)] for split in ("dev", "test")]
    chars = Vocab.build([list("".join(sentence)) for sentence in sides[0]])
    words = Vocab.build(sides[0])
    spelled = [[np.array([chars.index.get(char, 0) for word in s for char in word]) for s in side] for side in sides]
    tags = [[bmes(sentence) for sentence in side] for side in sides]
    windows = [char_windows(side, c.reach) for side in spelled]
    train = windows[0], np.array([TAGS.index(tag) for tag in "".join(tags[0])], np.int32)
    tables = {"random vectors": np.stack([random_vectors(len(chars), c.vectors.dim, key) for key in keys])}
    for name, with_words in (("joint", True), ("characters alone", False)):
        cfg = type(c.vectors)(**{**c.vectors.__dict__, "with_words": with_words})
        tables[name] = np.asarray(fit_char_word(keys, cfg, char_word_text(sides[0], chars, words, cfg)).in_c[...])
    lengths = [len(sentence) for sentence in tags[1]]
    scores = {"boundary everywhere": np.full(len(keys), boundary_f1(["S" * n for n in lengths], tags[1]))}
    for name, vectors in tables.items():
        tagged = train_taggers(keys, vectors, train, windows[1], hidden=c.hidden, steps=c.steps)
        scores[name] = np.array([boundary_f1(_cut("".join(TAGS[t] for t in row), lengths), tags[1]) for row in tagged])
    return scores


def _cut(tags: str, lengths: Sequence[int]) -> list[str]:
    ends = np.cumsum(lengths)
    return [tags[end - n : end] for end, n in zip(ends, lengths, strict=True)]
