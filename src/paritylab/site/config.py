"""The configuration of MkDocs, as plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SCHEMES = (
    ("(prefers-color-scheme: light)", "default", "material/weather-night", "dark"),
    ("(prefers-color-scheme: dark)", "slate", "material/weather-sunny", "light"),
)
FEATURES = (
    "content.code.copy",
    "content.tabs.link",
    "navigation.indexes",
    "navigation.tabs",
    "navigation.top",
    "search.highlight",
    "toc.follow",
)
EXTENSIONS: tuple[str | dict[str, Any], ...] = (
    "admonition",
    "attr_list",
    "tables",
    {"toc": {"permalink": True, "permalink_title": "Link to this section"}},
    {"pymdownx.highlight": {"anchor_linenums": True}},
    "pymdownx.superfences",
    {"pymdownx.tabbed": {"alternate_style": True}},
)


def config(name: str, description: str, nav: list[Any], packages: Path) -> dict[str, Any]:
    """Return mkdocs.yml for a site called ``name``; docstrings are read below ``packages``.

    Nothing is asked from anywhere: no font, script, tracker or inventory of another site.
    """
    palette = [
        {
            "media": media,
            "scheme": scheme,
            "primary": "indigo",
            "accent": "indigo",
            "toggle": {"icon": icon, "name": f"Switch to {other} mode"},
        }
        for media, scheme, icon, other in SCHEMES
    ]
    return {
        "site_name": name,
        "site_description": description,
        "docs_dir": "docs",
        "theme": {
            "name": "material",
            "font": False,
            "palette": palette,
            "features": list(FEATURES),
        },
        "plugins": ["search", "offline", {"mkdocstrings": _docstrings(packages)}],
        "markdown_extensions": list(EXTENSIONS),
        "extra_css": ["assets/site.css"],
        "extra_javascript": ["assets/site.js"],
        # Search in pages opened from a disk: what `offline` would otherwise take from a CDN.
        "extra": {"generator": False, "polyfills": ["assets/iframe-worker.js"]},
        # The comparisons are led to by their labs; a list of them would be the labs once more.
        "not_in_nav": "/labs/*-line-by-line.md",
        "validation": {"links": {"anchors": "warn", "absolute_links": "warn"}},
        "strict": True,
        "nav": nav,
    }


def _docstrings(packages: Path) -> dict[str, Any]:
    options = {
        "docstring_style": "google",
        "show_source": False,
        "show_root_heading": True,
        "show_root_full_path": True,
        "heading_level": 2,
        "members_order": "source",
        "show_if_no_docstring": False,
        "show_signature_annotations": True,
        "separate_signature": True,
        "signature_crossrefs": False,
        "filters": ["!^_"],
    }
    return {"handlers": {"python": {"paths": [str(packages)], "options": options}}}
