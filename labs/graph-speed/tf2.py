"""Speed, eager and traced: the same function in three ways."""

import time

import numpy as np
import tensorflow as tf

NETS, WAYS = ["guide", "deep", "wide"], ["eager", "tf.function", "XLA"]


# Network: matrices and biases, cut from one vector
def layers(sizes, parameters):
    start = 0
    for rows, columns in zip(sizes, sizes[1:]):
        middle, end = start + rows * columns, start + (rows + 1) * columns
        w, b = parameters[start:middle], parameters[middle:end]
        yield tf.constant(w.reshape(rows, columns)), tf.constant(b)
        start = end


def forward(x, net):
    for w, b in net[:-1]:
        x = tf.nn.relu(x @ w + b)
    w, b = net[-1]
    return x @ w + b  # [n, 1]


# Ways: Python drives the first; the others have left Python behind
# BEGIN SOLUTION
def build(inputs, name):
    net = list(layers(inputs[name + "_sizes"], inputs[name + "_parameters"]))
    x = tf.constant(inputs[name + "_x"])

    def eager(x):
        return forward(x, net)

    return [eager, tf.function(eager), tf.function(eager, jit_compile=True)], x


# END SOLUTION


# Timing: warmed up, in turn, so that a slow moment hits every way
def clock(ways, x, calls, repeats):
    for way in ways * 3:
        way(x)
    times = np.zeros([repeats, len(ways)])
    for row in times:
        for i, way in enumerate(ways):
            start = time.perf_counter()
            for _ in range(calls):
                way(x)
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
    outputs, times = {}, []
    for name in NETS:
        ways, x = build(inputs, name)
        outputs[name] = np.array([way(x)[:, 0] for way in ways])
        calls = inputs[name + "_calls"]
        times.append(clock(ways, x, calls, inputs["repeats"]))

    # Results
    verdict = judge(times)
    print(verdict)
    return {
        "ways": ", ".join(WAYS),
        **outputs,  # [3, 32], [3, 32], [3, 128]
        "ran": np.full(len(WAYS), True),  # [3]
        "microseconds": np.array(times),  # [3, 3, 3]
        "verdict": verdict,
    }
