def run(inputs, workdir):
    hoard = []
    while True:
        hoard.append(bytearray(16 << 20))
