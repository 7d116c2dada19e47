"""The exercises, one module each, and the chapters they belong to, in the order of the book."""

CHAPTERS = {
    "weighted-mean": "Attention as a query-dependent weighted mean",
    "scores-and-scaling": "Scores, softmax and scaling",
    "masks": "Masks and numerical safety",
}
