"""Round robin for sweepers: each run starts after the item with which the last run began.

    SWEEP#<name>   TURN   the place of the item that was started last

A run stores an item's place before it works on the item. So the next run starts after an item that fails, takes all of
the run's time, or kills it, and tries that item again after all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mercato.store.dynamo import Table, put


class RoundRobin:
    def __init__(self, table: Table, name: str) -> None:
        self._table = table
        self._key = {"pk": f"SWEEP#{name}", "sk": "TURN"}

    def in_turn[Item](self, read: Callable[[str], Iterable[Item]], place_of: Callable[[Item], str]) -> Iterator[Item]:
        """Each item once: those after the stored place, and then from the first up to that place.

        `read` returns the items after a place in the order of their places; "" is before all.
        """
        noted = self._table.get(self._key["pk"], self._key["sk"])
        last = str(noted["place"]) if noted else ""
        yield from read(last)
        if last:
            for item in read(""):
                if place_of(item) > last:
                    return
                yield item

    def begin(self, place: str) -> None:
        """Stores the place of the item to work on next. Of two concurrent runs the later one wins."""
        self._table.write(put(self._key | {"place": place}))
