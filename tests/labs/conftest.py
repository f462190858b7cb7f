"""Hooks of the parity matrix, for `pytest tests/labs`."""

from paritylab.pytest_plugin import (  # noqa: F401
    pytest_addoption,
    pytest_collection_finish,
    pytest_configure,
    pytest_configure_node,
    pytest_pycollect_makeitem,
    pytest_report_teststatus,
    pytest_runtest_makereport,
    pytest_sessionfinish,
    pytest_sessionstart,
    pytest_terminal_summary,
    pytest_unconfigure,
)
