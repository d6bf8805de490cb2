"""The turns of a sweeper: each run goes on behind the item that the last run began.

    SWEEP#<name>   TURN   the place of the item that was begun last

A run notes an item's place before it works on the item. So the next run begins behind an item that fails, takes all of
the run's time, or kills it, and that item's turn comes again when all others have had theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mercato.store.dynamo import Table, put


class Turns:
    def __init__(self, table: Table, name: str) -> None:
        self._table = table
        self._key = {"pk": f"SWEEP#{name}", "sk": "TURN"}

    def in_turn[Item](self, read: Callable[[str], Iterable[Item]], place_of: Callable[[Item], str]) -> Iterator[Item]:
        """Each item once: those behind the last turn's place, and then from the first on to that place.

        `read` returns the items behind a place in the order of their places; "" is before all.
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
        """Notes the place of the item that is worked on next. Of two runs at once the later one counts."""
        self._table.write(put(self._key | {"place": place}))
