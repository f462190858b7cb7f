import os

NAMES = {"scenario.py", "expected.json", "lab.toml", "journal.sqlite", "grades.csv", "submissions"}
HERE = os.path.dirname(os.path.abspath(__file__))


def run(inputs, workdir):
    print("searching", flush=True)
    own = {"/proc", "/sys", "/opt/venv/lib", "/usr/lib", "/usr/share", "/opt/py37"}
    for folder, folders, files in os.walk("/"):
        folders[:] = [f for f in folders if os.path.join(folder, f) not in own]
        for name in files:
            path = os.path.join(folder, name)
            if name in NAMES or (name in ("pytorch.py", "tf2.py") and folder != HERE):
                print("BREACH: found", path, flush=True)
    for top in ("/opt/venv/lib/python3.11/site-packages", "/usr/lib/python3"):
        for name in os.listdir(top) if os.path.isdir(top) else ():
            if "paritylab" in name:
                print("BREACH: found", name, flush=True)
    print("searched", flush=True)
    return {}
