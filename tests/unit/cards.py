"""GPUs that are not there, for tests of what is decided about GPUs."""

from paritylab.model import Gpu


def card(index: int = 0, *, memory: int = 8192, driver: str = "550.54.15", **more: str) -> Gpu:
    """A GPU with ``memory`` MiB, all of it free."""
    return Gpu(
        index=index, uuid=f"GPU-{index:08d}", name=more.get("name", "Test Card"),
        memory_mb=memory, free_mb=memory, capability=more.get("capability", "9.0"),
        driver=driver,
    )  # fmt: skip


def answer(*gpus: Gpu) -> str:
    """What nvidia-smi prints of them."""
    return "".join(
        f"{g.index}, {g.uuid}, {g.name}, {g.memory_mb}, {g.free_mb}, {g.driver}, {g.capability}\n"
        for g in gpus
    )
