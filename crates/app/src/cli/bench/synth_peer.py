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


run(min(steps, 10))
started = time.perf_counter()
run(steps)
print(steps * (sizes["critic_steps"] + 1) / (time.perf_counter() - started))
