"""The examples of the READMEs print what their comments say."""

import io
import re
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
EXAMPLES = [
    pytest.param(block, id=f"{path.relative_to(ROOT)}-{number}")
    for path in (ROOT / "README.md", ROOT / "common/README.md", *sorted(ROOT.glob("papers/*/README.md")))
    for number, block in enumerate(BLOCK.findall(path.read_text(encoding="utf-8")))
]


def comments(source):
    """Comments at the end of a line of code by line number, and those with a line of their own below the last line of code."""
    beside, below = {}, []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and token.line.strip().startswith("#"):
            below.append(token.string[1:].strip())
        elif token.type == tokenize.COMMENT:
            beside[token.start[0]] = token.string[1:].strip()
        elif token.type not in (tokenize.NL, tokenize.NEWLINE, tokenize.DEDENT, tokenize.ENDMARKER):
            below.clear()
    return beside, below


def run(source):
    """Lines that an example prints, each with the number of the line that printed it."""
    printed = []

    def record(*values):
        printed.append((sys._getframe(1).f_lineno, " ".join(map(str, values))))

    exec(compile(source, "README.md", "exec"), {"print": record, "__name__": "example"})
    return printed


def disagreements(source):
    """What was printed and is not what the comment beside it, or below the example, says; words after `: ` or `, ` explain."""
    beside, below = comments(source)
    wrong = []
    for line, text in run(source):
        said = beside[line] if line in beside else below.pop(0) if below else "nothing"
        if said != text and not said.startswith((f"{text}: ", f"{text}, ")):
            wrong.append(f"line {line} prints {text}, the README says {said}")
    return wrong + [f"the README says {said}, nothing prints it" for said in below]


@pytest.mark.parametrize("source", EXAMPLES)
def test_an_example_prints_what_its_comments_say(source, as_installed):
    assert disagreements(source) == []


def test_a_wrong_comment_is_found():
    assert disagreements("print(1 + 1)  # 2\nprint(3)  # 3: three\nfor i in (1, 2):\n    print(i)\n# 1\n# 2\n") == []
    assert disagreements("print(1 + 1)  # 3\n") == ["line 1 prints 2, the README says 3"]
    assert disagreements("print(1)  # 12\n") == ["line 1 prints 1, the README says 12"]
    assert disagreements("x = 1\n# 1\n") == ["the README says 1, nothing prints it"]
