import os
import signal


def run(inputs, workdir):
    seen = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    for pid in sorted({1, 2, os.getppid(), *seen, *range(1, 200)} - {os.getpid()}):
        for number in (signal.SIGSTOP, signal.SIGKILL):
            try:
                os.kill(pid, number)
                print("BREACH: signalled", pid, flush=True)
            except PermissionError:
                print("denied:", pid, number, flush=True)
            except ProcessLookupError:
                pass
    return {}
