"""The digests of rows tell altered texts apart, however the rows are stored."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.row_digests import row_digests

KEY = b"k" * 32
TEXTS = st.lists(st.none() | st.text(max_size=6), min_size=1, max_size=20)


def digests(texts: list[str | None], kind: pa.DataType | None = None) -> list[int]:
    return row_digests(pa.table({"text": pa.array(texts, kind or pa.string())}), KEY).tolist()


@settings(max_examples=60)
@given(TEXTS)
def test_equal_texts_and_only_these_have_equal_digests(texts: list[str | None]) -> None:
    by_text = dict(zip(texts, digests(texts), strict=True))

    assert digests(texts) == [by_text[text] for text in texts]
    assert len(set(by_text.values())) == len(by_text)


@settings(max_examples=30)
@given(TEXTS, st.data())
def test_a_digest_does_not_depend_on_the_rows_around_it(texts: list[str | None], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(texts) - 1))
    table = pa.table({"text": pa.array(texts, pa.string())})

    assert row_digests(table.slice(first), KEY).tolist() == digests(texts)[first:]
    assert digests(texts, pa.large_string()) == digests(texts)


def test_moved_letters_missing_texts_and_other_columns_count() -> None:
    assert len(set(digests(["ab", "ba", "a", "b", "", None, "a\0", "电费", "费电"]))) == 9
    one, other = (row_digests(pa.table({name: ["a"]}), KEY)[0] for name in ("text", "other"))
    assert one != other


def test_nobody_without_the_key_can_tell_a_digest() -> None:
    table = pa.table({"text": ["a"]})

    assert row_digests(table, KEY)[0] != row_digests(table, b"x" * 32)[0]
