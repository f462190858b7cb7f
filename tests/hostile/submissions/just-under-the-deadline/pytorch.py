import time


def run(inputs, workdir):
    time.sleep(3.2)
    print("awake", flush=True)
    return {}
