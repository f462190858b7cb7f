import os
import select


def run(inputs, workdir):
    hoard = []
    try:
        while True:
            hoard.append(os.open("/dev/null", os.O_RDONLY))
            hoard.append(select.epoll())
    except OSError:
        for one in hoard[-40:]:
            one.close() if hasattr(one, "close") else os.close(one)
        print("too many after", len(hoard), flush=True)
    return {}
