"""Claims: criteria, verdicts, registry, shared runs, records, tables."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.claims import (
    Measurement,
    Paper,
    Scorecard,
    above,
    all_of,
    at_least,
    at_most,
    beats,
    below,
    close_to,
    confidence_interval,
    every_seed,
    log_log_slope,
    on_average,
    run,
    shared,
    slope_above,
    slope_below,
    slope_close_to,
)
from quire.common.claims.display import RECORD_TYPE, html_table, markdown_table, terminal_table
from quire.common.errors import DatasetUnavailable, UsageError


def paper():
    return Paper(
        slug="toy",
        title="A toy",
        authors="A. Author",
        year=2024,
        venue="Venue",
        arxiv="0000.00000",
        area="toys",
        presets={"quick": 1, "standard": 2, "paper": 3},
    )


def samples(*values, **extras):
    return [Measurement(v, "toy data", baselines={"trivial": 1.0}, extras=extras) for v in values]


# --- Criteria ---


@pytest.mark.parametrize(
    ("criterion", "values", "verdict"),
    [
        (below(2.0), (1.0, 1.1, 0.9), "reproduced"),
        (below(2.0), (1.0, 1.0, 3.5), "partly"),  # the mean is below, the interval reaches across
        (below(2.0), (2.5, 2.6, 2.4), "not reproduced"),
        (below(2.0), (1.0, math.nan, 1.0), "not reproduced"),
        (below(1.0), (1.0,), "not reproduced"),
        (at_most(1.0), (1.0,), "reproduced"),
        (above(1.0), (1.0,), "not reproduced"),
        (at_least(1.0), (1.0,), "reproduced"),
        (every_seed(below(2.0)), (1.0, 1.0, 3.5), "partly"),
        (every_seed(below(2.0)), (1.0, 1.0, 1.9), "reproduced"),
        (every_seed(below(2.0)), (3.0, 4.0), "not reproduced"),
        (on_average(below(2.0)), (1.0, 1.0, 3.5), "reproduced"),
        (on_average(below(2.0)), (3.0, 1.5), "not reproduced"),
        (beats("trivial"), (1.58, 1.6), "reproduced"),
        (beats("trivial", by=1.0), (1.5, 1.6), "not reproduced"),
        (on_average(beats("trivial", by=-0.5)), (0.7, 0.8), "reproduced"),
        (beats("trivial", lower_is_better=True), (0.55, 0.6), "reproduced"),
        (beats("trivial", by=0.5, lower_is_better=True), (0.6, 0.6), "not reproduced"),
        (on_average(close_to(1.0, rtol=0.1)), (1.05, 0.95), "reproduced"),
        (close_to(1.0, atol=0.1), (1.2, 1.2), "not reproduced"),
        (all_of(below(2.0), above(0.0)), (1.0, 1.1), "reproduced"),
        (all_of(below(2.0), above(5.0)), (1.0, 1.1), "partly"),
        (all_of(below(0.5), above(5.0)), (1.0, 1.1), "not reproduced"),
    ],
)
def test_verdicts(criterion, values, verdict):
    assert criterion.judge(samples(*values)).verdict == verdict


def test_criteria_read_extras_and_series():
    n = [2.0, 4.0, 8.0]
    measurement = Measurement(0.0, "d", extras={"ratio": 0.2}, series={"time": (n, [x**2 for x in n])})
    assert below(0.3, of="ratio").judge([measurement]).verdict == "reproduced"
    assert slope_below(2.1, of="time").judge([measurement]).verdict == "reproduced"
    assert slope_above(2.1, of="time").judge([measurement]).verdict == "not reproduced"
    assert slope_close_to(2.0, atol=0.01, of="time").judge([measurement]).verdict == "reproduced"
    with pytest.raises(ValueError, match="no baseline or extra is called 'rate'"):
        below(0.3, of="rate").judge([measurement])
    with pytest.raises(ValueError, match="no series is called"):
        slope_below(1.0, of="flops").judge([measurement])


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        (below(1.3), "value < 1.3"),
        (every_seed(above(0.5, of="accuracy")), "accuracy > 0.5 in every seed"),
        (on_average(beats("ViT", by=-0.02)), "value ≥ ViT - 0.02 on average"),
        (beats("unigram", by=1.0, lower_is_better=True), "value ≤ unigram - 1"),
        (all_of(below(2), slope_below(1.25, of="time")), "value < 2; log-log slope of time ≤ 1.25"),
    ],
)
def test_criteria_print_themselves(criterion, words):
    assert str(criterion) == words


def test_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [low < 0 < high for _, (low, high) in (confidence_interval(rng.normal(size=3)) for _ in range(2000))]
    assert abs(np.mean(covered) - 0.95) < 0.015


def test_slope_needs_positive_points():
    with pytest.raises(ValueError, match="positive"):
        log_log_slope([1, 2], [0, 1])
    with pytest.raises(ValueError, match="at least 2"):
        log_log_slope([1], [1])
    with pytest.raises(ValueError, match="tolerance"):
        close_to(1.0)


# --- Registry ---

ARGS = {"says": "It works.", "source": "Table 1", "metric": "accuracy", "holds": above(0.5)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no trivial baseline"),
        ({"trivial": "majority", "expect": "not reproduced"}, "say why"),
        ({"trivial": "majority", "seeds": 0}, "at least 1"),
    ],
)
def test_registry_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        paper().claim("C1", **ARGS, **options)


def test_registry_refuses_twins_bad_slugs_and_missing_presets():
    toy = paper()
    toy.claim("C1", **ARGS, exact=True)(lambda preset, key: Measurement(1.0, "d"))
    with pytest.raises(ValueError, match="C1 already"):
        toy.claim("C1", **ARGS, exact=True)(lambda preset, key: Measurement(1.0, "d"))
    fields = {"title": "", "authors": "", "year": 1, "venue": "", "arxiv": "", "area": ""}
    with pytest.raises(ValueError, match="lower-case"):
        Paper(slug="Not-a-slug", presets={"quick": 1, "standard": 1, "paper": 1}, **fields)
    with pytest.raises(ValueError, match="lack"):
        Paper(slug="toy", presets={"quick": 1}, **fields)


def test_promised_trivial_baseline_must_be_measured():
    toy = paper()
    toy.claim("C1", **ARGS, trivial="majority")(lambda preset, key: Measurement(1.0, "d", baselines={"other": 0.0}))
    with pytest.raises(ValueError, match="promises the trivial baseline 'majority'"):
        run(toy)


# --- Runs ---


def with_claims(value=0.9, expect="reproduced"):
    toy = paper()
    calls = []

    @shared
    def train(preset, keys):
        calls.append(len(keys))
        return {"noise": jax.vmap(lambda k: 0.01 * jax.random.normal(k))(keys)}

    def measure(preset, key):
        return Measurement(value + float(train(preset, key)["noise"]), "toy data", baselines={"majority": 0.5})

    because = "" if expect == "reproduced" else "it is a toy"
    toy.claim("C1", **ARGS, trivial="majority", expect=expect, because=because)(measure)
    toy.claim("C2", **ARGS, trivial="majority", seeds=3)(measure)
    return toy, calls


def test_run_judges_shares_and_records(tmp_path):
    toy, calls = with_claims()
    record = run(toy, out=tmp_path)
    assert calls == [3]  # six measurements, one training run with the seeds of both claims
    assert record.as_expected
    written = json.loads((tmp_path / "toy.quick.json").read_text())
    assert written["paper"] == "toy"
    assert [c["verdict"] for c in written["claims"]] == ["reproduced", "reproduced"]
    claim = written["claims"][0]
    assert len(claim["values"]) == 3
    assert len(set(claim["values"])) == 3
    assert claim["baselines"] == {"majority": [0.5] * 3}
    assert {"id", "says", "verdict", "expected", "values", "baselines", "data", "criterion", "interval"} <= set(claim)
    assert {"versions", "hardware", "wall_seconds", "fingerprint", "parts", "preset"} <= set(written)
    assert run(toy).as_json()["claims"][0]["values"] == claim["values"]  # the same seeds give the same numbers


@pytest.mark.parametrize(
    ("value", "expect", "as_expected"),
    [(0.9, "reproduced", True), (0.1, "reproduced", False), (0.9, "not reproduced", False), (0.1, "not reproduced", True)],
)
def test_an_outcome_that_changes_in_either_direction_is_seen(value, expect, as_expected):
    toy, _ = with_claims(value, expect)
    record = run(toy, claims=["c1"])
    assert record.as_expected is as_expected
    if as_expected:
        Scorecard(record).check()
    else:
        with pytest.raises(AssertionError, match="C1"):
            Scorecard(record).check()


def test_an_identity_that_fails_once_fails():
    toy = paper()
    toy.claim("C1", **(ARGS | {"holds": every_seed(below(0.5))}), exact=True)(
        lambda preset, key: Measurement(float(jax.random.key_data(key)[1]), "d")
    )
    assert run(toy).results[0].verdict == "not reproduced"


def test_missing_data_is_not_tested():
    toy = paper()

    def measure(preset, key):
        raise DatasetUnavailable("data set big is not here")

    toy.claim("C1", **ARGS, trivial="majority")(measure)
    record = run(toy)
    assert record.results[0].verdict == "not tested"
    assert record.untested == ["C1"]
    assert "big" in record.as_json()["claims"][0]["why"]


def test_resume_keeps_what_was_measured_with_the_same_sources(tmp_path):
    toy, _ = with_claims()
    run(toy, claims=["C1"], out=tmp_path)
    toy, _ = with_claims()
    record = run(toy, out=tmp_path, resume=True)
    assert [r.claim.id for r in record.results] == ["C2"]
    assert [e["id"] for e in record.entries()] == ["C1", "C2"]
    path = tmp_path / "toy.quick.json"
    path.write_text(path.read_text().replace('"fingerprint": "', '"fingerprint": "x'))
    assert len(run(toy, out=tmp_path, resume=True).results) == 2
    path.write_text("{")
    with pytest.raises(UsageError, match="not a record that can be resumed"):
        run(toy, out=tmp_path, resume=True)


def test_wrong_names():
    toy, _ = with_claims()
    with pytest.raises(UsageError, match="did you mean quick"):
        run(toy, "quik")
    with pytest.raises(UsageError, match="no claim 'C9'"):
        run(toy, claims=["C9"])
    with pytest.raises(UsageError, match="seeds is 0"):
        run(toy, seeds=0)
    with pytest.raises(UsageError, match="no paper is called"):
        run("nothing_like_it")


def test_tables_show_verdict_baseline_and_stand_in():
    toy = paper()
    toy.claim("C1", **ARGS, trivial="majority")(
        lambda preset, key: Measurement(0.9, "toy <data>", baselines={"majority": 0.5}, stand_in_for="real data")
    )
    toy.claim("C2", **(ARGS | {"holds": below(jnp.inf)}), exact=True)(lambda preset, key: Measurement(math.nan, "d"))
    record = run(toy).as_json()
    assert json.dumps(record, allow_nan=False)
    html = html_table(record)
    assert "toy &lt;data&gt; (stands in for real data)" in html
    assert "majority 0.5 (trivial)" in html
    assert "✓ reproduced" in html
    assert "expected reproduced" in html
    assert "| C1 |" in markdown_table(record)
    assert terminal_table(record).row_count == 2
    assert "2 claims: 1 reproduced, 1 not reproduced" in Scorecard(run(toy))._repr_html_()


def by_clock(value):
    toy, _ = with_claims()
    order = []

    def measure(preset, key):
        order.append("T")
        return Measurement(value, "d", baselines={"majority": 0.5})

    toy.claim("T1", **ARGS, trivial="majority", seeds=1, timed=True)(measure)
    toy.claim("C3", **ARGS, exact=True, seeds=1)(lambda preset, key: (order.append("C3"), Measurement(0.9, "d"))[1])
    return toy, order


def test_claims_by_the_clock_come_last_and_keep_their_place_in_the_table():
    toy, order = by_clock(0.9)
    record = run(toy, claims=["T1", "C3"])
    assert order == ["C3", "T"]
    assert [(entry["id"], entry["timed"]) for entry in record.entries()] == [("T1", True), ("C3", False)]
    assert "accuracy, 1 seed, by the clock" in markdown_table(record.as_json())


def test_a_surprise_by_the_clock_is_said_and_does_not_fail_the_notebook(capsys):
    record = run(by_clock(0.1)[0], claims=["T1", "C3"])
    Scorecard(record).check()
    assert "T1 not reproduced, expected reproduced" in capsys.readouterr().out
    assert not record.as_expected  # the record does say so


@pytest.mark.parametrize(
    ("values", "holds", "decided"),
    [
        ((0.4, 0.9, 0.1), on_average(above(0.5)), False),  # a mean of margins of -.03, an interval from -1.04 to .97
        ((0.1, 0.2, 0.15), on_average(above(0.5)), True),
        ((0.4, 0.9, 0.1), all_of(on_average(above(0.5)), on_average(above(0.2))), False),
        ((0.4, 0.9, 0.1), every_seed(above(0.5)), True),
        ((0.4, 0.9, 0.1), all_of(on_average(above(0.5)), every_seed(above(0.0))), True),
        ((0.4, 0.9, 0.1), above(0.5), True),
        ((0.4,), on_average(above(0.5)), True),
    ],
)
def test_a_mean_that_the_seeds_leave_level_is_said_and_does_not_fail_the_notebook(capsys, values, holds, decided):
    toy, _ = with_claims()
    left = list(values)
    toy.claim("L", **(ARGS | {"holds": holds, "seeds": len(values)}), trivial="majority")(
        lambda preset, key: Measurement(left.pop(), "d", baselines={"majority": 0.0})
    )
    scorecard = Scorecard(run(toy, claims=["L"]))
    if decided:
        with pytest.raises(AssertionError, match=r"L (partly|not reproduced), expected reproduced"):
            scorecard.check()
    else:
        scorecard.check()
        said = capsys.readouterr().out
        assert said.startswith("not decided by this run: L ")
        assert "reproduced, expected reproduced (its interval over seeds holds zero)" in said or "partly, expected" in said
    assert not scorecard.record.as_expected


def test_the_scorecard_carries_the_record():
    record = run(with_claims()[0])
    shown = Scorecard(record)._repr_mimebundle_()
    assert shown[RECORD_TYPE] == record.as_json()
    assert json.loads(json.dumps(shown))["text/html"].startswith("2 claims")


def test_no_measurement_is_no_verdict():
    for criterion in (every_seed(above(0.0)), on_average(above(0.0)), above(0.0)):
        with pytest.raises(ValueError, match="samples is empty"):
            criterion.judge([])


def test_a_slope_needs_different_sizes():
    with pytest.raises(ValueError, match="x is 2 at all 3 points"):
        log_log_slope([2, 2, 2], [1, 3, 9])
