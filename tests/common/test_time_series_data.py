"""Loaders of time series: calendars, files of every format, generated stand-ins; real data where `QUIRE_DATA` holds them."""

import numpy as np
import pytest

from quire.common.data.cases import generated_cases, read_ts, uea
from quire.common.data.m4 import generated_short_series, m4, read_m4
from quire.common.data.telemetry import anomaly_set, generated_telemetry, spacecraft
from quire.common.data.time_series import calendar_features, generated_series, long_series, read_dated_csv, windows
from quire.common.errors import DatasetCorrupt, DatasetUnavailable, UsageError


def need(quire_data, folder):
    if not (quire_data / folder).exists():
        pytest.skip(f"{folder} is not in {quire_data}")


# --- Calendars ---


def test_calendar_features(as_installed):
    dates = np.arange(np.datetime64("2016-01-01T00"), np.datetime64("2018-01-01T00"), np.timedelta64(1, "h"))
    features = calendar_features(dates, "hour")
    assert features.shape == (len(dates), 4) and features.min() == -0.5 and features.max() <= 0.5
    at = dict(zip(dates.astype(str), features, strict=True))
    assert at["2016-01-04T00"][1] == -0.5, "a Monday"
    assert at["2016-12-31T23"][3] == 0.5, "the last day of a leap year"
    assert at["2017-03-31T12"][2] == 0.5
    assert calendar_features(dates, "minute").shape[1] == 5 and calendar_features(dates, "day").shape[1] == 3
    week = calendar_features(np.array(["2016-01-01", "2017-01-02"], "datetime64[D]"), "week")[:, 1]
    assert np.allclose(week, [52 / 52 - 0.5, -0.5]), "ISO week 53 of 2015, and week 1 of 2017"
    with pytest.raises(ValueError, match="frequency is 'year'"):
        calendar_features(dates, "year")


def test_windows():
    values = np.arange(10.0)[:, None]
    assert windows(values, np.array([0, 7]), 3)[..., 0].tolist() == [[0, 1, 2], [7, 8, 9]]
    with pytest.raises(ValueError, match="starts reach 0 to 8"):
        windows(values, np.array([0, 8]), 3)


# --- Generated ---


def test_generated_sets_are_what_they_stand_in_for():
    series = generated_series()
    assert series.values.shape == (14_400, 7) and series.ends == (8640, 11_520, 14_400)
    train = series.standardised()[: series.ends[0]]
    assert np.allclose(train.mean(axis=0), 0) and np.allclose(train.std(axis=0), 1)
    assert (generated_series().values == series.values).all()

    short = generated_short_series(20)
    assert short.horizon == 48 and short.padded().shape == (20, 700) and short.padded().min() > 0

    cases = generated_cases(30)
    (x, mask), (test_x, _) = cases.padded()
    assert x.shape == test_x.shape == (30, x.shape[1], 12) and set(np.unique(mask)) == {0, 1}
    assert (x[mask == 0] == 0).all() and {len(s) for s in cases.train} <= set(range(7, 30))

    for channel in generated_telemetry(2, length=1000):
        train, test = channel.standardised()
        assert train.shape == test.shape == (1000, 12) and 100 < channel.truth.sum() < 400
        assert np.abs(train.mean(axis=0)).max() < 1e-4


# --- Files ---


def test_dates_of_every_writing():
    """Padded or not, with or without seconds, as the published files have them."""
    text = "date,OT\n1990/1/1 0:00,1\n1990/01/02 00:00:00,2\n1990-1-3T5:30,3\n1990-11-04,4\n"
    dates, columns, values = read_dated_csv(text)
    assert dates.astype(str).tolist() == [
        "1990-01-01T00:00:00",
        "1990-01-02T00:00:00",
        "1990-01-03T05:30:00",
        "1990-11-04T00:00:00",
    ]
    assert columns == ("OT",) and values.ravel().tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("text", ["", "\n", "date,a\n", "date\n2020-01-01\n"])
def test_tables_without_a_row_or_a_column(text):
    with pytest.raises(DatasetCorrupt, match="it needs a header"):
        read_dated_csv(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2020-01-01,1\n2020-01-02,2\n", "must be a header"),
        ("date,a\n1/1/2020,1\n", "'1/1/2020' is no date"),
        ("date,a\n2020-13-01,1\n", "no date or number"),
        ("date,a\n2020-01-01,1\n2020-01-02,nan\n", "row 3 of the file holds a number that is not finite"),
    ],
)
def test_tables_with_wrong_cells(text, message):
    with pytest.raises(DatasetCorrupt, match=message):
        read_dated_csv(text)


@pytest.mark.parametrize("text", ["", "V1,V2\n", "V1\nH1\n", "V1\nH1,1,,2\n", "V1\nH1,1\nH1,2\n", "V1\nH1,inf\n"])
def test_short_series_are_whole(text):
    """No series, an empty one, a gap, a name that comes twice, a number that is not finite: never closed up silently."""
    with pytest.raises(DatasetCorrupt):
        read_m4(text)


@pytest.mark.parametrize("text", ["", "@data\n", "@data\na\n", "@data\n1,2:a\n1,2:1,2:b\n", "@data\n1,nan:a\n"])
def test_cases_are_whole(text):
    with pytest.raises(DatasetCorrupt):
        read_ts(text)


def test_sizes_of_generated_sets(as_installed):
    for make in (
        lambda: generated_series(10),
        lambda: generated_series(num_channels=0),
        lambda: generated_short_series(0),
        lambda: generated_cases(0),
        lambda: generated_telemetry(1, length=100),
    ):
        with pytest.raises(ValueError, match="must be at least"):
            make()
    with pytest.raises(ValueError, match="length is 0"):
        windows(np.zeros((3, 1)), np.array([0]), 0)
    with pytest.raises(ValueError, match="1 missing"):
        calendar_features(np.array(["NaT"], "datetime64[h]"), "hour")


def test_damaged_files_are_refused():
    with pytest.raises(DatasetCorrupt, match="row 3"):
        read_dated_csv("date,a\n2020-01-01,1\n2020-01-02,1,2\n")
    with pytest.raises(DatasetCorrupt, match="no date or number"):
        read_dated_csv("date,a\n2020-01-01,x\n")
    with pytest.raises(DatasetCorrupt, match="no number"):
        read_m4("V1,V2\nH1,x\n")
    for read in (read_m4, read_dated_csv):
        with pytest.raises(DatasetCorrupt, match="no CSV file"):
            read("date,a\n2020-01-01," + 200_000 * "1")
    with pytest.raises(DatasetCorrupt, match="has no @data"):
        read_ts("1,2:3,4:a")
    with pytest.raises(DatasetCorrupt, match="case 2"):
        read_ts("@data\n1,2:3,4:a\n1,2:3:b\n")


def test_unknown_names(as_installed):
    with pytest.raises(UsageError, match=r"did you mean .*ETTh1"):
        long_series("ETTh")
    with pytest.raises(ValueError, match="group is 'Hour'"):
        m4("Hour")
    with pytest.raises(ValueError, match="name is"):
        uea("../x")
    with pytest.raises(ValueError, match="name is 'NAB'"):
        anomaly_set("NAB")


def test_sets_that_people_prepare(tmp_path, monkeypatch):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    for load, word in (
        (lambda: long_series("weather"), "long-series"),
        (lambda: m4("Daily"), "m4"),
        (lambda: uea("Heartbeat"), "uea"),
        (lambda: anomaly_set("PSM"), "anomaly-sets"),
    ):
        with pytest.raises(DatasetUnavailable, match=word):
            load()
    for folder in ("long-series", "m4", "uea/Heartbeat", "anomaly-sets"):
        (tmp_path / folder).mkdir(parents=True)
    rows = "".join(f"2020/1/{day} 0:00,{day},2\n" for day in range(1, 11))
    (tmp_path / "long-series/exchange_rate.csv").write_text("date,a,b\n" + rows)
    series = long_series("exchange_rate")
    assert series.ends == (7, 8, 10) and series.marks.shape == (10, 3)
    assert (series.standardised()[:, 1] == 0).all(), "a constant column is only centred"
    (tmp_path / "long-series/ETTm1.csv").write_text("date,a,b\n" + rows)
    with pytest.raises(DatasetCorrupt, match="at least 57600"):
        long_series("ETTm1")

    (tmp_path / "m4/Yearly-train.csv").write_text("V1,V2,V3\nY1,1,2\nY2,3,\n")
    (tmp_path / "m4/Yearly-test.csv").write_text("V1\nY1,1,2,3,4,5,6\nY2,1,2,3,4,5,6\n")
    assert m4("Yearly").padded().tolist() == [[1, 2], [0, 3]]
    (tmp_path / "m4/Yearly-test.csv").write_text("V1\nY1,1,2,3,4,5,6\n")
    with pytest.raises(DatasetCorrupt, match="same series"):
        m4("Yearly")

    for part in ("TRAIN", "TEST"):
        (tmp_path / f"uea/Heartbeat/Heartbeat_{part}.ts").write_text("@data\n1,2:3,4:b\n1,2,3:4,5,6:a\n")
    cases = uea("Heartbeat")
    assert cases.classes == ("a", "b") and cases.train_labels.tolist() == [1, 0] and cases.padded()[0][0].shape == (2, 3, 2)

    for part, shape in (("train", (9, 2)), ("test", (8, 2)), ("test_label", (8, 1))):
        np.save(tmp_path / f"anomaly-sets/PSM_{part}.npy", np.zeros(shape))
    assert anomaly_set("PSM").truth.shape == (8,)
    np.save(tmp_path / "anomaly-sets/PSM_test.npy", np.zeros((8, 3)))
    with pytest.raises(DatasetCorrupt, match="PSM: train is"):
        anomaly_set("PSM")
    np.save(tmp_path / "anomaly-sets/PSM_test.npy", np.full((8, 2), np.nan))
    with pytest.raises(DatasetCorrupt, match="not finite"):
        anomaly_set("PSM")


def test_ett(quire_data):
    need(quire_data, "ett")
    series = long_series("ETTh1")
    assert series.values.shape == (17_420, 7) and series.columns[-1] == "OT" and series.ends == (8640, 11_520, 14_400)
    assert series.marks.shape == (17_420, 4)


def test_m4_hourly(quire_data):
    need(quire_data, "m4-hourly")
    hourly = m4()
    assert len(hourly.insamples) == 414 and hourly.targets.shape == (414, 48) and hourly.frequency == 24
    assert {len(x) for x in hourly.insamples} == {700, 960}


def test_japanese_vowels(quire_data):
    need(quire_data, "uea-japanese-vowels")
    cases = uea()
    assert (len(cases.train), len(cases.test), len(cases.classes)) == (270, 370, 9)
    (x, mask), _ = cases.padded()
    assert x.shape == (270, 29, 12) and mask.sum() == sum(map(len, cases.train))


def test_spacecraft(quire_data, as_installed):
    need(quire_data, "msl-smap")
    first, second = spacecraft(("MSL/C-1", "SMAP/A-6"))
    assert first.train.shape[1] == 55 and second.test.shape[1] == 25 and first.truth.shape == (len(first.test),)
    with pytest.raises(ValueError, match="'MSL/Q-1'"):
        spacecraft(("MSL/Q-1",))
