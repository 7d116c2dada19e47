"""A text that was read in windows: how far each is moved on."""

from attncourse.measure.perplexity import sliding_perplexity

MECHANISMS = {}
OPTIONS = {sliding_perplexity: {"stride": 2}}
