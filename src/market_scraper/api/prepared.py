"""Encoded answers that may be given again for a moment: making one costs far more than sending it.

A route of a `PreparedRoute` router that returns a `Reusable` has it kept under the very words of the request, and the
next one who asks in the same words is answered before parameters are even looked at (measured: 500 traders cost
3.7 ms to make; solving the parameters alone costs three times what a bare route does).
"""

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from market_scraper.api.answers import Answer, with_tag

MAX_AGE_S = 0.25
MAX_ANSWERS = 64

Question = tuple[str, bytes]
"""Path and query string."""

Kept = tuple[bytes, str | None]
"""A body, and its ETag where it has one."""


class Reusable(Answer):
    """An answer that holds for others too: while `still_true()` says so, or for MAX_AGE_S without one.

    `made_at_s` is when what it is made of was true (monotonic seconds of the program's clock); None = now.
    `etag` is given with it, and a client that names it gets 304.
    """

    def __init__(
        self,
        body: bytes,
        still_true: Callable[[], bool] | None = None,
        *,
        made_at_s: float | None = None,
        etag: str | None = None,
    ) -> None:
        super().__init__(body, headers=None if etag is None else {"ETag": etag})
        self.etag = etag
        self.still_true = still_true
        self.made_at_s = made_at_s


class Prepared:
    """Bodies and their tags by question. Time is seconds of the caller's monotonic clock."""

    def __init__(self, *, max_age_s: float = MAX_AGE_S, max_answers: int = MAX_ANSWERS) -> None:
        self._answers: OrderedDict[Question, tuple[float, Callable[[], bool] | None, Kept]] = OrderedDict()
        self._max_age_s = max_age_s
        self._max = max_answers

    def get(self, question: Question, now_s: float) -> Kept | None:
        """A body that still holds, and its tag."""
        kept = self._answers.get(question)
        if kept is None:
            return None
        made_at_s, still_true, answer = kept
        holds = now_s - made_at_s <= self._max_age_s if still_true is None else still_true()
        return answer if holds else None

    def put(self, question: Question, answer: Reusable, now_s: float) -> None:
        """Keep an answer; the oldest goes when there are too many."""
        made_at_s = now_s if answer.made_at_s is None else answer.made_at_s
        self._answers[question] = (made_at_s, answer.still_true, (bytes(answer.body), answer.etag))
        self._answers.move_to_end(question)
        while len(self._answers) > self._max:
            self._answers.popitem(last=False)


class PreparedRoute(APIRoute):
    """A route whose Reusable answers are kept."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Look for a prepared answer first."""
        make = super().get_route_handler()

        async def answer(request: Request) -> Response:
            state = request.app.state.api
            question = (request.scope["path"], request.scope["query_string"])
            now_s = state.deps.clock.monotonic()
            kept = state.prepared.get(question, now_s)
            if kept is not None:
                body, etag = kept
                return Answer(body) if etag is None else with_tag(request, body, etag)
            made = await make(request)
            if not isinstance(made, Reusable):
                return made
            state.prepared.put(question, made, now_s)
            return made if made.etag is None else with_tag(request, bytes(made.body), made.etag)

        return answer
