"""Paged attention keeps its tokens in an object: its own file holds the tests."""

from attncourse.mechanisms import forms_of
from attncourse.mechanisms.serving import paged

MECHANISMS = {}
ELSEWHERE = {*forms_of(paged.paged_attention)}
