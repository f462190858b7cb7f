"""``python -m paritylab``."""

from paritylab.cli import main

main()
