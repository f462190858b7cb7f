"""GPUs: what nvidia-smi says, which are chosen, and what is too old."""

from contextlib import suppress
from dataclasses import replace

import pytest
from cards import answer, card
from hypothesis import given
from hypothesis import strategies as st

from paritylab import catalog
from paritylab.errors import NoGpuError, UsageError
from paritylab.gpus import (
    QUERY,
    UNKNOWN,
    Sighting,
    choose,
    indices,
    look,
    parse,
    require_drivers,
    versions,
)
from paritylab.model import Environment

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 -]{0,30}[A-Za-z0-9]", fullmatch=True)


@given(
    st.lists(
        st.tuples(st.integers(0, 31), st.integers(1, 200_000), NAMES),
        unique_by=lambda one: one[0], max_size=8,
    )
)  # fmt: skip
def test_what_nvidia_smi_prints_comes_back(rows: list[tuple[int, int, str]]) -> None:
    """Every complete line is a GPU, in the order of their numbers."""
    cards = [card(index, memory=memory, name=name) for index, memory, name in rows]
    seen = parse(answer(*cards))
    assert list(seen.gpus) == sorted(cards, key=lambda one: one.index)
    assert seen.complaints == ()


@given(st.text())
def test_no_answer_is_an_error(text: str) -> None:
    """Whatever a driver prints, there are GPUs and complaints, and no exception."""
    seen = parse(text)
    assert all(gpu.uuid.startswith(("GPU-", "MIG-")) for gpu in seen.gpus)


@pytest.mark.parametrize(
    "line",
    [
        "Unable to determine the device handle for GPU0000:81:00.0: GPU is lost.  Reboot",
        "1, GPU-1, Card, [N/A], [N/A], 550.54, 9.0",
        "1, GPU-1, Card, [GPU is lost], 1, 550.54, 9.0",
        "x, GPU-1, Card, 100, 100, 550.54, 9.0",
        "1, GPU-1, Card, 100, 100, 550.54, nine",
        "1, GPU-1, Card, -100, 100, 550.54, 9.0",
        "\u0663, GPU-1, Card, 100, 100, 550.54, 9.0",
        "1, card one, Card, 100, 100, 550.54, 9.0",
        "1, GPU-1, Card, 100, 100, , 9.0",
        "bash: nvidia-smi: command not found",
    ],
)
def test_a_broken_gpu_is_a_complaint_and_the_others_stay(line: str) -> None:
    """A card that fell off the bus does not hide the one that works."""
    seen = parse(f"{line}\n{answer(card(0))}")
    assert seen == Sighting(gpus=(card(0),), complaints=(line.strip(),))


def test_a_gpu_is_never_counted_twice() -> None:
    """The same card in two lines has its memory once."""
    assert len(parse(answer(card(0), card(0))).gpus) == 1


def test_a_driver_that_knows_no_compute_capability_is_asked_again() -> None:
    """Drivers before 510 refuse the field; their version is still wanted, to call them old."""
    asked = []

    def old(argv: list[str]) -> str:
        asked.append(argv)
        if "compute_cap" in argv[1]:
            return 'Field "compute_cap" is not a valid field to query.\n'
        return "0, GPU-0, Old Card, 11000, 10900, 470.82.01\n"

    [gpu] = look(old).gpus
    assert (gpu.driver, gpu.capability, gpu.hardware) == ("470.82.01", UNKNOWN, "compute-unknown")
    assert len(asked) == 2
    assert asked[0][1] == f"--query-gpu={','.join(QUERY)}"


@pytest.mark.parametrize(
    ("text", "meant"),
    [(None, None), ("all", None), ("0", (0,)), ("0,1", (0, 1)), (" 2, 0 ,2", (2, 0))],
)
def test_gpus_option(text: str | None, meant: tuple[int, ...] | None) -> None:
    """Numbers with commas; each counts once; nothing means all."""
    assert indices(text) == meant


@pytest.mark.parametrize("text", ["", "x", "0,", "-1", "0-3", "0 1", "\u0663", "99999"])
def test_a_wrong_list_is_told_with_a_right_one(text: str) -> None:
    """The message shows what to type."""
    with pytest.raises(UsageError, match="is no list of GPU numbers") as told:
        indices(text)
    assert "--gpus 0,1" in str(told.value)


@given(st.text().filter(lambda text: text.strip() != "all"))
def test_anything_else_is_a_usage_error(text: str) -> None:
    """No text on the command line ends in a traceback."""
    numbers: tuple[int, ...] | None = (0,)
    with suppress(UsageError):
        numbers = indices(text)
    assert numbers
    assert all(number >= 0 for number in numbers)


def test_an_unknown_gpu_is_told_with_those_that_are_there() -> None:
    """An index that does not exist is wrong input, not a hang and not GPU 0 instead."""
    seen = Sighting(gpus=(card(0, name="A100"), card(2, name="H100")), complaints=())
    assert choose(seen, (2,)) == (card(2, name="H100"),)
    assert choose(seen, None) == seen.gpus
    with pytest.raises(UsageError, match="unknown GPU 1, 7") as told:
        choose(seen, (0, 1, 7))
    assert "0 (A100), 2 (H100)" in str(told.value)
    assert "--gpus 0,2" in str(told.value)


def test_no_gpu_is_told_with_what_the_driver_said() -> None:
    """When every card is broken, the reasons are in the message."""
    with pytest.raises(NoGpuError, match="no GPU answers") as told:
        choose(Sighting(gpus=(), complaints=("GPU is lost",)), None)
    assert "GPU is lost" in str(told.value)
    assert told.value.exit_code == 3


@pytest.fixture
def tiny(project) -> Environment:
    """The fixture environment with a CUDA stack that needs driver 525.60.13."""
    found = catalog.load(project).environments["tiny"]
    stack = replace(found.stacks["cpu"], device="cuda", driver="525.60.13")
    return replace(found, stacks={**found.stacks, "cuda": stack})


@pytest.mark.parametrize("driver", ["470.82.01", "525.60", "525.60.12", "525.9.99", "1"])
def test_an_old_driver_is_refused_with_the_remedy(tiny: Environment, driver: str) -> None:
    """The wheels would fail deep inside CUDA; here it is one sentence, exit code 3."""
    with pytest.raises(NoGpuError, match=f"driver {driver} is older than 525.60.13") as told:
        require_drivers([card(0), card(1, driver=driver)], [tiny])
    assert "environments/tiny/environment.toml: devices.cuda.driver" in str(told.value)
    assert "newer driver" in str(told.value)


@pytest.mark.parametrize("driver", ["525.60.13", "525.105.17", "550.54", "1000.1"])
def test_a_newer_driver_is_fine(tiny: Environment, driver: str) -> None:
    """Versions are numbers: 105 is more than 60."""
    require_drivers([card(0, driver=driver)], [tiny])


def test_a_version_is_numbers_or_nothing() -> None:
    """What is no version is older than everything."""
    assert versions("550.54.15") == (550, 54, 15)
    assert versions("N/A") == versions("") == versions("1..2") == ()
