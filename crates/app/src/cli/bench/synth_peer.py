"""The same generator, critic, losses and batch in PyTorch. usage: -c ... SIZES STEPS, or version; prints updates a second."""

import json
import os
import sys
import time

import torch
from torch import nn, optim
from torch.nn import functional as F

if sys.argv[1] == "version":
    print(torch.__version__)
    sys.exit()
sizes, steps = json.loads(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(len(os.sched_getaffinity(0)))
torch.manual_seed(0)
def timed(step, updates):
    for _ in range(min(steps, 10)):
        step()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    print(steps * updates / (time.perf_counter() - started))


class Reader(nn.Module):
    """TableGAN's discriminator and classifier: what was seen last, and a verdict."""

    def __init__(self, side):
        super().__init__()
        layers, channels = [], 1
        while side > 2:
            following = 64 if channels == 1 else 2 * channels
            layers.append(nn.Conv2d(channels, following, 4, 2, 1, bias=False))
            if channels > 1:
                layers.append(nn.BatchNorm2d(following))
            layers.append(nn.LeakyReLU(0.2))
            side, channels = side // 2, following
        self.eye, self.verdict = nn.Sequential(*layers, nn.Flatten()), nn.Linear(4 * channels, 1)

    def forward(self, squares):
        seen = self.eye(squares)
        return self.verdict(seen), seen


def tablegan(side, batch):
    channels = 16 * side
    layers, at, now = [nn.Linear(100, 4 * channels), nn.Unflatten(1, (channels, 2, 2))], 2, channels
    while at < side:
        following = 1 if 2 * at == side else now // 2
        layers += [nn.BatchNorm2d(now), nn.ReLU(), nn.ConvTranspose2d(now, following, 4, 2, 1, bias=False)]
        at, now = 2 * at, following
    generator, discriminator, classifier = nn.Sequential(*layers, nn.Tanh()), Reader(side), Reader(side)
    adams = [optim.Adam(of.parameters(), lr=2e-4, betas=(0.5, 0.999), weight_decay=1e-5) for of in (discriminator, classifier, generator)]
    squares, targets = torch.rand(10_000, 1, side, side) * 2 - 1, torch.randint(2, (10_000, 1)).float()
    loss = F.binary_cross_entropy_with_logits

    def step():
        chosen = torch.randint(len(squares), (batch,))
        real, label = squares[chosen], targets[chosen]
        made = generator(torch.randn(batch, 100))
        adams[0].zero_grad()
        on_real, on_made = discriminator(real)[0], discriminator(made.detach())[0]
        (loss(on_real, torch.ones_like(on_real)) + loss(on_made, torch.zeros_like(on_made))).backward()
        adams[0].step()
        adams[1].zero_grad()
        loss(classifier(real)[0], label).backward()
        adams[1].step()
        adams[2].zero_grad()
        with torch.no_grad():
            seen = discriminator(real)[1]
        judged, of_made = discriminator(made)
        apart = (of_made.mean(0) - seen.mean(0)).norm() + (of_made.std(0) - seen.std(0)).norm()
        cell = (made[:, 0, 0, 0] + 1) / 2
        off = (cell - torch.sigmoid(classifier(made)[0][:, 0])).abs().mean()
        (loss(judged, torch.ones_like(judged)) + apart + off).backward()
        adams[2].step()

    timed(step, 3)


if "side" in sizes:
    tablegan(sizes["side"], sizes["batch"])
    sys.exit()

batch, condition, pack, given = sizes["batch"], sizes["condition"], sizes["pack"], sizes["gives_class"]
made = sizes["numbers"] + sum(sizes["choices"])
seen = pack * (made + condition)
rows = torch.rand(10_000, made)


class Residual(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.linear, self.norm = nn.Linear(inputs, 256), nn.BatchNorm1d(256)

    def forward(self, rows):
        return torch.cat([F.relu(self.norm(self.linear(rows))), rows], dim=1)


inputs = 128 + condition
generator = nn.Sequential(Residual(inputs), Residual(inputs + 256), nn.Linear(inputs + 512, made))
drop = [nn.Dropout(sizes["dropout"])] if sizes["dropout"] else []
critic = nn.Sequential(nn.Linear(seen, 256), nn.LeakyReLU(0.2), *drop, nn.Linear(256, 256), nn.LeakyReLU(0.2), *drop, nn.Linear(256, 1))
of_generator = optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.9), weight_decay=1e-6)
of_critic = optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.9))


def conditions():
    cells = torch.zeros(batch, condition)
    if condition:
        cells[torch.arange(batch), torch.randint(condition, (batch,))] = 1
    return cells


def activated(raw):
    parts, at = [torch.tanh(raw[:, : sizes["numbers"]])], sizes["numbers"]
    for cells in sizes["choices"]:
        parts.append(F.gumbel_softmax(raw[:, at : at + cells], tau=0.2))
        at += cells
    return torch.cat(parts, dim=1)


def judged(codes, cells):
    return torch.cat([codes, cells], dim=1).view(-1, seen)


def learn_critic():
    cells = conditions()
    with torch.no_grad():
        fake = judged(activated(generator(torch.cat([torch.randn(batch, 128), cells], dim=1))), cells)
    real = judged(rows[torch.randint(len(rows), (batch,))], cells)
    share = torch.rand(len(real), 1)
    mixed = (share * real + (1 - share) * fake).requires_grad_()
    at = critic(mixed)
    slope = torch.autograd.grad(at, mixed, torch.ones_like(at), create_graph=True)[0]
    penalty = 10 * ((slope.norm(2, dim=1) - 1) ** 2).mean()
    of_critic.zero_grad()
    (critic(fake).mean() - critic(real).mean() + penalty).backward()
    of_critic.step()


def learn_generator():
    cells = conditions()
    raw = generator(torch.cat([torch.randn(batch, 128), cells], dim=1))
    loss = -critic(judged(activated(raw), cells)).mean()
    if not given and condition:
        loss = loss + F.cross_entropy(raw[:, -sizes["choices"][-1] :], torch.randint(sizes["choices"][-1], (batch,)))
    of_generator.zero_grad()
    loss.backward()
    of_generator.step()


def run(count):
    for _ in range(count):
        for _ in range(sizes["critic_steps"]):
            learn_critic()
        learn_generator()


timed(lambda: run(1), sizes["critic_steps"] + 1)
