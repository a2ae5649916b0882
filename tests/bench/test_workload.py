"""The content has the shape that the measurements of peers were made with."""

from __future__ import annotations

import pytest

from bench import workload


def test_nine_images_refer_35_times_to_27_layers() -> None:
    own = workload.layer_sizes(1.0)
    assert len(own) == 9
    assert sum(map(len, own)) + 1 == 27
    assert sum(map(len, own)) + len(own) == 35
    assert max(map(max, own)) == workload.LARGEST


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_the_layers_have_the_size_of_the_content_together(scale: float) -> None:
    sizes = [size for image in workload.layer_sizes(scale) for size in image]
    total = sum(sizes) + workload.BASE * scale
    assert total == pytest.approx(workload.UNIQUE * scale, rel=0.001)


def test_no_layer_is_empty_at_any_scale() -> None:
    assert min(size for image in workload.layer_sizes(0.0001) for size in image) >= 4096
