"""Cells on many machines, by way of Dask distributed.

This machine computes inputs and verdicts, and alone writes journals and reports; Dask's workers
run jobs in engines of their own (``site``) and answer with plain bytes (``messages``). What they
need of a project travels with the run (``kits``); ``desk`` hands jobs out, again where a host has
gone, and counts each answer once.
"""
