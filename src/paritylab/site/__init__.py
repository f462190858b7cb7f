"""The site: the guide that the original should have been, made of labs/, docs/ and one run.

``write_tree`` writes what MkDocs reads (Markdown, one configuration) into a folder and ``build``
makes the pages of it. Nothing is typed there that the project says already: lessons, programs,
claims, environments, the command line's help and the docstrings are taken as they are, verdicts
and curves from a results.json.
"""

from paritylab.site.build import build
from paritylab.site.tree import write_tree

__all__ = ["build", "write_tree"]
