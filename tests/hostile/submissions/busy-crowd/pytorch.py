import os


def run(inputs, workdir):
    for attempt in (lambda: os.nice(-40), lambda: os.setpriority(os.PRIO_PROCESS, 0, -20)):
        try:
            attempt()
            if os.nice(0) < 0:
                print("BREACH: priority", os.nice(0), flush=True)
        except OSError as fault:
            print("denied:", fault.strerror, flush=True)
    for policy in (os.SCHED_FIFO, os.SCHED_RR):
        try:
            os.sched_setscheduler(0, policy, os.sched_param(50))
            print("BREACH: real time", flush=True)
        except OSError as fault:
            print("denied:", fault.strerror, flush=True)
    for _ in range(200):
        try:
            if os.fork() == 0:
                break
        except OSError:
            break
    while True:
        pass
