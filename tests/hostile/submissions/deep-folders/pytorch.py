import os


def run(inputs, workdir):
    for _ in range(3000):
        os.mkdir("d")
        os.chdir("d")
    print("depth 3000", flush=True)
    return {}
