import os
import socket


def run(inputs, workdir):
    home = "/run/lab"
    try:
        print("BREACH: listed", os.listdir(home), flush=True)
    except OSError as fault:
        print("list denied", fault.strerror, flush=True)
    key = "tf2-cpu-portable"
    guesses = {
        "%s/%s-%d.socket" % (home, stem, n)
        for n in range(20)
        for stem in (key, "tf2-cpu", "pytorch", key + "-torch")
    }
    with open("/proc/net/unix") as file:
        guesses |= {line.split()[7] for line in file if len(line.split()) > 7 and "/" in line}
    for path in sorted(guesses):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(0.5)
            try:
                sock.connect(path)
                print("BREACH: connected to", path, flush=True)
            except OSError as fault:
                if os.path.exists(path):
                    print("connect denied", path, fault.strerror, flush=True)
        for attempt in (
            lambda: os.unlink(path),
            lambda: os.rename(path, path + ".mine"),
            lambda: os.chmod(path, 0o777),
        ):
            try:
                attempt()
                print("BREACH: changed", path, flush=True)
            except OSError:
                pass
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(home + "/mine.socket")
        print("BREACH: bound in", home, flush=True)
    except OSError as fault:
        print("bind denied", fault.strerror, flush=True)
    return {}
