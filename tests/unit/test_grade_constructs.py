"""constructs: what a program uses, told from its syntax tree through aliases and look-ups."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paritylab.grade.constructs import checks, inspect
from paritylab.grade.names import uses
from paritylab.grade.parsing import SOURCE_CAP, UnreadableError, parse
from paritylab.rubric import Constructs

RULES = Constructs(
    require=("tf.function",), forbid=("torch", "numpy.linalg", "scenario"), points=2.0
)
USES_FUNCTION = {
    "decorator": "import tensorflow as tf\n@tf.function\ndef f(): pass",
    "called decorator": "import tensorflow as tf\n@tf.function(jit_compile=True)\ndef f(): pass",
    "plain import": "import tensorflow\ng = tensorflow.function(f)",
    "another alias": "import tensorflow as abc\ng = abc.function(f)",
    "from import": "from tensorflow import function\n@function\ndef f(): pass",
    "from import as": "from tensorflow import function as once\n@once\ndef f(): pass",
    "compat layer": "import tensorflow.compat.v1 as tf\ng = tf.function(f)",
    "compat layer, from": "from tensorflow.compat import v1 as tf\ng = tf.function(f)",
    "alias of an alias": "import tensorflow as tf\na = tf\nb = a\ng = b.function(f)",
    "assigned": "import tensorflow as tf\ntrace = tf.function\n@trace\ndef f(): pass",
    "tuple": "import tensorflow as tf\na, trace = 1, tf.function\n@trace\ndef f(): pass",
    "walrus": "import tensorflow as tf\nif (t := tf.function):\n    t(f)",
    "getattr": "import tensorflow as tf\ng = getattr(tf, 'function')(f)",
    "star": "from tensorflow import *\n@function\ndef f(): pass",
    "method": "import tensorflow as tf\nclass A:\n    @tf.function\n    def f(self): pass",
}
USES_NOT = {
    "nothing": "",
    "only imported": "from tensorflow import function",
    "only said": "'tf.function'",
    "a comment": "# @tf.function",
    "another function": "import tensorflow as tf\ntf.functions(f)",
    "a local name": "def function(f): return f\n@function\ndef g(): pass",
    "another module's": "import jax as tf\n@tf.function\ndef f(): pass",
    "a parameter": "def f(tf):\n    return tf.function",
}
FORBIDDEN = {
    "import": ("import torch", "imports `torch`"),
    "submodule": ("import torch.nn.functional as F", "imports `torch.nn.functional`"),
    "inside a function": ("def f():\n    import torch", "line 2: imports `torch`"),
    "from": ("from torch import nn", "`torch`"),
    "numpy.linalg by attribute": ("import numpy as np\nnp.linalg.norm(3)", "`numpy.linalg`"),
    "numpy.linalg by from": ("from numpy import linalg as la\nla.norm(3)", "`numpy.linalg`"),
    "a name of it": ("from numpy.linalg import norm\nnorm(3)", "`numpy.linalg`"),
    "__import__": ("t = __import__('torch')", "`torch`"),
    "importlib": ("import importlib\nimportlib.import_module('torch.nn')", "`torch`"),
    "importlib by from": ("from importlib import import_module as i\ni('torch')", "`torch`"),
    "added literals": ("__import__('tor' + 'ch')", "`torch`"),
    "sys.modules": ("import sys\nsys.modules['torch'].zeros(2)", "`torch`"),
    "getattr chain": ("import numpy\ngetattr(numpy, 'linalg').norm(2)", "`numpy.linalg`"),
    "vars": ("import numpy\nvars(numpy)['linalg'].norm(2)", "`numpy.linalg`"),
    "__dict__": ("import numpy\nnumpy.__dict__['linalg'].norm(2)", "`numpy.linalg`"),
    "exec of a literal": ("exec('import torch')", "line 1: imports `torch`"),
    "relative": ("from . import scenario", "imports `scenario`"),
    "the oracle": ("from scenario import oracle", "imports `scenario`"),
}
ALLOWED = {
    "torchvision is not torch": "import torchvision",
    "a variable": "scenario = 3\nscenario + 1",
    "a parameter": "def f(scenario):\n    return scenario.x",
    "an attribute": "inputs.torch",
    "a string": "x = 'import torch'",
    "another linalg": "import tensorflow as tf\ntf.linalg.matvec(a, b)",
}
WORST = {
    "unary": "-" * SOURCE_CAP,
    "not": "not " * (SOURCE_CAP // 4),
    "brackets": "(" * SOURCE_CAP,
    "attributes": "a" + ".b" * (SOURCE_CAP // 2 - 1),
    "calls": "a" + "()" * (SOURCE_CAP // 2 - 1),
    "look-ups": "a" + "[0]" * (SOURCE_CAP // 3 - 1),
    "look-ups in look-ups": "a" + '()["k"]' * 200,
    "sum": "1" + "+1" * (SOURCE_CAP // 2 - 1),
    "power": "1" + "**1" * (SOURCE_CAP // 3 - 1),
    "lambda": "lambda:" * (SOURCE_CAP // 7),
    "elif": "if a:\n pass\n" + "elif a:\n pass\n" * (SOURCE_CAP // 16),
    "blocks": "".join(" " * i + "if a:\n" for i in range(500)),
    "f-strings": "f'" + "{f'" * 1000,
    "aliases": "".join(f"a{i}=a{i + 1}.b\n" for i in range(7_000)),
    "assigned to itself": "a=a.b\n" * 20_000,
    "NUL": "a\0b",
    "surrogate": "'\ud800'",
    "digits": "9" * SOURCE_CAP,
    "too long": " " * (SOURCE_CAP + 1),
}


@pytest.mark.parametrize("source", USES_FUNCTION.values(), ids=USES_FUNCTION)
def test_a_required_construct_is_seen_however_it_was_imported(source: str) -> None:
    """Style-free: any way to write it counts."""
    (_, line) = inspect(source, RULES).required[0]
    assert line


@pytest.mark.parametrize("source", USES_NOT.values(), ids=USES_NOT)
def test_a_required_construct_must_be_used(source: str) -> None:
    """An import, a comment or a string is no use."""
    assert inspect(source, RULES).required == (("tf.function", None),)


@pytest.mark.parametrize(("source", "told"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_forbidden_construct_is_named_with_its_line(source: str, told: str) -> None:
    """The sentence says what was used and where."""
    (sentence,) = inspect(source, RULES).forbidden
    assert told in sentence
    assert "line " in sentence


@pytest.mark.parametrize("source", ALLOWED.values(), ids=ALLOWED)
def test_names_that_only_look_alike_are_allowed(source: str) -> None:
    """Nobody loses a point to a variable's name."""
    assert inspect(source, RULES).forbidden == ()


def test_checks_share_the_points_of_what_is_required() -> None:
    """Two of two required names are worth what one of one is."""
    rules = Constructs(require=("tf.function", "tf.Variable"), forbid=("torch",), points=3.0)
    source = "import tensorflow as tf, torch\ntf.Variable(1)"
    missing, used, forbidden = checks("tf2", inspect(source, rules), rules)
    assert (missing.points, missing.earned, missing.verdict) == (1.5, 0.0, "missing")
    assert (used.points, used.earned, used.words) == (1.5, 1.5, "line 2 uses `tf.Variable`")
    assert (forbidden.points, forbidden.verdict) == (0.0, "forbidden")
    assert forbidden.id == "tf2: must not use torch"


def test_a_source_that_is_no_python_is_told_with_its_line() -> None:
    """A syntax error is the student's, not the grader's."""
    assert "line 2" in inspect("x = 1\nx ==== 2", RULES).fault


@pytest.mark.parametrize("source", WORST.values(), ids=WORST)
def test_the_worst_sources_are_read_or_refused(source: str) -> None:
    """Deep, long or broken: a sentence or an answer, never anything else."""
    found = inspect(source, RULES)
    assert found.fault or found.required


def test_the_parser_survives_the_worst_in_a_process_of_its_own() -> None:
    """CPython's stack guard holds at our size cap: a crash would end this child by a signal."""
    program = (
        "import sys, threading; sys.path[:0] = sys.argv[1:]\n"
        "from test_grade_constructs import *\n"
        "def run():\n"
        "    for source in WORST.values():\n"
        "        try: parse(source)\n"
        "        except UnreadableError: pass\n"
        "thread = threading.Thread(target=run); thread.start(); thread.join(); run()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(__file__).rpartition("/")[0]],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]


@settings(max_examples=200)
@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda b: b.decode("latin-1")))
def test_any_text_is_read_or_refused(source: str) -> None:
    """No text of a student raises anything."""
    inspect(source, RULES)


NAME = st.from_regex(r"[a-z]{1,3}", fullmatch=True)


@settings(max_examples=200)
@given(NAME, st.lists(NAME, max_size=4), st.booleans())
def test_aliases_never_hide_a_use(alias: str, chain: list[str], lookup: bool) -> None:
    """However often a module gets another name, its function is found."""
    names = [f"m_{alias}", *(f"{name}_{i}" for i, name in enumerate(chain))]
    lines = [f"import tensorflow as {names[0]}"]
    lines += [f"{new} = {old}" for old, new in pairwise(names)]
    last = f"getattr({names[-1]}, 'function')" if lookup else f"{names[-1]}.function"
    lines.append(f"traced = {last}(f)")
    assert inspect("\n".join(lines), RULES).required[0][1] == len(lines)


def test_the_order_of_uses_is_that_of_the_lines() -> None:
    """The first line is the one that is told."""
    found = uses(parse("import os\nos.path.join(a)\nos.getcwd()"))
    assert [use.line for use in found] == sorted(use.line for use in found)


def test_the_size_is_bounded_before_anything_is_parsed() -> None:
    """A gigabyte of spaces costs nothing."""
    with pytest.raises(UnreadableError, match="longer than 128 KiB"):
        parse(" " * (SOURCE_CAP + 1))
