import os
import signal
import socket
import time

NAME = "\0paritylab-hostile"


def serve():
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    for fd in (0, 1, 2):
        os.close(fd)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(NAME)
        sock.listen()
        while True:
            caller, _ = sock.accept()
            caller.sendall(b"answers")
            caller.close()


def run(inputs, workdir):
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(NAME)
            print("BREACH: a daemon of an earlier job says", sock.recv(100), flush=True)
        except OSError:
            pass
    with open("/proc/net/unix") as file:
        if "paritylab-hostile" in file.read():
            print("BREACH: an abstract socket is left", flush=True)
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                try:
                    serve()
                finally:
                    time.sleep(100000)
            os._exit(0)
        os.wait()
    time.sleep(0.1)
    print("daemon started", flush=True)
    return {}
