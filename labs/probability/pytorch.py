"""Probability with torch.distributions; the sampler is a Python loop."""

import numpy as np
import torch
import torch.distributions as td

Bernoulli, Beta, Gamma = td.Bernoulli, td.Beta, td.Gamma
Normal, Poisson, StudentT = td.Normal, td.Poisson, td.StudentT
kl_divergence = td.kl_divergence


def run(inputs, workdir):
    # Data
    v = {n: torch.tensor(a) for n, a in inputs.items() if np.ndim(a)}
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
    c, d, far, wide = (t.flip(0) for t in (a, b, loc, scale))
    kl = [
        kl_divergence(Normal(loc, scale), Normal(far, wide)),
        kl_divergence(Gamma(a, b), Gamma(c, d)),
        kl_divergence(Beta(a, b), Beta(c, d)),
        kl_divergence(Bernoulli(logits=loc), Bernoulli(logits=far)),
    ]
    # END SOLUTION

    # A trap: what does the first argument mean?
    first_argument = Bernoulli(torch.tensor(0.25)).probs

    # Model: a straight line, y ~ N(p[0] + p[1] x, noise)
    prior = Normal(torch.zeros(2), torch.ones(2))

    def log_joint(p):  # [..., 2]
        data = Normal(p[..., :1] + p[..., 1:] * x, noise)  # [..., 32]
        return prior.log_prob(p).sum(-1) + data.log_prob(y).sum(-1)

    # Posterior on a grid: no formula, only density times volume
    # BEGIN SOLUTION
    axis = torch.linspace(-2, 2, 129)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    points = grid.reshape(-1, 2)  # [16641, 2]
    share = torch.softmax(log_joint(points), 0)[:, None]  # [16641, 1]
    mean = (share * points).sum(0)  # [2]
    deviation = (share * (points - mean) ** 2).sum(0).sqrt()  # [2]
    posterior = torch.stack([mean, deviation])  # [2, 2]
    # END SOLUTION

    # Posterior by climbing: the gradient passes through the draws
    # BEGIN SOLUTION
    m = torch.zeros(2, requires_grad=True)
    rho = torch.full([2], -1.0, requires_grad=True)
    optimizer = torch.optim.SGD([m, rho], lr=inputs["learning_rate"])

    def climb(uniform):  # [8, 2]
        q = Normal(m, rho.exp())
        z = q.icdf(uniform)  # [8, 2]
        bound = log_joint(z).mean() + q.entropy().sum()
        optimizer.zero_grad()
        (-bound).backward()
        optimizer.step()
        return z.detach(), bound.detach()

    draws, bound = zip(*[climb(uniform) for uniform in v["uniform"]])
    fitted = torch.stack([m, rho.exp()])  # [2, 2]
    # END SOLUTION

    # Posterior by walking: Metropolis, four chains side by side
    state, chain, accepted = v["start"], [], []  # [4, 2]
    for jump, log_uniform in zip(v["jump"], v["log_uniform"]):
        proposal = state + jump  # [4, 2]
        accept = log_joint(proposal) - log_joint(state) > log_uniform  # [4]
        state = torch.where(accept[:, None], proposal, state)
        chain.append(state)
        accepted.append(accept)
    chain = torch.stack(chain)  # [100, 4, 2]

    # Results
    return {
        "log_prob": torch.stack(log_prob).numpy(force=True),  # [6, 8]
        "kl": torch.stack(kl).numpy(force=True),  # [4, 8]
        "first_argument": first_argument.numpy(force=True),  # []
        "posterior": posterior.numpy(force=True),  # [2, 2]
        "draws": draws[0].numpy(force=True),  # [8, 2]
        "bound": torch.stack(bound).numpy(force=True),  # [60]
        "fitted": fitted.numpy(force=True),  # [2, 2]
        "chain": chain.numpy(force=True),  # [100, 4, 2]
        "accepted": torch.stack(accepted).numpy(force=True),  # [100, 4]
    }
