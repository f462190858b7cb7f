import os


def run(inputs, workdir):
    mine = os.getuid()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    for pid in pids:
        try:
            with open("/proc/%d/status" % pid) as file:
                lines = dict(line.split(":", 1) for line in file if ":" in line)
        except OSError:
            continue
        uid = int(lines["Uid"].split()[0])
        if uid >= 1000 and uid != mine:
            print("BREACH: a job of", uid, lines["Name"].strip(), flush=True)
        if pid == os.getpid():
            continue
        for link in ("cwd", "root", "exe"):
            try:
                print("BREACH:", pid, link, os.readlink("/proc/%d/%s" % (pid, link)), flush=True)
            except OSError:
                pass
    for folder in ("/tmp", "/dev/shm", "/dev/mqueue", os.path.dirname(os.getcwd())):
        for entry in os.scandir(folder) if os.path.isdir(folder) else ():
            if entry.stat(follow_symlinks=False).st_uid not in (0, mine):
                print("BREACH: left there", entry.path, flush=True)
    print("looked at", len(pids), "processes", flush=True)
    return {}
