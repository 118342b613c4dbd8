"""A number per row of the log that follows from its values and a secret, to say which row of a file was altered.

That a file was altered at all is shown by its SHA-256 in the ledger; these digests only find the place, so a fast mix
of keyed hashes by column is enough. The sequence numbers beside them show rows that were removed or inserted.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

SEQUENCE = "sequence"
ROW_DIGEST = "row_digest"

Digests = NDArray[np.uint64]

_MISSING = np.uint64(0x9E3779B97F4A7C15)


def add_row_digests(table: "pa.Table", key: bytes) -> "pa.Table":
    """Return the table with its digests as last column."""
    import pyarrow as pa

    return table.append_column(ROW_DIGEST, pa.array(row_digests(table, key).view(np.int64), pa.int64()))


def row_digests(table: "pa.Table", key: bytes) -> Digests:
    """Return the digest of every row, whatever the order of the columns and the width of their types.

    Args:
        table: Rows; a column of digests is left out.
        key: Secret; without it nobody can give an altered row its digest.
    """
    total = np.zeros(table.num_rows, dtype=np.uint64)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name != ROW_DIGEST:
            total += _mixed(_column_hashes(column, key) ^ _content_hash(name.encode(), key))
    return total


def _column_hashes(column: "pa.ChunkedArray", key: bytes) -> Digests:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), _MISSING)
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        encoded = column.combine_chunks().dictionary_encode()
        if pa.types.is_binary(kind):
            known = np.array([_content_hash(content, key) for content in encoded.dictionary.to_pylist()], np.uint64)
        else:
            known = _text_hashes(encoded.dictionary, key)
        texts = np.append(known, _MISSING)
        hashes: Digests = texts[pc.fill_null(encoded.indices, len(texts) - 1).to_numpy(zero_copy_only=False)]
        return hashes
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", tz=kind.tz)).cast(pa.int64())
    elif pa.types.is_date(kind):
        column = column.cast(pa.date32()).cast(pa.int32())
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    numbers = column.cast(pa.float64(), safe=False).to_numpy().astype(np.float64, copy=True)
    # One form for zero and for every way to say that there is no value.
    numbers += 0.0
    return np.where(np.isnan(numbers), _MISSING, numbers.view(np.uint64))


def _mixed(values: Digests) -> Digests:
    """Spread every bit over all others (the finaliser of SplitMix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _text_hashes(texts: "pa.Array", key: bytes) -> Digests:
    """Return a keyed hash of each text: the sum over its bytes of the mixed pair of byte and place (Zobrist 1970)."""
    import pyarrow as pa

    texts = texts.cast(pa.large_string())
    hashes = np.full(len(texts), _content_hash(b"text", key))
    _, offsets, content = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(ends)
    is_filled = lengths > 0
    if not is_filled.any():
        return hashes
    characters = np.frombuffer(content, np.uint8)[ends[0] : ends[-1]].astype(np.uint64)
    places = np.arange(len(characters)) - np.repeat(ends[:-1] - ends[0], lengths)
    mixed = _mixed((places.astype(np.uint64) << np.uint64(8) | characters) ^ _content_hash(b"place", key))
    hashes[is_filled] += np.add.reduceat(mixed, (ends[:-1] - ends[0])[is_filled])
    return hashes


def _content_hash(content: bytes, key: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(content, digest_size=8, key=key).digest(), "little"))
