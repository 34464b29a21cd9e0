"""The site: pages that `docs/pages.py` writes from records, READMEs and executed notebooks. Nothing is executed here."""

import re
from importlib.resources import files
from pathlib import Path

from sphinx.util.fileutil import copy_asset

project = "quire"
author = "The quire authors"
copyright = "2026, The quire authors"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
mathjax_path = "mathjax/tex-chtml.js"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "attrs_block"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_merge_streams = True
exclude_patterns = ["_build"]
suppress_warnings = ["mystnb.unknown_mime_type", "myst.header", "ref.python"]  # types of shapes such as "n dim" are no names

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
add_module_names = False
default_role = "code"
python_use_unqualified_type_names = True

html_theme = "pydata_sphinx_theme"
html_title = "quire"
html_static_path = ["_static"]
html_css_files = ["quire.css"]
html_js_files = [("gallery.js", {"defer": "defer"})]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navbar_start": ["navbar-logo"],
    "navbar_align": "left",
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "logo": {"text": "quire"},
}
html_sidebars = {"index": []}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

SECTION = re.compile(r"(Args|Arguments|Attributes|Returns|Yields|Raises|References):$")
CODE = re.compile(r"(?<!`)(`[^`]+`)(?!`)")


def as_restructured_text(app, what, name, obj, options, lines):
    """Docstrings are written as plain text: equations stand indented, bars and stars are signs of mathematics."""
    result, in_section, in_example, in_block = [], False, False, False
    for line in lines:
        in_section |= bool(SECTION.match(line))
        in_example = line.lstrip().startswith(">>>") or (in_example and bool(line.strip()))
        indented = line.startswith("    ")
        if indented and not in_section and not in_block and not in_example:
            result += ["::", ""]
        in_block = not in_section and not in_example and (indented or (in_block and not line.strip()))
        result.append(line if in_block or in_example else _escaped(line))
    lines[:] = result


def _escaped(line):
    parts = CODE.split(line)
    parts[::2] = [re.sub(r"(\||(?<=\w)_(?=\W|$))", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"``{part[1:-1]}``" for part in parts[1::2]]
    # what follows code at once, such as a plural s, is set off by a space that does not show
    parts[2::2] = [rf"\ {part}" if part[:1].isalpha() else part for part in parts[2::2]]
    return "".join(parts)


def with_short_names(app, what, name, obj, options, signature, returns):
    """Types by the names that the sources use."""
    short = [
        text and re.sub(r"(jaxlib\._jax|numpy|jax|flax\.\w+(\.\w+)*)\.(?=[A-Za-z])", "", text) for text in (signature, returns)
    ]
    return tuple(short)


def copy_mathjax(app, error):
    """Formulas are set without a network, for who reads the site as for who builds it."""
    if error is None:
        folder = Path(str(files("sphinx-mathjax-offline")))
        copy_asset(folder / "static/mathjax", Path(app.outdir) / "_static/mathjax")


def setup(app):
    """Connect the above."""
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", with_short_names)
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
