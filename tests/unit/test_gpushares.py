"""Shares of GPUs: never more than a card has, every cell once, nobody starves."""

import pytest
from cards import card
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from paritylab.errors import NoGpuError
from paritylab.gpushares import Ledger
from paritylab.model import Gpu

CARDS = st.lists(st.integers(1, 100), min_size=1, max_size=4)


class Run(RuleBasedStateMachine):
    """Cells come, run, end and lose their GPU in any order."""

    @initialize(sizes=CARDS)
    def begin(self, sizes: list[int]) -> None:
        """Some cards."""
        self.cards = [card(index, memory=size) for index, size in enumerate(sizes)]
        self.ledger = Ledger(self.cards)
        self.lost: set[str] = set()
        self.waiting: list[str] = []
        self.running: dict[str, tuple[Gpu, int]] = {}
        self.asked: dict[str, int] = {}
        self.done: list[str] = []

    @rule(memory=st.integers(1, 120))
    def come(self, memory: int) -> None:
        """A cell asks; what no card that is left could hold is refused at once."""
        ticket = f"cell {len(self.asked)}"
        largest = max((c.free_mb for c in self.cards if c.uuid not in self.lost), default=0)
        self.asked[ticket] = memory
        if memory > largest:
            with pytest.raises(NoGpuError):
                self.ledger.ask(ticket, memory)
            self.done.append(ticket)
        else:
            self.ledger.ask(ticket, memory)
            self.waiting.append(ticket)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        """Anyone may look; only the first in the queue may be served."""
        ticket = data.draw(st.sampled_from(self.waiting))
        share = self.ledger.take(ticket)
        if share:
            assert ticket == self.waiting[0]
            assert share.memory_mb == self.asked[ticket]
            assert share.gpu.uuid not in self.lost
            self.waiting.remove(ticket)
            self.running[ticket] = (share.gpu, share.memory_mb)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """A cell ends and gives its share back."""
        ticket = data.draw(st.sampled_from(sorted(self.running)))
        self.ledger.give_back(ticket)
        del self.running[ticket]
        self.done.append(ticket)

    @precondition(lambda self: len(self.lost) < len(self.cards))
    @rule(data=st.data())
    def vanish(self, data: st.DataObject) -> None:
        """A card falls off the bus; who could only have run there is told."""
        gpu = data.draw(st.sampled_from([c for c in self.cards if c.uuid not in self.lost]))
        self.ledger.lose(gpu)
        self.lost.add(gpu.uuid)
        for ticket in list(self.waiting):
            if not self.ledger.waits(ticket):
                self.waiting.remove(ticket)
                self.done.append(ticket)

    @invariant()
    def never_beyond_a_card(self) -> None:
        """The sum of the shares of a card is at most its memory."""
        for gpu in getattr(self, "cards", []):
            given_away = sum(m for g, m in self.running.values() if g.uuid == gpu.uuid)
            assert given_away <= gpu.free_mb

    @invariant()
    def nobody_waits_for_a_card_that_is_gone(self) -> None:
        """Whoever waits fits on a card that is left."""
        if hasattr(self, "cards"):
            sizes = [c.free_mb for c in self.cards if c.uuid not in self.lost]
            assert all(self.asked[t] <= max(sizes, default=0) for t in self.waiting)

    @invariant()
    def nobody_starves(self) -> None:
        """With nothing running, the first in the queue is served."""
        if getattr(self, "waiting", None) and not self.running:
            assert self.ledger.take(self.waiting[0])
            self.ledger_again()

    def ledger_again(self) -> None:
        """Note what the invariant has taken."""
        ticket = self.waiting.pop(0)
        share = self.ledger.take(ticket)
        assert share
        self.running[ticket] = (share.gpu, share.memory_mb)

    def teardown(self) -> None:
        """Every cell that came has run once, runs, waits, or was refused: none twice, none lost."""
        if hasattr(self, "asked"):
            assert sorted([*self.done, *self.running, *self.waiting]) == sorted(self.asked)


TestRun = Run.TestCase


def test_cells_spread_over_the_cards() -> None:
    """The emptiest card is next, the lower number between equals."""
    ledger = Ledger([card(0, memory=10), card(1, memory=10)])
    places = []
    for ticket in "abcd":
        ledger.ask(ticket, 4)
        share = ledger.take(ticket)
        assert share
        places.append(share.gpu.index)
    assert places == [0, 1, 0, 1]
    ledger.ask("e", 4)
    assert ledger.take("e") is None
    ledger.give_back("b")
    share = ledger.take("e")
    assert share
    assert share.gpu.index == 1


def test_a_large_cell_is_not_overtaken_for_ever() -> None:
    """Small cells behind it wait until it had its turn."""
    ledger = Ledger([card(0, memory=10)])
    for ticket, memory in (("small", 4), ("large", 10), ("late", 4)):
        ledger.ask(ticket, memory)
    assert ledger.take("small")
    assert ledger.take("late") is None
    ledger.give_back("small")
    assert ledger.take("late") is None
    assert ledger.take("large")


def test_too_much_memory_is_told_with_the_key() -> None:
    """A budget that no card can hold is refused with the file's key and the largest room."""
    with pytest.raises(NoGpuError, match="9000 MiB") as told:
        Ledger([card(0, memory=8000)]).ask("cell", 9000)
    assert "limits.gpu_memory_mb" in str(told.value)
    assert "8000 MiB" in str(told.value)


def test_no_card_left_names_the_lost_ones() -> None:
    """The last words of a run whose only GPU vanished."""
    ledger = Ledger([card(0, name="H100")])
    ledger.lose(card(0))
    with pytest.raises(NoGpuError, match="no GPU is left") as told:
        ledger.ask("cell", 1)
    assert "GPU 0 (H100)" in str(told.value)


@given(CARDS, st.lists(st.integers(1, 100), min_size=1, max_size=30))
def test_every_cell_runs_once(sizes: list[int], wanted: list[int]) -> None:
    """Cells that end as soon as they have run all get their turn, in their order."""
    ledger = Ledger(card(index, memory=size) for index, size in enumerate(sizes))
    ran = []
    for number, memory in enumerate(wanted):
        if memory <= max(sizes):
            ledger.ask(str(number), memory)
            assert ledger.take(str(number))
            ran.append(number)
            ledger.give_back(str(number))
    assert ran == [n for n, memory in enumerate(wanted) if memory <= max(sizes)]
    assert ledger.tickets == []
