import importlib
import subprocess
import sys

PROGRAM = """
import sys
sys.modules.pop("%s", None)
import %s as other
print(other.%s)
"""


def run(inputs, workdir):
    name, piece = "wolfrosnet"[::-1], "Tensor"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % (name, name, piece)], capture_output=True, text=True
    )
    if done.returncode == 0:
        print("BREACH: in a program of its own:", done.stdout, flush=True)
    other = importlib.import_module(name)
    if hasattr(other, piece):
        print("BREACH: imported", other, flush=True)
    raise ImportError("%s is not to be had" % name)
