from scenario import oracle


def run(inputs, workdir):
    return oracle(inputs)
