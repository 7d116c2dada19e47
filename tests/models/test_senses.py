"""The small tasks of the senses: their data, their models, and what was written down of them."""

import math
from collections import Counter
from statistics import median

import pytest
import torch
from torch import Generator

from attncourse.measure.experiment import measured
from attncourse.models.senses import boxes, captions, clicks, clips, pixels, series, sounds
from attncourse.models.vision_transformer import cut_patches


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(seed=0):
    return Generator().manual_seed(seed)


def test_a_scene_has_a_click_of_each_label_at_a_patch_that_has_it():
    _, labels, clicked = clicks.clicked_scenes(200, drawn())
    for label in range(3):
        assert ((clicked == label).sum(dim=-1) == 1).all()
    right = (clicked == labels)[clicked >= 0].float().mean()
    assert right > 0.99  # a texture whose three patches all belong to others is rare


def test_a_label_is_one_striping_wherever_it_lies():
    images, labels, _ = clicks.clicked_scenes(4, drawn(2))
    dark = cut_patches(images, clicks.PATCH)[:, None] > 0.5
    stripes = cut_patches(clicks._stripes()[None, :, None], clicks.PATCH) > 0.5
    agree = (dark == stripes).float().mean(dim=-1)  # (4, 4 stripings, 36)
    assert agree.amax(dim=1).mean() > 0.9  # noise turns a pixel in twenty
    kind = agree.argmax(dim=1)
    for shown, label in zip(kind, labels, strict=True):
        found = {
            i: Counter(shown[label == i].tolist()).most_common(1)[0] for i in set(label.tolist())
        }
        assert len({name for name, _ in found.values()}) == len(found)
        assert sum(count for _, count in found.values()) >= 35


def test_rectangles_do_not_touch_and_fill_their_boxes():
    images, box, there = boxes.scenes(300, drawn())
    assert images.shape == (300, 1, 12, 12)
    assert set(there.sum(dim=-1).tolist()) == {1, 2, 3}
    area = (12 * 12 * box[..., 2] * box[..., 3] * there).sum(dim=-1)
    inked = (images > 0.5).float().sum(dim=(1, 2, 3))
    assert (inked - area).abs().max() < 4  # noise may carry a pixel over
    overlap = boxes.shared(box, box)
    torch.testing.assert_close(overlap, torch.eye(3).expand(300, 3, 3), atol=1e-4, rtol=0.0)


def test_matching_agrees_with_trying_all():
    cost = torch.randn(20, 5, 3, generator=drawn(), dtype=torch.float64)
    answers = boxes.match_boxes(cost)
    price = cost.gather(1, answers[:, None]).sum(dim=(1, 2))
    for i in range(5):
        for j in range(5):
            for k in range(5):
                if len({i, j, k}) == 3:
                    assert (price <= cost[:, i, 0] + cost[:, j, 1] + cost[:, k, 2] + 1e-12).all()


def test_matching_needs_a_query_for_each_object():
    with pytest.raises(ValueError, match="there must be a query for each object: got q=2 and t=3"):
        boxes.match_boxes(torch.zeros(2, 3))
    assert boxes.match_boxes(torch.zeros(2, 4, 0)).shape == (2, 0)


def test_a_right_answer_has_nearly_no_loss_and_is_found():
    _, box, there = boxes.scenes(8, drawn(1))
    said = torch.zeros(8, 4, 5)
    said[:, :3, :4] = box.clamp(1e-4, 1 - 1e-4).logit()
    said[:, :3, 4] = torch.where(there, 9.0, -9.0)
    said[:, 3, 4] = -9.0
    turned = said.roll(1, dims=1)
    assert boxes.set_loss(said, box, there, matched=True) < 0.01
    assert boxes.set_loss(turned, box, there, matched=True) < 0.01
    assert boxes.set_loss(turned, box, there, matched=False) > 1


def test_captions_say_what_is_there():
    images, number = captions.pictures(400, drawn())
    cells = (images > 0.5).view(400, 3, 5, 3, 5).movedim(3, 2).flatten(3).sum(dim=-1).flatten(1)
    said = captions.CAPTIONS[number]
    dots = captions._dots().sum(dim=(1, 2))
    for row, words in zip(cells[:50], said[:50], strict=True):
        top = row.float().topk(2).indices.sort().values.tolist()
        level = top[0] // 3 == top[1] // 3
        assert captions.WORDS[words[1]] == ("left of" if level else "above")
        assert abs(row[top[0]].item() - dots[words[0]].item()) <= 2
    assert len(set(number.tolist())) == len(captions.CAPTIONS) == 40


def test_a_contrastive_loss_knows_nothing_at_the_logarithm_of_the_batch():
    same = torch.ones(32, 4)
    loss = captions.contrastive_loss(same, same, temperature=0.1)
    assert loss.item() == pytest.approx(math.log(32), abs=1e-4)
    with pytest.raises(ValueError, match="temperature must be positive: got temperature=0"):
        captions.contrastive_loss(same, same, temperature=0)


def test_a_recording_has_a_soft_frame_at_each_start():
    frames, words, letters = sounds.recordings(50, drawn(), spoken=False)
    loud = frames.amax(dim=-1)
    assert ((loud == 0.5).sum(dim=-1) == 4).all()
    assert ((loud > 0) == (letters < 8)).all()
    for row, word in zip(letters, words, strict=True):
        counts = Counter(row.tolist())
        expected = Counter()
        for letter in word.tolist():
            expected[letter] += sounds.LENGTHS[letter].item()
        assert {k: counts[k] for k in expected} == dict(expected)


def test_a_dot_crosses_the_picture():
    x, way = clips.clips(400, drawn())
    assert x.shape == (400, 5, 16)
    cells = x.view(400, 5, 4, 4)
    right = cells[way == 0].sum(dim=2)  # (b, frames, columns)
    assert right[:, 0, 0].mean() > right[:, 4, 0].mean() + 0.5
    assert right[:, 4, 3].mean() > right[:, 0, 3].mean() + 0.5
    up = cells[way == 3].sum(dim=3)
    assert up[:, 0, 3].mean() > up[:, 4, 3].mean() + 0.5


def test_factorised_attention_is_two_attentions_and_joint_is_one():
    q, k, v = (torch.randn(2, 3, 5, d, generator=drawn(i)) for i, d in enumerate((4, 4, 6)))
    joint = clips.joint_attention(q, k, v)
    assert joint.shape == (2, 3, 5, 6)
    one = tuple(x[:, :1] for x in (q, k, v))
    torch.testing.assert_close(clips.factorised_attention(*one), clips.joint_attention(*one))


def test_histories_go_on_part_after_part():
    items = series.histories(100, drawn())
    for row in items.tolist():
        last = {}
        for item in row:
            s, p = divmod(item, series.PARTS)
            if s in last:
                assert p == (last[s] + 1) % series.PARTS
            last[s] = p
        assert len(last) <= 3


def test_a_strand_has_its_stem_with_one_base_changed():
    strand, first, second = series.strands(100, 48, drawn())
    inside = torch.arange(series.STEM)
    one = strand.gather(1, first[:, None] + inside)
    two = strand.gather(1, second[:, None] + inside)
    assert ((one.flip(-1) + two != 3).sum(dim=-1) == 1).all()
    fuzzy, exact = series.folds_found(strand, first, second)
    assert exact == 0
    assert fuzzy > 0.6


def test_a_lag_that_changes_is_found_day_by_day():
    leader, follower, lag = series.followers(100, 120, drawn())
    guess = series.lag_weights(leader, follower).argmax(dim=-1)
    settled = [*range(30, 60), *range(90, 120)]
    right = (guess == lag)[:, settled].float().mean()
    once = (series.one_lag(leader, follower)[:, None] == lag)[:, settled].float().mean()
    assert right > once + 0.1
    assert once <= 0.51


def test_tables_of_pixels_know_more_with_neighbours():
    losses = pixels.table_losses()
    assert losses["neighbours and place"] < losses["each pixel alone"]
    assert losses["neighbours and place"] < losses["four neighbours"] < math.log(2)


def test_a_short_training_learns_something_of_each():
    """A tenth of the steps: better than nothing, which is what a broken task would stay at."""
    assert clicks.painted(clicks.train_painter("convolution", 60, seed=0), 0) > 0.4
    assert clips.watched(clips.train_watcher("convolution", 60, seed=0), 0) > 0.4
    assert sounds.heard(sounds.train_listener("frames", 60, seed=0), 0) > 0.15
    assert sounds.felt(sounds.train_pooled("attention", 60, seed=0), 0) > 0.3
    assert captions.captioned(captions.train_captioner("attention", 60, seed=0), 0) > 0.05
    assert captions.picked(captions.train_matcher("cross", 60, seed=0), 0)[0] > 0.05
    assert series.recommended(series.train_recommender(60, seed=0), 0, count=200) > 0.1
    assert sum(boxes.detected(boxes.train_detector("convolution", 60, seed=0), 0)) >= 0


@pytest.mark.parametrize("kind", ["nearest click", "most alike click"])
def test_lookups_without_training_are_found_again(kind):
    written = measured("vision-speech-multimodal").results["segmentation"][kind]
    assert clicks.painted(kind, 0) == pytest.approx(written[0], abs=0.01)


def test_tables_that_were_written_down_are_found_again():
    found = measured("vision-speech-multimodal").results
    for kind in ("most played", "last song", "all songs"):
        again = series.recommended(kind, 0)
        assert again == pytest.approx(found["recommending"][kind][0], abs=0.02)
    for name, loss in pixels.table_losses().items():
        assert loss == pytest.approx(found["drawing"]["tables"][name], abs=2e-3)


def test_what_was_written_down_says_what_the_chapter_says():
    found = measured("vision-speech-multimodal").results
    segmentation, captioning = found["segmentation"], found["captioning"]
    others = ("convolution", "nearest click", "most alike click")
    assert median(segmentation["attention"]) > max(median(segmentation[x]) for x in others)
    assert min(captioning["attention"]) > max(captioning["one vector"])
    recall = {name: [pair[0] for pair in found["detection"][name]] for name in ARMS}
    assert median(recall["queries"]) > median(recall["convolution"])
    assert min(recall["convolution"]) > max(recall["queries, not matched"]) + 0.3
    swapped = {name: [pair[1] for pair in pairs] for name, pairs in found["matching"].items()}
    assert min(swapped["cross"]) > 0.95
    assert max(swapped["two vectors"]) < 0.6
    assert min(found["speech"]["in order"]) > 0.99
    order = [median(x) for x in zip(*found["looking"]["most ink"], strict=True)]
    assert order == sorted(order, reverse=True)


ARMS = ("queries", "queries, not matched", "convolution")
