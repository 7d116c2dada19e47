"""What holds for every model: gradients, batches, dtypes, and how it begins."""

import pytest
import torch
from miniatures import every_model, seeded

from attncourse.models.transformer import Transformer
from attncourse.testing import assert_same, gaussian


@every_model
def test_the_gradient_reaches_every_parameter_and_is_finite(build, config, x, run):
    model = seeded(build, config)
    out = run(model, x)
    (out * gaussian(*out.shape, seed=3)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        # a key's bias moves all scores of a row alike, which softmax does not see
        if not name.endswith("key.b"):
            assert (parameter.grad != 0).any(), name


@every_model
def test_saved_parameters_give_the_same_model(build, config, x, run):
    first, second = seeded(build, config, 0), seeded(build, config, 1)
    assert not torch.equal(run(first, x), run(second, x))
    second.load_state_dict(first.state_dict())
    assert torch.equal(run(first, x), run(second, x))


@every_model
def test_the_generator_alone_decides_how_a_model_begins(build, config, x, run):
    state = torch.get_rng_state()
    first, again = seeded(build, config), seeded(build, config)
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    for name, parameter in first.named_parameters():
        kind = name.rsplit(".", 1)[-1]
        if kind in ("b", "bias", "gain"):
            assert (parameter == (kind == "gain")).all(), name
        else:
            expected = config.d**-0.5 if build is Transformer else 0.02
            assert parameter.std().item() == pytest.approx(expected, rel=0.35), name


@every_model
def test_a_batch_equals_its_rows(build, config, x, run):
    model = seeded(build, config)
    whole = run(model, x)
    assert whole.shape[:2] == (2, 3)
    for i in range(2):
        for j in range(3):
            assert_same(run(model, x[i, j]), whole[i, j])


@every_model
def test_bfloat16_stays_and_is_near(build, config, x, run):
    model = seeded(build, config)
    exact = run(model, x)
    half = run(model.bfloat16(), x.bfloat16() if x.is_floating_point() else x)
    assert half.dtype == torch.bfloat16
    assert (half - exact).norm() <= 0.05 * exact.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@every_model
def test_autocast_is_near_and_trains(build, config, x, run, dtype):
    model, x = seeded(build, config).float(), x.float() if x.is_floating_point() else x
    exact = run(model, x)
    with torch.autocast("cpu", dtype):
        out = run(model, x)
        assert run(model, x[0, 0]).dtype == out.dtype
    assert (out - exact).norm() <= 0.05 * exact.norm()
    (out * gaussian(*out.shape, seed=3)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all(), name


@every_model
def test_meta_gives_the_same_shape(build, config, x, run):
    with torch.device("meta"):
        model = build(config)
        out = run(model, x.float().to("meta") if x.is_floating_point() else x.to("meta"))
    assert out.is_meta
    assert out.shape == run(seeded(build, config), x).shape
