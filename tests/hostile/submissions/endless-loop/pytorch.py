def run(inputs, workdir):
    while True:
        pass
