"""Paged attention keeps its tokens in an object: its own file holds the tests."""

from attncourse.mechanisms.serving import paged

MECHANISMS = {}
ELSEWHERE = set(paged.FORMS)
