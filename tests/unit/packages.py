"""Tiny real packages for tests, so that pip and uv do their work without a network."""

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

BACKEND = '''
import os, random, zipfile
NAME, VERSION = "{name}", "{version}"
def build_wheel(folder, config_settings=None, metadata_directory=None):
    """A wheel as careless as they come: dated now, entries in any order."""
    wheel = f"{{NAME}}-{{VERSION}}-py3-none-any.whl"
    files = {{f"{{NAME}}.py": "VALUE = 1\\n",
             f"{{NAME}}-{{VERSION}}.dist-info/METADATA":
                 f"Metadata-Version: 2.1\\nName: {{NAME}}\\nVersion: {{VERSION}}\\n",
             f"{{NAME}}-{{VERSION}}.dist-info/WHEEL":
                 "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
             f"{{NAME}}-{{VERSION}}.dist-info/RECORD": ""}}
    order = list(files)
    random.shuffle(order)
    with zipfile.ZipFile(os.path.join(folder, wheel), "w", zipfile.ZIP_DEFLATED) as out:
        for name in order:
            out.writestr(name, files[name])
    return wheel
'''


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    tag: str = "py3-none-any",
    more: Mapping[str, str] | None = None,
) -> Path:
    """Write a wheel with one module ``name`` that says its version, and ``more`` files."""
    info = f"{name}-{version}.dist-info"
    content = {
        f"{name}/__init__.py": f"VERSION = {version!r}\n",
        # Imported whenever Python starts, as setuptools' hook is: byte code may come early.
        f"{name}.pth": f"import {name}\n",
        f"{name}/tests/test_{name}.py": "def test(): pass\n",
        f"{name}/include/{name}.h": "int answer;\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: {tag}\n",
        **(more or {}),
    }
    lines = [f"{path},{_record(text)},{len(text)}" for path, text in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, text in content.items():
            wheel.writestr(zipfile.ZipInfo(member), text)
    return path


def make_sdist(folder: Path, name: str, version: str = "1.0") -> Path:
    """Write a source archive that builds itself, without any tool."""
    root = f"{name}-{version}"
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    project += f'[project]\nname = "{name}"\nversion = "{version}"\n'
    content = {
        f"{root}/PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{root}/pyproject.toml": project,
        f"{root}/backend.py": BACKEND.format(name=name, version=version),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{root}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member, text in content.items():
            info = tarfile.TarInfo(member)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def _record(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
