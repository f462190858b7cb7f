import os
import stat


def run(inputs, workdir):
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = (os.readlink("/proc/self/fd/" + name), os.fstat(int(name)).st_mode)
        except OSError:
            pass  # the listing's own
    others = {fd: what for fd, what in found.items() if fd > 2}
    pipes = [fd for fd, what in others.items() if stat.S_ISFIFO(what[1])]
    if len(others) == 1 == len(pipes):
        print("one pipe for the answer", flush=True)
    else:
        print("BREACH: descriptors", sorted(others.items()), flush=True)
    if found[0][0] != "/dev/null":
        print("BREACH: stdin is", found[0], flush=True)
    for fd in pipes:  # it can be written to, and not be read
        try:
            os.read(fd, 1)
            print("BREACH: read the answer's pipe", flush=True)
        except OSError:
            pass
    return {}
