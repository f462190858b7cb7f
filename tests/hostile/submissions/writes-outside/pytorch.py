import os

MINE = ("/tmp", "/dev/shm", "/dev/mqueue", "/proc/self", "/proc/thread-self")
DEVICES = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
           "/dev/ptmx", "/dev/pts/ptmx", "/dev/core", "/dev/fd", "/dev/stdin", "/dev/stdout",
           "/dev/stderr"}  # fmt: skip


def masked(path):
    """Whether it is /dev/null under another name, or the statistics that anybody may wait for."""
    return path.startswith("/proc/pressure") or os.stat(path).st_rdev == os.makedev(1, 3)


def run(inputs, workdir):
    home, tried = os.path.dirname(os.getcwd()), 0
    mine = (*MINE, home, "/proc/%d" % os.getpid())
    for folder, folders, files in os.walk("/"):
        big = folder.startswith(("/opt/venv/lib", "/usr/", "/sys/")) and folder.count("/") > 5
        folders[:] = [] if big else folders
        if folder == "/proc":
            folders[:] = [f for f in folders if not f.isdigit()]
        if folder.startswith(mine):
            continue
        tried += 1
        try:
            path = os.path.join(folder, "mine")
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
            print("BREACH: made", path, flush=True)
        except OSError:
            pass
        for name in files[:200]:
            path = os.path.join(folder, name)
            if path in DEVICES or path.startswith(mine) or os.path.islink(path) or masked(path):
                continue
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                print("BREACH: opened", path, flush=True)
            except OSError:
                pass
    for path, text in (
        ("/proc/sys/kernel/core_pattern", "|/tmp/x"),
        ("/proc/sysrq-trigger", "b"),
        ("/proc/sys/vm/drop_caches", "3"),
        ("/proc/self/oom_score_adj", "-1000"),
        ("/proc/1/oom_score_adj", "1000"),
        ("/sys/fs/cgroup/memory/release_agent", "x"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "-1"),
        ("/proc/sys/kernel/randomize_va_space", "0"),
    ):
        tried += 1
        try:
            with open(path, "w") as file:
                file.write(text)
            print("BREACH: wrote", path, flush=True)
        except OSError:
            pass
    print("tried", tried, "places", flush=True)
    return {}
