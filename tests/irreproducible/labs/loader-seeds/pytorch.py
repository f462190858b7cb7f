"""Planted: noise drawn inside a data loader."""

import torch
from torch.utils.data import DataLoader, Dataset


class Noisy(Dataset):
    def __len__(self):
        return 16

    def __getitem__(self, index):
        return index + torch.rand(())


def run(inputs, workdir):
    total = sum(batch.double().sum() for batch in DataLoader(Noisy(), batch_size=4))
    return {"value": float(total)}
