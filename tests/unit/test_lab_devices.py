"""Labs compute on whatever device is the default: the same file for CPU and GPU."""

import ast
from pathlib import Path

import pytest
from conftest import PROJECT

LABS = sorted((PROJECT / "labs").glob("[a-z]*/pytorch.py"))


def faults(source: str) -> list[str]:
    """What in a PyTorch program works on one device only."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        given = {keyword.arg for keyword in node.keywords}
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if name == "numpy" and "force" not in given:
            found.append(f"line {node.lineno}: .numpy() of a tensor on a GPU fails: force=True")
        if name in ("from_numpy", "cuda", "cpu"):
            found.append(f"line {node.lineno}: .{name}() fixes the device")
        for keyword in node.keywords:
            fixed = isinstance(keyword.value, ast.Constant) and keyword.value.value is not None
            if keyword.arg in ("device", "accelerator", "map_location") and fixed:
                found.append(f"line {node.lineno}: {keyword.arg} is written down")
    return found


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.parent.name)
def test_no_lab_is_bound_to_a_device(path: Path) -> None:
    """A tensor is made on the default device, which the worker sets, and comes back by force."""
    assert faults(path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "x.numpy()", "torch.from_numpy(x)", "x.detach().numpy()", "x.cuda()", "x.cpu()",
        "torch.zeros(2, device='cuda')", "Trainer(accelerator='cpu')",
        "torch.load(p, map_location='cpu')",
    ],
)  # fmt: skip
def test_what_binds_to_a_device_is_seen(line: str) -> None:
    """The check above can fail."""
    assert faults(line)
