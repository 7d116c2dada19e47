"""BigBird. Its table of random blocks must fit n and block, so its bad input is tested apart."""

import torch

from attncourse.core.patterns import bigbird_mask, random_blocks
from attncourse.mechanisms import forms_of
from attncourse.mechanisms.patterns import bigbird
from rows import Mechanism
from rows.sliding_window import one_length, under

BLOCK = 16
TABLE = random_blocks(10, 2, generator=torch.Generator().manual_seed(0))  # 151 positions


def fast(q, k, v):
    return bigbird.bigbird_attention(q, k, v, block=BLOCK, random=TABLE.to(q.device))


def definition(q, k, v):
    return bigbird.bigbird_attention_by_definition(q, k, v, block=BLOCK, random=TABLE.to(q.device))


OPTIONS = {bigbird_mask: {"n": 35, "block": 4}}
ELSEWHERE = {*forms_of(bigbird.bigbird_attention)}
MECHANISMS = {
    "bigbird_attention": Mechanism(
        fast, under(bigbird_mask(151, BLOCK, TABLE)), one_length, definition=definition
    ),
}
