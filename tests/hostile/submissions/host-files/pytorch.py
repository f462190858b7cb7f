import os
import stat


def run(inputs, workdir):
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file if ":" in line)
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        if int(lines[name], 16):
            print("BREACH:", name, lines[name], flush=True)
    print("capabilities", lines["CapEff"].strip(), flush=True)
    if lines["NoNewPrivs"].strip() != "1" or lines["Seccomp"].strip() != "2":
        print("BREACH: no filter", flush=True)
    for path in (
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/.dockerinit",
        "/host",
        "/run/containerd/containerd.sock",
        "/etc/shadow",
        os.path.expanduser("~root/.bashrc"),
        os.path.join("/proc/1", "root", "etc"),
        "/proc/kcore",
        "/dev/mem",
        "/dev/kmem",
        "/dev/sda",
        "/dev/vda",
        "/dev/kmsg",
        "/proc/kmsg",
        "/sys/kernel/debug",
        "/sys/firmware/efi",
        "/proc/sched_debug",
    ):
        try:
            if os.path.isdir(path):
                if os.listdir(path):
                    print("BREACH: listed", path, flush=True)
            else:
                with open(path, "rb") as file:
                    if file.read(1):
                        print("BREACH: read", path, flush=True)
        except OSError:
            pass
    for entry in os.scandir("/dev"):
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISBLK(mode):
            print("BREACH: block device", entry.path, flush=True)
    for kind, name in ((stat.S_IFCHR, "c"), (stat.S_IFBLK, "b")):
        try:
            os.mknod(str(workdir / name), kind | 0o666, os.makedev(1, 1))
            print("BREACH: made a device", flush=True)
        except OSError as fault:
            print("mknod:", fault.strerror, flush=True)
    return {}
