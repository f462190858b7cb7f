import mmap


def run(inputs, workdir):
    print("mapping", flush=True)
    hoard = []
    while True:
        pages = mmap.mmap(-1, 64 << 20)
        for offset in range(0, 64 << 20, 4096):
            pages[offset] = 1
        hoard.append(pages)
