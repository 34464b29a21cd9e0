"""Checks a built site: every link, picture and anchor inside it exists.

python docs/check_links.py .build/site
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Links, pictures and anchors of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Remember where a tag leads and what leads to it."""
        values = dict(attrs)
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        self.targets += [values[name] for name in ("href", "src") if values.get(name)]


def broken(site: Path) -> list[str]:
    """Links of a site that lead nowhere, as `page: target`."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    found = []
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            file = file / "index.html" if file.is_dir() else file
            known = pages.get(site.resolve() / file.relative_to(site.resolve())) if file.is_relative_to(site.resolve()) else None
            lost_anchor = known is not None and parts.fragment and unquote(parts.fragment) not in known.anchors
            if not file.exists() or lost_anchor:
                found.append(f"{path.relative_to(site)}: {target}")
    return found


if __name__ == "__main__":
    root = Path(sys.argv[1]).resolve()
    if missing := broken(root):
        sys.exit("\n".join(["links that lead nowhere:", *missing]))
    print(f"links of {len(list(root.rglob('*.html')))} pages are in order")
