import itertools
import os


def run(inputs, workdir):
    print("begun", flush=True)
    for number in itertools.count():
        for folder in (str(workdir), "/tmp", "/dev/shm"):
            try:
                os.close(os.open("%s/%d" % (folder, number), os.O_CREAT | os.O_WRONLY))
            except OSError:
                pass
