"""`mtf.networks.resnet9()` with a head of 10 classes in PyTorch, trained on noise: the peer of `transfer_training.py`.

    python benchmarks/torch_resnet9.py 128 [--bfloat16]

Prints the steps a second; cross-entropy, AdamW.
"""

import argparse
import itertools
import time

import torch
from torch import nn


class Residual(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.layers(x)


class GlobalMaximum(nn.Module):
    def forward(self, x):
        return x.amax((2, 3))


def convolution(before, after, pooled=False):
    pooling = [nn.MaxPool2d(2)] if pooled else []
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), *pooling, nn.BatchNorm2d(after), nn.ReLU(True)
    )


def network(filters=(32, 64, 128, 256)):
    layers = [convolution(3, filters[0])]
    for block, (before, after) in enumerate(itertools.pairwise(filters), 2):
        layers.append(convolution(before, after, pooled=True))
        if block != 3:
            layers.append(Residual(convolution(after, after), convolution(after, after)))
    return nn.Sequential(*layers, GlobalMaximum(), nn.Linear(filters[-1], 10))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("batch", type=int)
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--seconds", type=float, default=8)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    # In the layout in which PyTorch's convolutions are fastest on CPUs.
    model = network().to(memory_format=torch.channels_last)
    optimizer, cross_entropy = torch.optim.AdamW(model.parameters(), 1e-3), nn.CrossEntropyLoss()
    images = torch.rand(8, arguments.batch, 3, 32, 32)
    labels = torch.randint(10, (arguments.batch,))

    def step(batch):
        batch = batch.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
            logits = model(batch)
        loss = cross_entropy(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for index in range(3):
        step(images[index])
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < arguments.seconds:
        step(images[steps % 8])
        steps += 1
    print(f"{steps / (time.perf_counter() - start):.2f} steps/s")


if __name__ == "__main__":
    main()
