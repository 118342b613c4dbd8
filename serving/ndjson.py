"""Batches as NDJSON: one customer per line in, one answer per line out as soon as its block is scored.

A line that cannot be read or scored becomes an error of that line. Every line of the answer says what an answer to one
request says, and its number; the last one sums up, so that whoever reads knows that nothing is missing.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import IO, Any

import orjson
from pydantic import BaseModel, Field, ValidationError, create_model
from starlette.requests import Request

from serving import schemas
from serving.errors import ApiError, error_from_validation
from serving.released_model import ReleasedModel
from serving.runtime import Runtime
from serving.scoring import RequestedCustomer, requested_item, score_many


class LinesSummary(schemas.Answer):
    """How many customers were answered."""

    lines_count: int = Field(ge=0, description="Customers in the request / 客户数")
    errors_count: int = Field(ge=0, description="Those of them that have an error / 出错数")


class LastLine(schemas.Answer):
    """The last line of an answer in lines; without it the answer is not complete."""

    request_id: str = Field(description="Of the whole batch / 请求编号")
    summary: LinesSummary = Field(description="What came before / 汇总")


BLOCK_LINES = 250
"""Lines that are scored together: enough for the models to work in bulk, few enough to answer soon."""

BLOCK_RAW_LINES = 5
"""Lines with raw data that are scored together: their features take longer than all the rest."""

_BLOCK_BYTES = 4_000_000

NumberedCustomer = tuple[int, RequestedCustomer | ApiError]


def line_model(answer: type[BaseModel]) -> type[BaseModel]:
    """Return the model of one line, from that of an answer for one customer."""
    return create_model(
        answer.__name__.replace("Answer", "Line"),
        __base__=answer,
        __doc__="One line of an answer in lines: the answer for one customer, and its place.",
        line=(int, Field(ge=1, description="Line of the request, or place in the batch, from 1 / 行号")),
    )


def parsed_blocks(
    lines: IO[bytes], item_model: type[schemas.RequestItem], *, largest_line_bytes: int
) -> Iterator[list[NumberedCustomer]]:
    """Return the customers of a body, block by block, each with the number of its line; empty lines are skipped.

    Args:
        lines: The body.
        item_model: What one line holds.
        largest_line_bytes: A longer line is an error of that line.
    """
    block: list[NumberedCustomer] = []
    block_bytes = 0
    raw_count = 0
    number = 0
    while line := lines.readline(largest_line_bytes + 1):
        number += 1
        if len(line) > largest_line_bytes:
            while line and not line.endswith(b"\n"):
                line = lines.readline(largest_line_bytes)
            problem = ApiError(413, "body_too_large", f"a line may have {largest_line_bytes} bytes")
            block.append((number, problem))
        elif line.strip():
            customer = _parsed(line, item_model)
            block.append((number, customer))
            block_bytes += len(line)
            raw_count += not isinstance(customer, ApiError) and customer.raw is not None
        if len(block) >= BLOCK_LINES or block_bytes >= _BLOCK_BYTES or raw_count >= BLOCK_RAW_LINES:
            yield block
            block, block_bytes, raw_count = [], 0, 0
    if block:
        yield block


def numbered_blocks(customers: Sequence[RequestedCustomer]) -> Iterator[list[NumberedCustomer]]:
    """Return the customers of a JSON batch, block by block, each with its place in the batch from 1."""
    for start in range(0, len(customers), BLOCK_LINES):
        yield list(enumerate(customers[start : start + BLOCK_LINES], start=start + 1))


async def answer_lines(
    blocks: Iterator[list[NumberedCustomer]],
    model: ReleasedModel,
    request: Request,
    *,
    close: Callable[[], None],
) -> AsyncIterator[bytes]:
    """Answer block by block and sum up at the end; between two blocks other batches have their turn.

    Args:
        blocks: The customers.
        model: Answers for all of them, whatever is released meanwhile.
        request: The whole batch's.
        close: Called when the answer is complete, and when the caller goes away before.
    """
    runtime: Runtime = request.app.state.runtime
    request_id: str = request.scope["request_id"]
    counts = {"lines_count": 0, "errors_count": 0}

    def next_block() -> bytes | None:
        block = next(blocks, None)
        if block is None:
            return None
        try:
            # The request has paid for one customer when it came in.
            runtime.access.charge(request.scope, len(block) + (counts["lines_count"] > 0))
        except ApiError as refusal:
            block = [(number, refusal) for number, _ in block]
        return _answered(block, model, runtime, request_id, counts)

    try:
        while (answered := await runtime.in_worker(next_block)) is not None:
            yield answered
        yield orjson.dumps({"request_id": request_id, "summary": counts}) + b"\n"
    finally:
        close()


def _parsed(line: bytes, item_model: type[schemas.RequestItem]) -> RequestedCustomer | ApiError:
    try:
        return requested_item(item_model.model_validate_json(line))
    except ValidationError as error:
        return error_from_validation(error)


def _answered(
    block: Sequence[NumberedCustomer],
    model: ReleasedModel,
    runtime: Runtime,
    request_id: str,
    counts: dict[str, int],
) -> bytes:
    sound = [customer for _, customer in block if not isinstance(customer, ApiError)]
    answer: dict[str, Any] = score_many(model, sound, runtime, request_id)
    results = iter(answer.pop("results"))
    lines: list[bytes] = []
    for number, customer in block:
        result = {"customer_id": None, "error": customer.problem()} if isinstance(customer, ApiError) else next(results)
        counts["lines_count"] += 1
        counts["errors_count"] += "error" in result
        lines.append(
            orjson.dumps(
                {**answer, "line": number, "result": result},
                option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE,
            )
        )
    return b"".join(lines)
