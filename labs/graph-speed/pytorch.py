"""Speed, define-by-run: the same function as it is, traced, compiled."""

import os
import shutil
import time

import numpy as np
import torch

NETS, WAYS = ["guide", "deep", "wide"], ["eager", "jit.trace", "compile"]


# Network: matrices and biases, cut from one vector
def network(sizes, parameters):
    parts, start = [], 0
    for rows, columns in zip(sizes, sizes[1:]):
        middle, end = start + rows * columns, start + (rows + 1) * columns
        layer = torch.nn.Linear(int(rows), int(columns))
        w = parameters[start:middle].reshape(rows, columns).T
        layer.weight.copy_(torch.tensor(w))  # [columns, rows]
        layer.bias.copy_(torch.tensor(parameters[middle:end]))  # [columns]
        parts += [layer, torch.nn.ReLU()]
        start = end
    return torch.nn.Sequential(*parts[:-1])  # [n, 10] -> [n, 1]


# Ways: Python drives the first; the others have left Python behind
# BEGIN SOLUTION
def build(inputs, name, compiler):
    net = network(inputs[name + "_sizes"], inputs[name + "_parameters"])
    x = torch.tensor(inputs[name + "_x"])
    ways = [net, torch.jit.trace(net, x)]
    if compiler:
        ways.append(torch.compile(net))
    return ways, x


# END SOLUTION


# Timing: warmed up, in turn, so that a slow moment hits every way
def clock(ways, x, calls, repeats):
    # A GPU computes behind Python's back: wait for it
    wait = torch.cuda.synchronize if x.is_cuda else int
    for way in ways * 3:
        way(x)
    times = np.zeros([repeats, len(ways)])
    for row in times:
        for i, way in enumerate(ways):
            wait()
            start = time.perf_counter()
            for _ in range(calls):
                way(x)
            wait()
            row[i] = (time.perf_counter() - start) / calls * 1e6
    return np.percentile(times, [25, 50, 75], axis=0).T  # [ways, 3]


# Verdict: faster only where the quartiles do not even touch
def judge(times):
    words = []
    for name, (dynamic, *static) in zip(NETS, times):
        best = min(static, key=lambda quartiles: quartiles[1])
        ratio = dynamic[1] / best[1]
        if best[2] < dynamic[0]:
            words.append("%s: graph %.1f times as fast" % (name, ratio))
        elif dynamic[2] < best[0]:
            words.append("%s: graph %.1f times as slow" % (name, 1 / ratio))
        else:
            words.append("%s: no difference" % name)
    fast = sum("as fast" in word for word in words)
    claim = {3: "holds", 0: "does not hold"}.get(fast, "depends")
    return "a static graph is fast: %s (%s)" % (claim, "; ".join(words))


def run(inputs, workdir):
    # torch.compile writes C++: it needs a compiler, and its own cache
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(workdir)
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    compiler = hasattr(torch, "compile") and shutil.which("g++") is not None
    outputs, times = {}, []
    with torch.no_grad():
        for name in NETS:
            ways, x = build(inputs, name, compiler)
            answers = [way(x)[:, 0].numpy(force=True) for way in ways]
            missing = len(WAYS) - len(ways)  # then eager stands in for it
            outputs[name] = np.array(answers + answers[:1] * missing)
            calls = inputs[name + "_calls"]
            times.append(clock(ways, x, calls, inputs["repeats"]))

    # Results
    verdict = judge(times)
    print(verdict)
    missing = [(0, len(WAYS) - len(ways)), (0, 0)]
    return {
        "ways": ", ".join(WAYS),
        **outputs,  # [3, 32], [3, 32], [3, 128]
        "ran": np.arange(len(WAYS)) < len(ways),  # [3]
        "microseconds": np.array(
            [np.pad(t, missing, "constant") for t in times]
        ),
        "verdict": verdict,
    }
