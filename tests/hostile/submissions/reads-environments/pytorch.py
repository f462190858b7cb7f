import os

WORDS = ("SEED", "TOKEN", "SECRET", "EXPECTED", "ORACLE", "STUDENT", "JOURNAL", "KEY=")
KNOWN = ("PYTHONHASHSEED=0",)


def run(inputs, workdir):
    print("own environment has", len(os.environ), "names", flush=True)
    blobs = {"self": "\0".join("%s=%s" % pair for pair in os.environ.items())}
    for name in filter(str.isdigit, os.listdir("/proc")):
        for part in ("environ", "cmdline"):
            try:
                with open("/proc/%s/%s" % (name, part), "rb") as file:
                    text = file.read().decode("utf-8", "replace")
            except OSError:
                continue
            if part == "environ" and int(name) != os.getpid():
                print("BREACH: environment of", name, flush=True)
            blobs[name + part] = text
    for where, text in blobs.items():
        for line in text.split("\0"):
            if line not in KNOWN and len(line) < 300 and any(w in line.upper() for w in WORDS):
                print("BREACH:", where, line, flush=True)
    return {}
