"""A stream of rows: a Dataset answers by index, a DataLoader asks."""

import os

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler, Subset


# Source: a class that knows its length and gives a row for an index
class Rows(Dataset):
    """Rows of a local file, mapped into memory."""

    def __init__(self, path, change=None):
        self.rows, self.change = np.load(path, mmap_mode="r"), change

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, key):
        row = {"id": int(key), "x": torch.tensor(self.rows[key])}
        return self.change(row) if self.change else row


def ids_of(stream):
    return np.concatenate([np.ravel(batch["id"]) for batch in stream])


def run(inputs, workdir):
    # Device: loaders work on the CPU, in processes of their own
    if hasattr(torch, "set_default_device"):
        torch.set_default_device("cpu")

    # Source: written once, in the order of the rows
    path = os.path.join(workdir, "rows.npy")
    np.save(path, inputs["x"])  # [60, 10]
    rows = Rows(path)
    part = Subset(rows, range(10, 20))

    # Element: what one row looks like, once a loader has made tensors of it
    spec = sorted(next(iter(DataLoader(rows, batch_size=None))).items())
    element = " ".join(
        "%s:%s%s"
        % (name, str(torch.as_tensor(t).dtype)[6:], list(np.shape(t)))
        for name, t in spec
    )

    # Order: a sampler is whatever yields indices
    # BEGIN SOLUTION
    def change(row):
        return dict(row, x=(row["x"] - inputs["shift"]) * inputs["scale"])

    def stream(order, data=rows, **options):
        return DataLoader(data, sampler=order.tolist(), **options)

    # END SOLUTION

    # Epochs: a permutation each, batches, a last one that is smaller
    # BEGIN SOLUTION
    batches = [
        batch
        for order in inputs["orders"]  # [2, 60]
        for batch in stream(
            order, Rows(path, change), batch_size=inputs["batch"]
        )
    ]
    first = inputs["orders"][0]  # [60]
    # END SOLUTION

    # Variations: whole batches only, half of the rows, read ahead
    # BEGIN SOLUTION
    full = stream(first, batch_size=inputs["batch"], drop_last=True)
    half = stream(first[1::2])
    ahead = stream(first, num_workers=1, prefetch_factor=4)
    # END SOLUTION

    # Shuffle: among all rows; a row may come from anywhere
    plain = RandomSampler(rows, generator=torch.Generator().manual_seed(1))
    mixed = ids_of(DataLoader(rows, sampler=plain))
    early = mixed - np.arange(len(mixed))

    # Results
    return {
        "element": element,
        "written": ids_of(DataLoader(rows)),  # [60]
        "slice": ids_of(DataLoader(part)),  # [10]
        "ids": ids_of(batches),  # [120]
        "sizes": np.array([len(batch["id"]) for batch in batches]),  # [8]
        "x": np.concatenate([batch["x"] for batch in batches]),  # [120, 10]
        "full": ids_of(full).reshape(-1, inputs["batch"]),  # [3, 16]
        "second_half": ids_of(half),  # [30]
        "prefetched": ids_of(ahead),  # [60]
        "shuffle_is_local": bool(early.max() < inputs["buffer"]),
    }
