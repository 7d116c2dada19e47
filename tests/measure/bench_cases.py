"""Two small cases that the tests of the bench measure: PyTorch's attention, and the plain form."""

from torch.nn.functional import scaled_dot_product_attention

from attncourse.measure.bench.case import Case
from attncourse.mechanisms.dense.softmax import attention

BASELINE = Case(
    "full",
    scaled_dot_product_attention,
    attention,
    growth=2.0,
    check_length=20,
    implementation="torch",
)
RIGHT = Case("dense", attention, attention, growth=2.0, check_length=20)
