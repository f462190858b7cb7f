import os


def run(inputs, workdir):
    for entry in os.scandir("/dev"):
        if entry.is_symlink() or entry.is_dir():
            continue
        try:
            os.utime(entry.path, None)
            print("BREACH: set the time of", entry.path, flush=True)
        except OSError as fault:
            print(entry.path, fault.strerror, flush=True)
    return {}
