"""The version of every package stands in `pyproject.toml` of the root: this says where another one stands, or sets it.

python ci/version.py          # exit code 1 if a package differs
python ci/version.py 0.2.0    # into the root, every package, and what papers ask of quire-common
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERSION = re.compile(r'^version = "(.+)"$', re.MULTILINE)
NEEDS_COMMON = re.compile(r'(?<!name = )"quire-common(\[\w+\])?[^"\[]*"')


def current() -> str:
    """Version that the root states."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def with_version(text: str, version: str) -> str:
    """Text of a `pyproject.toml` with this version, and with papers asking for a compatible quire-common.

    >>> print(with_version('version = "0.1.0"\\ndependencies = ["quire-common", "quire-common[images]~=0.1.0"]', "0.2.0"))
    version = "0.2.0"
    dependencies = ["quire-common~=0.2.0", "quire-common[images]~=0.2.0"]
    """
    return NEEDS_COMMON.sub(rf'"quire-common\1~={version}"', VERSION.sub(f'version = "{version}"', text, count=1))


def main(arguments: list[str]) -> int:
    """Set the version that is given, or name the packages that have another one than the root."""
    if arguments and not re.fullmatch(r"\d+\.\d+\.\d+", arguments[0]):
        sys.exit(f"{arguments[0]!r} is no version; it must be three numbers, such as 0.2.0")
    version = arguments[0] if arguments else current()
    wrong = []
    for path in [ROOT / "pyproject.toml", ROOT / "common/pyproject.toml", *sorted(ROOT.glob("papers/*/pyproject.toml"))]:
        text = path.read_text(encoding="utf-8")
        if with_version(text, version) != text:
            wrong.append(path)
            if arguments:
                path.write_text(with_version(text, version), encoding="utf-8")
    if wrong and not arguments:
        names = ", ".join(str(path.relative_to(ROOT)) for path in wrong)
        print(f"{names}: not at {version}; `python ci/version.py {version}` sets it")
    return int(bool(wrong) and not arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
