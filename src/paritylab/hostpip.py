"""The host's pip, and its settings in the words of uv.

Mirrors, certificates and folders of wheels are set once, for pip; whatever fetches packages for
an environment obeys them. They never reach a file of the project.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import shutil
import sys
from collections.abc import Mapping, Sequence

from paritylab.commands import Command, run, without
from paritylab.errors import ImageError

SECTIONS = ("global", "download", "install", ":env:")
"""Sections of pip's settings that matter here; a later one wins."""


def command() -> list[str]:
    """Return how to run pip: that of this interpreter, else the one on the PATH."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip3") or shutil.which("pip")
    if found:
        return [found]
    raise ImageError("there is no pip to fetch packages with", fix=f"{sys.executable} -m ensurepip")


@functools.lru_cache
def settings() -> Mapping[str, str]:
    """Return pip's own settings by name (``find-links``), from its files and ``PIP_*``."""
    text = run(Command(argv=[*command(), "config", "list"], what="pip's settings cannot be read"))
    return parse_settings(text)


def parse_settings(text: str) -> dict[str, str]:
    """Read the output of ``pip config list``; lines of other sections are left out."""
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in found and value:
            found[section][name] = str(ast.literal_eval(value))
    return {name: value for section in SECTIONS for name, value in found[section].items()}


def uv_flags(pip: Mapping[str, str]) -> list[str]:
    """Return the settings that uv takes as arguments only."""
    return ["--no-index"] if pip.get("no-index", "").lower() in ("1", "true", "yes", "on") else []


def uv_environment(pip: Mapping[str, str], extra_indexes: Sequence[str] = ()) -> dict[str, str]:
    """Return this process's environment with pip's settings translated for uv.

    pip's own extra indexes are in it only as far as ``extra_indexes`` names them.
    Variables, not arguments: an index address may hold a password, and arguments are public.
    """
    environment = without("UV_")
    translated = {
        "UV_DEFAULT_INDEX": pip.get("index-url", ""),
        "UV_EXTRA_INDEX_URL": " ".join(extra_indexes),
        "UV_FIND_LINKS": ",".join(pip.get("find-links", "").split()),
        "UV_INSECURE_HOST": " ".join(pip.get("trusted-host", "").split()),
        "SSL_CERT_FILE": pip.get("cert", ""),
        "HTTPS_PROXY": pip.get("proxy", ""),
        "HTTP_PROXY": pip.get("proxy", ""),
        "UV_HTTP_TIMEOUT": pip.get("default-timeout", pip.get("timeout", "")),
        # pip takes the best version of all indexes; so must uv, or the two would disagree.
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_NO_CONFIG": "1",
    }
    return {**environment, **{name: value for name, value in translated.items() if value}}
