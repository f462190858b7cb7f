"""What tests ask of pages: valid, self-contained, and the same elements whatever text they hold."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

import html5lib

LOADING = ("src", "href", "srcset", "poster", "data", "action", "background")


def parsed(page: str) -> Element:
    """Return the page's tree; raises html5lib.html5parser.ParseError where it is not valid."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    tree: Element = parser.parse(page)
    return tree


def elements(page: str) -> list[str]:
    """Every element's name and its attributes' names, in document order."""
    return [
        f"{node.tag} {' '.join(sorted(map(str, node.attrib)))}"
        for node in parsed(page).iter()
        if isinstance(node.tag, str)
    ]


def text(page: str) -> str:
    """What a reader sees, style and script left out."""
    tree = parsed(page)
    for parent in list(tree.iter()):
        for child in [c for c in parent if c.tag in ("style", "script")]:
            parent.remove(child)
    for node in tree.iter():
        if node.tag in ("td", "th", "dt", "dd", "li"):
            node.tail = f" {node.tail or ''}"  # cells stand apart
    return "".join(tree.itertext())


def loads(page: str) -> list[str]:
    """What the page would fetch from somewhere else (links to its own parts are none)."""
    found = []
    for node in parsed(page).iter():
        values = [value for name, value in node.attrib.items() if str(name) in LOADING]
        found += [value for value in values if not value.startswith("#")]
        if node.tag in ("style", "link", "base", "iframe", "object", "embed"):
            found += re.findall(r"url\(.*|@import.*", node.text or "")
            found += [str(node.tag)] if node.tag != "style" else []
    return found
