import os


def run(inputs, workdir):
    os.makedirs("/tmp/aside-%d/deep" % os.getuid(), exist_ok=True)
    os.mkfifo(str(workdir / "fifo"))
    os.symlink("/", str(workdir / "root"))
    os.symlink("loop", str(workdir / "loop"))
    os.rename(str(workdir), str(workdir) + "-moved")
    os.symlink("/opt/venv", str(workdir))
    print("swapped", flush=True)
    return {}
