"""What travels with the package beside its code: recipes of images, environments, a course's tests.

A wheel carries them in ``_shipped``; in a checkout they are the folders of the project itself.
"""

from __future__ import annotations

from pathlib import Path

_PACKED = Path(__file__).parent / "_shipped"
_CHECKOUT = Path(__file__).parents[2]


def shipped(name: str) -> Path:
    """Return a shipped folder: ``docker``, ``environments`` or ``tests/labs``."""
    packed = _PACKED / name
    return packed if packed.is_dir() else _CHECKOUT / name


def recipes(root: Path) -> Path:
    """Return the recipes of images for a project: its own ``docker/``, else those shipped."""
    own = root / "docker"
    return own if (own / "install.sh").is_file() else shipped("docker")
