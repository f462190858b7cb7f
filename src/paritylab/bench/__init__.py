"""The benchmark: one table of figures from one run on one machine; see ``suite``."""
