"""The DCGAN of `mtf.networks.dcgan()` in PyTorch, trained on noise: the peer of `gan_training.py`.

    python benchmarks/torch_dcgan.py 64 [--bfloat16]

Prints the steps a second; a step trains the discriminator and then the generator, non-saturating loss, Adam.
"""

import argparse
import time

import torch
from torch import nn


class Reshape(nn.Module):
    def forward(self, x):
        return x.view(-1, 128, 7, 7)


def networks(filters=64):
    generator = nn.Sequential(
        nn.Linear(64, 49 * 2 * filters, bias=False),
        Reshape(),
        nn.BatchNorm2d(2 * filters),
        nn.ReLU(True),
        nn.ConvTranspose2d(2 * filters, filters, 4, 2, 1, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(True),
        nn.ConvTranspose2d(filters, 1, 4, 2, 1),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, filters, 4, 2, 1),
        nn.LeakyReLU(0.2, True),
        nn.Conv2d(filters, 2 * filters, 4, 2, 1, bias=False),
        nn.BatchNorm2d(2 * filters),
        nn.LeakyReLU(0.2, True),
        nn.Flatten(),
        nn.Linear(49 * 2 * filters, 1),
    )
    return generator, discriminator


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("batch", type=int)
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--seconds", type=float, default=8)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    generator, discriminator = networks()
    if arguments.bfloat16:  # with the layout in which PyTorch's bfloat16 convolutions are fastest
        generator, discriminator = (net.to(memory_format=torch.channels_last) for net in (generator, discriminator))
    optimizers = [torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (generator, discriminator)]
    average = [parameter.detach().clone() for parameter in generator.parameters()]
    cross_entropy = nn.BCEWithLogitsLoss()
    images = torch.rand(16, arguments.batch, 1, 28, 28) * 2 - 1
    ones, zeros = torch.ones(arguments.batch, 1), torch.zeros(arguments.batch, 1)

    def step(real):
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
            with torch.no_grad():
                fake = generator(torch.randn(arguments.batch, 64))
            loss = cross_entropy(discriminator(real).float(), ones) + cross_entropy(discriminator(fake).float(), zeros)
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
            loss = cross_entropy(discriminator(generator(torch.randn(arguments.batch, 64))).float(), ones)
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        with torch.no_grad():
            for old, new in zip(average, generator.parameters()):
                old.lerp_(new, 0.001)

    for index in range(5):
        step(images[index])
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < arguments.seconds:
        step(images[steps % 16])
        steps += 1
    print(f"{steps / (time.perf_counter() - start):.2f} steps/s")


if __name__ == "__main__":
    main()
