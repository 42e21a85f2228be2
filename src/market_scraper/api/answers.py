"""How an answer is encoded, tagged, and described in the OpenAPI document."""

from hashlib import blake2b
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from market_scraper.schemas.problems import Problem

ENCODER = msgspec.json.Encoder()
REF = "#/components/schemas/{name}"

_WHEN = {
    400: "The address or id is malformed",
    401: "The key is missing or wrong",
    403: "Writing is not allowed from there",
    404: "Unknown",
    422: "A parameter is wrong",
    503: "The source of the answer is not available yet",
}


class Answer(JSONResponse):
    """A msgspec struct, or bytes that are JSON already, as the body."""

    def render(self, content: Any) -> bytes:
        return content if isinstance(content, bytes) else ENCODER.encode(content)


def tagged(request: Request, content: object, *, alike: object = None) -> Response:
    """Answer with an ETag, or with 304 when the client has these very bytes: for what changes rarely.

    `alike` is what the answer means, where its bytes differ each time (an age): the ETag is then a weak one, of that.
    """
    body = ENCODER.encode(content)
    return with_tag(request, body, tag_of(body) if alike is None else tag_of(ENCODER.encode(alike), weak=True))


def tag_of(what: bytes, *, weak: bool = False) -> str:
    """An ETag. `weak`: of what an answer means, not of its very bytes (an age in it may differ)."""
    return f'{"W/" if weak else ""}"{blake2b(what, digest_size=12).hexdigest()}"'


def with_tag(request: Request, body: bytes, etag: str) -> Response:
    """Answer with that ETag, or with 304 when the client names it."""
    if _matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers={"ETag": etag})
    return Answer(body, headers={"ETag": etag})


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    offered = {part.strip().removeprefix("W/") for part in header.split(",")}
    return etag.removeprefix("W/") in offered or "*" in offered


def describe(kind: Any, *, tagged: bool = False, **codes: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` of a route that answers with `kind`; `codes` = {"e404": "unknown_symbol no_history"}.

    Every route with parameters can also be asked for something that no route knows: `not_found` is implied in 404.
    """
    described: dict[int | str, dict[str, Any]] = {200: body_of(kind)}
    if tagged:
        described[304] = {"description": "The client has it already (`If-None-Match`)"}
    for status, words in codes.items():
        described[int(status[1:])] = _problems(int(status[1:]), words.split())
    return described


def body_of(kind: Any, description: str = "OK") -> dict[str, Any]:
    """A JSON body of one of our structs, or of a list of them."""
    (schema,), components = msgspec.json.schema_components([kind], ref_template=REF)
    # `components` are collected once for the whole document, see `openapi.py`.
    return {
        "description": description,
        "content": {"application/json": {"schema": schema}},
        "x-components": components,
    }


def _problems(status: int, codes: list[str]) -> dict[str, Any]:
    described = body_of(Problem, _WHEN[status])
    described["content"]["application/json"]["examples"] = {
        code: {"value": {"detail": "what is wrong, in words", "code": code}} for code in codes
    }
    if status == 503:
        described["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}}
    return described
