"""Pages that people look at: one template family for reports, feedback and audits.

Every page is one file: no script, font, picture or style from outside, so it opens from a disk, a
mail or a learning platform. Light or dark as the reader's system says.

``render(template, **context)`` returns a page; ``write(path, page)`` puts it on the disk whole or
not at all; ``paritylab.html.figures`` draws ``curves``, ``heat_map`` and ``histogram`` as inline
SVG: the same input gives the same bytes. Whatever a context holds is escaped; only ``Markup`` made
by ``figures`` goes through as it is. Characters that no page can hold (controls, lone surrogates)
become U+FFFD.

A page is a template that extends ``base.html.j2`` and fills its blocks:

============  ==================================================================
``title``     the document's title, plain text
``heading``   what stands in the one ``<h1>``
``lead``      under it: what, when, from where; paragraphs or a ``<dl class="facts">``
``nav``       links to the sections, ``<a href="#…">``; may stay empty
``main``      the sections, ``<section aria-labelledby="…">`` with ``<h2>``
``footer``    the last line
============  ==================================================================

``macros.html.j2`` has what pages share: ``verdict(word)``, ``facts(mapping)``,
``divergences(rows)``, ``said(name, text)`` for captured output, ``figure(svg, caption)``, and
``table(caption)`` (a call block) for a table that scrolls on a phone. A table with the class
``sortable`` sorts by a click on its headings, an ``<input data-filter="table-id">`` filters its
rows; without scripts both tables stay as they are. Filters: ``points``, ``seconds``, ``sci``,
``share``, ``count``.
"""

from paritylab.html.page import render, tidy, write

__all__ = ["render", "tidy", "write"]
