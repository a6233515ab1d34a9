"""The peer of `served_adaptation.py`: adapts by five gradient steps and predicts, in eager PyTorch. Prints the median.

TORCH_PYTHON benchmarks/torch_adaptation.py
"""

import statistics
import time

import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

WAYS, SHOTS, QUERIES, FILTERS, INNER_STEPS, INNER_RATE, REPEATS = 5, 5, 15, 64, 5, 0.4, 60


def conv4():
    layers, channels = [], 1
    for _ in range(4):
        layers += [
            torch.nn.Conv2d(channels, FILTERS, 3, padding=1, bias=False),
            torch.nn.BatchNorm2d(FILTERS, track_running_stats=False),
            torch.nn.MaxPool2d(2),
            torch.nn.ReLU(),
        ]
        channels = FILTERS
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(FILTERS, WAYS))


def adapt_and_predict(network, support_x, support_y, query_x):
    weights = dict(network.named_parameters())
    for _ in range(INNER_STEPS):
        loss = cross_entropy(functional_call(network, weights, (support_x,)), support_y)
        gradients = torch.autograd.grad(loss, list(weights.values()))
        weights = {
            name: (w - INNER_RATE * g).detach().requires_grad_() for (name, w), g in zip(weights.items(), gradients)
        }
    with torch.no_grad():
        return functional_call(network, weights, (query_x,)).softmax(dim=-1)


def main():
    torch.manual_seed(0)
    network = conv4()
    support_x, query_x = torch.rand(WAYS * SHOTS, 1, 28, 28), torch.rand(WAYS * QUERIES, 1, 28, 28)
    support_y = torch.arange(WAYS).repeat_interleave(SHOTS)
    times = []
    for _ in range(REPEATS + 5):
        start = time.perf_counter()
        adapt_and_predict(network, support_x, support_y, query_x)
        times.append(1000 * (time.perf_counter() - start))
    print(f"median {statistics.median(times[5:]):.1f} ms")


if __name__ == "__main__":
    main()
