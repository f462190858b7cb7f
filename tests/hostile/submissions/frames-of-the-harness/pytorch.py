import gc
import sys

WORDS = ("expected", "oracle", "answers", "tolerance", "rtol", "atol")


def run(inputs, workdir):
    frame, names = sys._getframe(), set()
    while frame:
        names |= {str(key) for key in frame.f_locals}
        for value in list(frame.f_locals.values()):
            if hasattr(value, "__dict__"):
                names |= {str(key) for key in vars(value)}
        frame = frame.f_back
    count = 0
    for thing in gc.get_objects(0) + gc.get_objects(1) + gc.get_objects(2):
        count += 1
        if type(thing).__module__.startswith("paritylab"):
            names |= {str(key) for key in getattr(thing, "__dict__", {})}
    found = sorted(name for name in names if name in WORDS)
    if found:
        print("BREACH: found", found, flush=True)
    modules = [n for n in sys.modules if n.startswith(("paritylab.", "scenario", "pydantic"))]
    if modules:
        print("BREACH: modules", modules, flush=True)
    print("searched", count, "objects", flush=True)
    return {}
