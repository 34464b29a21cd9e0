"""The site: links that lead nowhere are found, cards say what filters read, docstrings become what Sphinx reads."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.packaging


def load(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / f"docs/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages():
    return load("pages")


def test_links_pictures_and_anchors_that_lead_nowhere_are_named(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">x</h1><a href="deep/a.html#here">a</a><a href="#top"></a><a href="https://x.y/z"></a>'
    )
    (tmp_path / "deep/a.html").write_text(
        '<p id="here"><a href="../index.html#none"></a><img src="lost.png"><a href=".."></a></p>'
    )
    assert load("check_links").broken(tmp_path) == ["deep/a.html: ../index.html#none", "deep/a.html: lost.png"]


def test_every_paper_has_a_picture(pages):
    for slug, record in pages.read_records(ROOT).items():
        assert next(pages.Entry(slug, record).pictures()).width > 100, slug


def test_a_card_carries_what_the_filters_read(pages):
    entry = pages.Entry("timesnet", pages.read_records(ROOT)["timesnet"])
    card = pages.card(entry)
    assert 'data-areas="time series"' in card and "wu, hu, liu" in card and 'href="papers/timesnet.html"' in card
    assert ("not reproduced" in card.split('data-verdicts="')[1].split('"')[0]) == bool(entry.verdicts()["not reproduced"])


def test_a_page_tells_what_failed_and_how_to_install(pages):
    page = pages.paper_page(pages.Entry("sheaf_recsys", pages.read_records(ROOT)["sheaf_recsys"]))
    assert "pip install quire-sheaf-recsys" in page and "<!-- claims -->" not in page
    assert "../notebooks/sheaf_recsys.ipynb" in page and "autoclass:: quire.sheaf_recsys." in page
    assert "](../" not in page.replace("](../notebooks", "")


def test_docstrings_become_restructured_text():
    lines = ["Length `|x|` of `x`s, or |y|.", "", "    |x|^2 = x x", "", "Args:", "    x_: a vector.", "", ">>> a | b", "c_"]
    load("conf").as_restructured_text(None, "function", "f", None, None, lines)
    assert lines[0] == r"Length ``|x|`` of ``x``\ s, or \|y\|."
    assert lines[2:4] == ["::", ""] and lines[4] == "    |x|^2 = x x"
    assert lines[-4:] == [r"    x\_: a vector.", "", ">>> a | b", "c_"]
