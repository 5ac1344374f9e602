"""The vectors of what is served, in the store: for those who ask the database itself. Answers never need them."""

import logging
import threading
from collections.abc import Callable, Sequence

import numpy as np

from pinfold.errors import StoreError
from pinfold.serving.live import Live
from pinfold.serving.store import Store

LOG = logging.getLogger("pinfold.serving")
KEPT = "vectors"  # the setting that names the generation whose vectors are all in the store
BLOCK = 500  # vectors written at once; who puts an item meanwhile waits for one block


class KeptVectors:
    """Writes beside the answers; what the store refuses is logged, and tried again at the next start."""

    def __init__(self, store: Store, writing: threading.Lock, *, everything: bool) -> None:
        """`writing` is the lock of all writes; with `everything` also items of the training data are kept."""
        self._store, self._writing, self._everything = store, writing, everything

    def moved(self, live: Live, rows: Sequence[int]) -> None:
        """Items that came since lie elsewhere now. The lock is held."""
        self._try(lambda: self._save(live, rows))

    def forget(self, mark: str) -> None:
        """A generation is not served any more. The lock is held."""

        def work() -> None:
            self._store.set_meta(KEPT, "")
            self._store.delete_vectors(mark)

        self._try(work)

    def keep_all(self, live: Live, wanted: Callable[[], bool]) -> None:
        """Write all vectors of a generation in a thread, a block at a time, unless they are there, while `wanted`."""
        mark = live.generation.mark
        if not self._everything or not live.answers.vectors or self._store.meta(KEPT) == mark:
            return

        def work() -> None:
            start = 0
            while start < len(live.items):
                with self._writing:
                    if not wanted():
                        return
                    self._save(live, range(start, min(start + BLOCK, len(live.items))))
                start += BLOCK
            with self._writing:
                if wanted():
                    self._store.set_meta(KEPT, mark)

        threading.Thread(target=lambda: self._try(work), name="pinfold-vectors", daemon=True).start()

    def _save(self, live: Live, rows: Sequence[int]) -> None:
        found = [row for row in rows if not live.items.gone(row) and live.note(row) is None]
        if found:
            vectors = live.answers.directions(np.array(found, np.int32))
            self._store.save_vectors(live.generation.mark, [live.items.id(row) for row in found], vectors)

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except StoreError:
            LOG.exception("vectors could not be kept in the store")
