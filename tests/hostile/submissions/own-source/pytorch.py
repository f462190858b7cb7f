import os
import py_compile
import sys


def run(inputs, workdir):
    here = os.path.dirname(os.path.abspath(__file__))
    for attempt in (
        lambda: open(__file__, "w"),
        lambda: os.chmod(here, 0o777),
        lambda: os.chmod(__file__, 0o777),
        lambda: os.rename(here, here + "-mine"),
        lambda: os.mkdir(here + "/__pycache__"),
        lambda: os.unlink(__file__),
        lambda: os.symlink(str(workdir), here + "/torch"),
    ):
        try:
            attempt()
            print("BREACH: changed", here, flush=True)
        except OSError as fault:
            print("rewrite denied:", fault.strerror, flush=True)
    (workdir / "torch.py").write_text("print('BREACH: imported the planted module', flush=True)\n")
    compiled = py_compile.compile(str(workdir / "torch.py"))
    for folder in {
        os.path.dirname(m.__file__)
        for m in list(sys.modules.values())
        if os.path.isabs(getattr(m, "__file__", None) or "")
    }:
        target = os.path.join(folder, "__pycache__", os.path.basename(compiled))
        try:
            os.replace(compiled, target)
            print("BREACH: planted", target, flush=True)
        except OSError:
            pass
    return {}
