def run(inputs, workdir):
    fault = None
    for _ in range(10_000):
        link = KeyError("x" * 1000)
        link.__cause__ = fault
        fault = link
    raise ValueError("giant " * ((100 << 20) // 6)) from fault
