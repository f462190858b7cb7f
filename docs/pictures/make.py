"""Make the README's pictures again: `nox -s pictures -- results.json`.

What a terminal shows, as SVG: the matrix of a run, and the doctor's look at this machine.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from paritylab import report
from paritylab.results import read

HERE = Path(__file__).parent
# Rich's own picture asks a font from the network; the reader's monospaced one will do.
FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
FONT = re.compile(r"Fira Code")


def picture(console: Console, name: str, title: str) -> None:
    """Write what the console recorded."""
    drawn = console.export_svg(title=title, unique_id=name)
    plain = FONT.sub("DejaVu Sans Mono, Menlo, Consolas", FONT_FACE.sub("", drawn))
    (HERE / f"{name}.svg").write_text(plain, encoding="utf-8")


def main(results: Path) -> None:
    """Draw the matrix of a run, then the doctor."""
    console = Console(record=True, width=172, file=sys.stderr, force_terminal=True)
    console.print(report.summary(read(results).cells))
    picture(console, "matrix", "paritylab run")
    console = Console(record=True, width=100, file=sys.stderr, force_terminal=True)
    doctor = subprocess.run(
        [sys.executable, "-m", "paritylab", "doctor"],
        capture_output=True,
        text=True,
        check=False,
        # A terminal of a known width, whoever draws it.
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "FORCE_COLOR": "1", "COLUMNS": "100"},
    )
    console.print(Text.from_ansi(doctor.stdout))
    picture(console, "doctor", "paritylab doctor")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("results", type=Path, help="what `paritylab run --results` wrote")
    main(arguments.parse_args().results)
