import os
import subprocess


def run(inputs, workdir):
    for attempt, name in ((os.setuid, "setuid"), (os.setgid, "setgid")):
        for number in (0, 1000, 100000, os.getuid() + 1, os.getuid() - 1):
            try:
                attempt(number)
                print("BREACH: %s %d" % (name, number), flush=True)
            except OSError as fault:
                print("%s %d: %s" % (name, number, fault.strerror), flush=True)
    try:
        os.setgroups([0])
        print("BREACH: groups", flush=True)
    except OSError:
        pass
    for folder in ("/bin", "/usr/bin", "/usr/sbin", "/usr/lib", "/sbin"):
        for entry in os.scandir(folder) if os.path.isdir(folder) else ():
            if entry.is_file() and entry.stat().st_mode & 0o6000:
                try:
                    done = subprocess.run(
                        [entry.path, "-c", "id -u"] if entry.name == "su" else [entry.path],
                        stdin=subprocess.DEVNULL,
                        capture_output=True,
                        timeout=0.5,
                    )
                except (OSError, subprocess.TimeoutExpired):
                    continue
                print("ran", entry.path, done.returncode, flush=True)
                if done.stdout.strip() == b"0":
                    print("BREACH: root through", entry.path, flush=True)
    return {}
