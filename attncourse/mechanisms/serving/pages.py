"""A paged cache: the tokens of many sequences in pages of one size, taken from one pool."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from attncourse.core.numbers import plain_number
from attncourse.core.shapes import checked
from attncourse.mechanisms.serving._fitting import but_tokens, check_fits, room_like

Pool = tuple[Tensor, Tensor]


class PagedCache:
    """Keys and values of several sequences, each a list of pages: its block table.

    A sequence takes a page when its last one is full and gives all of them back when it is freed,
    so that less than one page a sequence is wasted and none need lie beside another. A fork
    shares the pages of its source; a shared page is copied before one of its owners writes into
    it. For inference: no gradient flows to what is kept.
    Source: Kwon et al. 2023 (PagedAttention), sections 4.1 to 4.4.

    >>> cache = PagedCache(pages=4, page=2)
    >>> cache.append(7, torch.zeros(3, 1), torch.zeros(3, 1))  # three tokens of sequence 7
    >>> cache.table(7), cache.length(7), cache.free_pages
    ((0, 1), 3, 2)
    """

    def __init__(self, *, pages: int, page: int) -> None:
        """Room for `pages` pages of `page` tokens; memory is taken when the first token comes."""
        pages, page = plain_number("pages", int, pages), plain_number("page", int, page)
        if pages < 1 or page < 1:
            raise ValueError(f"pages and page must be at least 1: got pages={pages}, page={page}")
        self.page = page
        self._owners = [0] * pages  # how many sequences hold each page
        self._free = list(range(pages))[::-1]
        self._tables: dict[int, list[int]] = {}
        self._lengths: dict[int, int] = {}
        self._pool: Pool | None = None

    @property
    def free_pages(self) -> int:
        """Pages that no sequence holds."""
        return len(self._free)

    @property
    def sequences(self) -> tuple[int, ...]:
        """The sequences that hold tokens."""
        return tuple(self._tables)

    def table(self, sequence: int) -> tuple[int, ...]:
        """The pages of a sequence, in the order of its tokens."""
        self._check_known(sequence)
        return tuple(self._tables[sequence])

    def length(self, sequence: int) -> int:
        """The number of tokens of a sequence."""
        self._check_known(sequence)
        return self._lengths[sequence]

    @checked
    def append(
        self, sequence: int, k: Float[Tensor, "... c d"], v: Float[Tensor, "... c e"]
    ) -> None:
        """Copy c tokens behind those of a sequence, which begins with its first tokens.

        Time O(c (d + e)). Raises ValueError, and changes nothing, where the pages do not suffice
        or k and v do not fit those before.
        """
        pool = self._pool or (self._new_pool(k), self._new_pool(v))
        for name, new, pages in zip("kv", (k, v), pool, strict=True):
            check_fits(name, new, "pages", tuple(pages.shape[1:-1]), pages)
        start = self._lengths.get(sequence, 0)
        self._make_room(sequence, start, start + k.shape[-2])
        self._pool = pool  # not before nothing can be refused any more: it fixes shape and dtype
        for place, slots, tokens in self._places(sequence, start, k.shape[-2]):
            for pages, x in zip(pool, (k, v), strict=True):
                pages[place, ..., slots] = x[..., tokens, :].detach().mT
        self._lengths[sequence] = start + k.shape[-2]

    def fork(self, source: int, target: int) -> None:
        """Begin a new sequence with the tokens of another, of which nothing is copied."""
        self._check_known(source)
        if target in self._tables:
            raise ValueError(f"target must be a new sequence: got target={target}, already there")
        self._tables[target] = list(self._tables[source])
        self._lengths[target] = self._lengths[source]
        for place in self._tables[target]:
            self._owners[place] += 1

    def free(self, sequence: int) -> None:
        """Forget a sequence and give back the pages that no other one holds."""
        self._check_known(sequence)
        for place in self._tables.pop(sequence):
            self._release(place)
        del self._lengths[sequence]

    def pages_of(self, sequence: int) -> list[tuple[Tensor, Tensor]]:
        """Keys (..., c, d) and values (..., c, e) of each page of a sequence, as views."""
        self._check_known(sequence)
        found, left = [], self._lengths[sequence]
        for place in self._tables[sequence]:
            keys, values = (x[place, ..., : min(left, self.page)].mT for x in self._pool or ())
            found.append((keys, values))
            left -= self.page
        return found

    def gather(self, sequence: int) -> tuple[Tensor, Tensor]:
        """Copy the keys (..., t, d) and values (..., t, e) of a sequence into one piece."""
        keys, values = zip(*self.pages_of(sequence), strict=True)
        return torch.cat(keys, dim=-2), torch.cat(values, dim=-2)

    def _make_room(self, sequence: int, start: int, end: int) -> None:
        """Give the sequence pages of its own for the tokens from start to end."""
        table = self._tables.get(sequence, [])
        first = start // self.page  # the page in which writing begins
        shared = [i for i in range(first, len(table)) if self._owners[table[i]] > 1]
        missing = math.ceil(end / self.page) - len(table)
        needed = missing + len(shared)
        if needed > self.free_pages:
            raise ValueError(
                f"{end - start} more tokens of sequence {sequence} must find free pages"
                f": got {self.free_pages} free of {len(self._owners)}, and {needed} needed"
            )
        self._tables[sequence] = table
        for i in shared:
            self._copy_page(table, i)
        table.extend(self._take() for _ in range(missing))

    def _places(self, sequence: int, start: int, count: int) -> Iterator[tuple[int, slice, slice]]:
        """Where `count` tokens from `start` on go: a page, slots in it, and which of the tokens."""
        done = 0
        while done < count:
            number, slot = divmod(start + done, self.page)
            taken = min(self.page - slot, count - done)
            yield (
                self._tables[sequence][number],
                slice(slot, slot + taken),
                slice(done, done + taken),
            )
            done += taken

    def _take(self) -> int:
        place = self._free.pop()
        self._owners[place] = 1
        return place

    def _release(self, place: int) -> None:
        self._owners[place] -= 1
        if self._owners[place] == 0:
            self._free.append(place)

    def _copy_page(self, table: list[int], i: int) -> None:
        """Put a page of its own in place of the i-th of a table, with the same tokens."""
        own = self._take()
        for pages in self._pool or ():
            pages[own] = pages[table[i]]
        self._release(table[i])
        table[i] = own

    def _new_pool(self, x: Tensor) -> Tensor:
        """Pages for tokens like those of x (..., c, d): (pages, ..., d, page)."""
        return room_like(x, len(self._owners), *but_tokens(x), self.page)

    def _check_known(self, sequence: int) -> None:
        if sequence not in self._tables:
            raise ValueError(f"sequence must be one that holds tokens: got sequence={sequence}")
