"""The coefficients in kernels/simd and kernels/loss. Needs numpy.

Minimax fits by Lawson's iteration: weighted least squares, where each point's weight is multiplied by its error until
all errors are level.
"""
import math

import numpy as np


def minimax(f, basis, low, high, weight, points=4000, rounds=1500):
    x = 0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.linspace(0, math.pi, points))
    y, w = np.array([f(v) for v in x]), np.array([weight(v) for v in x])
    table = np.array([[b(v) for b in basis] for v in x])
    level, best = np.ones(points), (math.inf, None)
    for _ in range(rounds):
        root = w * np.sqrt(level)
        c = np.linalg.lstsq(table * root[:, None], y * root, rcond=None)[0]
        error = np.abs((table @ c - y) * w)
        if error.max() < best[0]:
            best = error.max(), c
        level *= error
        level /= level.sum()
    return best


def show(name, fit):
    print(f"{name}: error {fit[0]:.1e}, coefficients", *(f"{np.float32(c):.9g}" for c in fit[1]))


def exp_rest(r):
    """(exp(r) - 1 - r) / r^2"""
    return sum(r**k / math.factorial(k + 2) for k in range(12))


def tail(a):
    """Phi(-a) exp(a^2 / 2)"""
    return 0.5 * math.erfc(a / math.sqrt(2)) * math.exp(a * a / 2)


def phi(x):
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def table(name, f, weight):
    """f around k / 5, k = 0..30, as a quartic of t = 5 a - k in [-1/2, 1/2]; 0 for k = 31. A row per power."""
    fits = [minimax(lambda t: f((k + t) / 5), [lambda t, j=j: t**j for j in range(5)], -0.5 if k else 0, 0.5,
                    lambda t: weight((k + t) / 5), points=500, rounds=200) for k in range(31)]
    print(f"{name}: error {max(fit[0] for fit in fits):.1e}")
    for power in range(5):
        row = [f"{np.float32(fit[1][power]):.9g}" for fit in fits] + ["0"]
        print("    {" + ", ".join(c + ("f" if "." in c or "e" in c else "") for c in row) + "},")


if __name__ == "__main__":
    # relative to exp(r), for |r| a little beyond ln(2) / 2
    show("exp", minimax(exp_rest, [lambda r, k=k: r**k for k in range(5)], -0.3475, 0.3475,
                        lambda r: r * r * math.exp(-r)))
    # powers 1 to 6 of t = 1 / (1 + 0.4 a); between the absolute error of x Phi(x) and the relative one of Phi
    show("tail", minimax(tail, [lambda a, k=k: (1 + 0.4 * a)**-k for k in range(1, 7)], 0, 12.7,
                         lambda a: math.exp(-a * a / 4) * max(1, a)))
    table("Phi(-a)", lambda a: 0.5 * math.erfc(a / math.sqrt(2)), lambda a: max(1, a))
    table("gelu'(-a)", lambda a: 0.5 * math.erfc(a / math.sqrt(2)) - a * phi(a), lambda a: 1)
    # log((1 + t) / (1 - t)) = 2 t + t^3 q(t^2) for t in [0, 1/3]: kernels/loss/generic.cpp
    show("log", minimax(lambda t: sum(2 * t**(2 * k) / (2 * k + 3) for k in range(40)),
                        [lambda t, k=k: t**(2 * k) for k in range(4)], 0, 1 / 3, lambda t: t * t / 2))
