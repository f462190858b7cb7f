"""Probability with TensorFlow Probability, as a graph for a session."""

import collections

import numpy as np
import tensorflow.compat.v1 as tf
import tensorflow_probability as tfp

tf.disable_v2_behavior()

tfd = tfp.distributions
Bernoulli, Beta, Gamma = tfd.Bernoulli, tfd.Beta, tfd.Gamma
Normal, Poisson, StudentT = tfd.Normal, tfd.Poisson, tfd.StudentT
kl_divergence = tfd.kl_divergence
Trace = collections.namedtuple("Trace", ["step", "accepted"])


# Sampler: a kernel of our own, so that the random numbers can be inputs
class Metropolis(tfp.mcmc.TransitionKernel):
    def __init__(self, log_joint, jumps, log_uniforms):
        self.log_joint = log_joint
        self.jumps, self.log_uniforms = jumps, log_uniforms

    @property
    def is_calibrated(self):
        return True

    def bootstrap_results(self, _):
        return Trace(tf.constant(0), tf.fill([4], True))

    def one_step(self, state, previous):  # [4, 2]
        proposal = state + self.jumps[previous.step]  # [4, 2]
        ratio = self.log_joint(proposal) - self.log_joint(state)  # [4]
        accept = ratio > self.log_uniforms[previous.step]  # [4]
        state = tf.where(tf.stack([accept, accept], -1), proposal, state)
        return state, Trace(previous.step + 1, accept)


def run(inputs, workdir):
    # Data
    v = {n: tf.constant(a) for n, a in inputs.items() if np.ndim(a)}
    x, y, noise = v["x"], v["y"], inputs["noise"]  # [32], [32]

    # Densities: six distributions, eight values each
    loc, scale, a, b = v["loc"], v["scale"], v["a"], v["b"]
    log_prob = [
        Normal(loc, scale).log_prob(v["real"]),
        StudentT(a + 1, loc, scale).log_prob(v["real"]),
        Gamma(a, b).log_prob(v["fraction"]),
        Beta(a, b).log_prob(v["fraction"]),
        Poisson(b).log_prob(v["count"]),
        Bernoulli(logits=loc).log_prob(v["bit"]),
    ]

    # Divergences: from each to the one with the parameters reversed
    # BEGIN SOLUTION
    c, d, far, wide = (t[::-1] for t in (a, b, loc, scale))
    kl = [
        kl_divergence(Normal(loc, scale), Normal(far, wide)),
        kl_divergence(Gamma(a, b), Gamma(c, d)),
        kl_divergence(Beta(a, b), Beta(c, d)),
        kl_divergence(Bernoulli(logits=loc), Bernoulli(logits=far)),
    ]
    # END SOLUTION

    # A trap: what does the first argument mean?
    first_argument = Bernoulli(0.25).mean()

    # Model: a straight line, y ~ N(p[0] + p[1] x, noise)
    prior = Normal(tf.zeros([2]), tf.ones([2]))

    def log_joint(p):  # [..., 2]
        data = Normal(p[..., :1] + p[..., 1:] * x, noise)  # [..., 32]
        return tf.reduce_sum(prior.log_prob(p), -1) + tf.reduce_sum(
            data.log_prob(y), -1
        )

    # Posterior on a grid: no formula, only density times volume
    # BEGIN SOLUTION
    axis = tf.linspace(-2.0, 2.0, 129)
    grid = tf.stack(tf.meshgrid(axis, axis, indexing="ij"), -1)
    points = tf.reshape(grid, [-1, 2])  # [16641, 2]
    share = tf.nn.softmax(log_joint(points))[:, None]  # [16641, 1]
    mean = tf.reduce_sum(share * points, 0)  # [2]
    deviation = tf.sqrt(tf.reduce_sum(share * (points - mean) ** 2, 0))  # [2]
    # END SOLUTION

    # Posterior by climbing: the gradient passes through the draws
    # BEGIN SOLUTION
    m = tf.Variable(tf.zeros([2]))
    rho = tf.Variable(tf.fill([2], -1.0))
    uniform = tf.placeholder(tf.float32, [8, 2])
    q = Normal(m, tf.exp(rho))
    z = q.quantile(uniform)  # [8, 2]
    bound = tf.reduce_mean(log_joint(z)) + tf.reduce_sum(q.entropy())
    optimizer = tf.train.GradientDescentOptimizer(inputs["learning_rate"])
    train_op = optimizer.minimize(-bound)

    def climb(numbers):  # [8, 2]
        return sess.run([z, bound, train_op], feed_dict={uniform: numbers})

    # END SOLUTION

    # Posterior by walking: Metropolis, four chains side by side
    chain, accepted = tfp.mcmc.sample_chain(
        num_results=inputs["steps"],
        current_state=v["start"],  # [4, 2]
        kernel=Metropolis(log_joint, v["jump"], v["log_uniform"]),
        trace_fn=lambda _, trace: trace.accepted,
        parallel_iterations=1,
    )

    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        draws, bounds, _ = zip(*[climb(u) for u in inputs["uniform"]])

        # Results
        results = {
            "log_prob": tf.stack(log_prob),  # [6, 8]
            "kl": tf.stack(kl),  # [4, 8]
            "first_argument": first_argument,  # []
            "posterior": tf.stack([mean, deviation]),  # [2, 2]
            "fitted": tf.stack([m, tf.exp(rho)]),  # [2, 2]
            "chain": chain,  # [100, 4, 2]
            "accepted": accepted,  # [100, 4]
        }
        results = sess.run(results)
    results.update(draws=draws[0], bound=np.array(bounds))  # [8, 2], [60]
    return results
