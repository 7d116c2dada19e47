"""Masks are Boolean: test_masks.py holds their tests."""

from attncourse.core.masks import padding_mask

MECHANISMS: dict = {}
ELSEWHERE = {padding_mask}
