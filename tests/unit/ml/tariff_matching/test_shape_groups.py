from dataclasses import replace

import numpy as np
import pytest

from ml.columns import CUSTOMER_CLASSES
from ml.tariff_matching.blocks import BLOCKS_COUNT
from ml.tariff_matching.shape_groups import CUSTOMERS_PER_GROUP_MIN, GROUPS_PER_CLASS, ShapeGroups, load_shapes
from ml.tariffs.load_cube import LoadCube

RESIDENTIAL, INDUSTRIAL = CUSTOMER_CLASSES.index("residential"), CUSTOMER_CLASSES.index("industrial")


def shapes_around(*blocks: int, count: int = 40) -> np.ndarray:
    """Return loads that use most of their energy in one of some blocks, in turn."""
    rng = np.random.default_rng(5)
    shapes = rng.uniform(0.02, 0.04, (count, BLOCKS_COUNT))
    for position in range(count):
        shapes[position, blocks[position % len(blocks)]] += 0.5
    return shapes


def test_customers_with_one_habit_are_in_one_group() -> None:
    shapes = shapes_around(1, 6)
    classes = np.full(40, RESIDENTIAL)
    groups = ShapeGroups.fit(shapes, classes)
    codes = groups.codes(shapes, classes)
    assert len(set(codes[::2])) == len(set(codes[1::2])) == 1
    assert codes[0] != codes[1]


def test_classes_are_grouped_apart_and_a_class_without_groups_is_unknown() -> None:
    shapes = shapes_around(1, 6)
    classes = np.where(np.arange(40) < 20, RESIDENTIAL, INDUSTRIAL)
    groups = ShapeGroups.fit(shapes, classes)
    codes = groups.codes(shapes, classes)
    assert not set(codes[:20]) & set(codes[20:])
    commercial = np.full(40, CUSTOMER_CLASSES.index("commercial"))
    assert np.isnan(groups.codes(shapes, commercial)).all()
    assert np.isnan(ShapeGroups().codes(shapes, classes)).all()


@pytest.mark.parametrize(
    ("customers_count", "groups_count"),
    [(3, 1), (2 * CUSTOMERS_PER_GROUP_MIN, 2), (9 * CUSTOMERS_PER_GROUP_MIN, GROUPS_PER_CLASS)],
)
def test_more_customers_have_more_groups(customers_count: int, groups_count: int) -> None:
    shapes = shapes_around(1, 4, 6, 9, count=customers_count)
    assert len(ShapeGroups.fit(shapes, np.full(customers_count, RESIDENTIAL)).centres) == groups_count


def test_groups_do_not_depend_on_the_order_of_customers() -> None:
    shapes = shapes_around(1, 6)
    classes = np.full(40, RESIDENTIAL)
    assert ShapeGroups.fit(shapes[::-1], classes) == ShapeGroups.fit(shapes, classes)


def test_a_month_that_was_not_read_says_nothing_about_the_shape(town: LoadCube) -> None:
    shapes = load_shapes(town)
    assert shapes.sum(axis=1) == pytest.approx(np.ones(len(town)), abs=1e-4)
    present = np.ones(town.present.shape, bool)
    present[0, 12:] = False
    partly = load_shapes(replace(town, present=present, _cache={}))
    assert (partly[0] != shapes[0]).any()
    first_year = replace(town.take(np.array([0])), _cache={})
    first_year = LoadCube.from_arrays(
        first_year.customer_keys,
        town.months[:12],
        kwh=np.ascontiguousarray(first_year.kwh[:, :12]),
        peak_kw=np.ascontiguousarray(first_year.peak_kw[:, :12]),
        slot_minutes=60,
    )
    assert (load_shapes(first_year)[0] == partly[0]).all()


def test_an_empty_load_has_an_empty_shape(town: LoadCube) -> None:
    empty = replace(town, kwh=np.zeros_like(town.kwh), _cache={})
    assert not load_shapes(empty).any()
