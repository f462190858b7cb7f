import os
import sys
import threading
import time


def stay(code=0):
    print("not leaving", code, os.getuid(), flush=True)


def speak():
    import gc

    while True:  # whatever stream of the session still lives in this process
        for thing in gc.get_objects():
            if type(thing).__name__ == "Session" and hasattr(thing, "connection"):
                try:
                    thing.connection.sendall(b"PLAB")
                    os.write(2, b"BREACH: spoke for the session\n")
                except OSError:
                    pass
        time.sleep(0.2)


def run(inputs, workdir):
    os._exit = stay
    sys.exit = stay
    threading.Thread(target=speak).start()
    return {}
