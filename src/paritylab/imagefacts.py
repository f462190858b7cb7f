"""What everything of ours on a Docker engine has in common: a label for its kind, one place."""

from __future__ import annotations

KIND = "paritylab.kind"
"""The label that tells what an image, container or volume of ours is."""
VENV = "/opt/venv"
"""Where images have their virtual environment; docker/Dockerfile and install.sh say so, too."""
PYTHON = f"{VENV}/bin/python"
