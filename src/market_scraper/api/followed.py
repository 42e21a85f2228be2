"""What a trader's answers are made of: views for now, the store for a moment of the past."""

from market_scraper.api.deps import ApiDeps
from market_scraper.api.errors import UnknownTrader
from market_scraper.domain.classes import ClassName, TraderClass, class_in
from market_scraper.domain.errors import NoHistory
from market_scraper.domain.positions import PositionState
from market_scraper.domain.traders import RatedTrader
from market_scraper.domain.values import Address, Symbol
from market_scraper.schemas import positions, traders
from market_scraper.schemas.times import moment


def must_be_followed(deps: ApiDeps, address: Address) -> None:
    """Raise UnknownTrader for one who is neither ranked, nor seen on the tape, nor chosen by hand."""
    views = deps.views
    is_rated = views.traders.get(address) is not None or views.traders.choice(address) is not None
    if not is_rated and all(views.positions.get(address, symbol) is None for symbol in deps.symbols):
        raise UnknownTrader(f"{address} is neither ranked nor seen on the tape")


def mark_of(deps: ApiDeps, symbol: Symbol) -> float | None:
    """The newest mark price, USD."""
    known = deps.views.markets.context(symbol)
    return None if known is None else known[0].mark


def position_now(deps: ApiDeps, address: Address, symbol: Symbol) -> positions.Position | None:
    """What may be claimed at this moment; None = nothing is known."""
    now = deps.views.positions.get(address, symbol)
    return None if now is None else positions.position(symbol, now.position, now.claim, mark_of(deps, symbol))


def seen_class(deps: ApiDeps, rated: RatedTrader, symbol: Symbol) -> ClassName | None:
    """What the position in one coin says of a tracked trader whose row says nothing; None = nothing either."""
    if class_in(rated.tags) is not None:
        return None
    now = deps.views.positions.get(rated.row.trader, symbol)
    known = None if now is None else now.position
    value = rated.row.account_value if rated.ranked else None
    return None if known is None else deps.classifier.seen(known, value)


def _classed(deps: ApiDeps, address: Address, rated: RatedTrader | None) -> TraderClass | None:
    heard = (deps.views.positions.get(address, symbol) for symbol in deps.symbols)
    known = [now.position for now in heard if now is not None and now.position is not None]
    return deps.classifier.classed(address, None if rated is None else rated.row, known)


def is_open(position: positions.Position | None) -> bool:
    """Whether there is a position, known or inferred."""
    if position is None:
        return False
    return position.state is PositionState.INFERRED or (position.size is not None and position.size != 0)


def detail_now(deps: ApiDeps, address: Address, symbol: Symbol) -> traders.TraderDetail:
    """Everything about one trader now; also for one of whom nothing is known but the user's choice."""
    view = deps.views.traders
    position = position_now(deps, address, symbol)
    rated = view.get(address)
    return traders.detail(
        address,
        rated,
        captured_at=moment(view.captured_at_ms),
        active=view.is_tracked(address),
        choice=view.choice(address),
        position=position,
        positions=[
            position_now(deps, address, each) or positions.position(each, None, None, mark_of(deps, each))
            for each in deps.symbols
        ],
        classed=_classed(deps, address, rated),
    )


async def summaries_at(deps: ApiDeps, symbol: Symbol, moment_ms: int) -> tuple[int, list[traders.TraderSummary]]:
    """Who was tracked at a moment of the past, as was known then: (when the scores were captured, best first).

    Names and prices of that time are not kept; they are null.
    """
    scores = await deps.store.traders.scores_at(moment_ms)
    if not scores:
        raise NoHistory("nobody was rated yet at that time")
    facts = await deps.store.positions.at(symbol, moment_ms, [row.trader for row in scores])
    shown = [
        traders.TraderSummary(
            address=row.trader,
            display_name=None,
            score=row.score,
            tags=row.tags,
            account_value=row.account_value,
            active=True,
            position=positions.position(symbol, facts[row.trader].after, None, None) if row.trader in facts else None,
        )
        for row in scores
    ]
    return scores[0].captured_at_ms, shown


async def detail_at(deps: ApiDeps, address: Address, symbol: Symbol, moment_ms: int) -> traders.TraderDetail:
    """One trader at a moment of the past, as was known then. Raises NoHistory before the first fact."""
    scores = [row for row in await deps.store.traders.scores_at(moment_ms) if row.trader == address]
    shown = [await _position_at(deps, address, each, moment_ms) for each in deps.symbols]
    if not scores and all(position.as_of is None for position in shown):
        raise NoHistory("nothing was known of this trader yet at that time")
    score = scores[0] if scores else None
    position = shown[deps.symbols.index(symbol)]
    return traders.TraderDetail(
        address=address,
        display_name=None,
        score=None if score is None else score.score,
        tags=() if score is None else score.tags,
        account_value=None if score is None else score.account_value,
        active=score is not None,
        choice=None,
        position=position if position.as_of is not None else None,
        positions=shown,
        performance=None,
        score_detail=None
        if score is None
        else traders.ScoreDetail(score=score.score, parts=score.parts, captured_at=moment(score.captured_at_ms)),
        inference=None,
        trader_class=None,  # the row of that time is not kept; its tags may name a class
    )


async def _position_at(deps: ApiDeps, address: Address, symbol: Symbol, moment_ms: int) -> positions.Position:
    facts = await deps.store.positions.at(symbol, moment_ms, [address])
    fact = facts.get(address)
    return positions.position(symbol, None if fact is None else fact.after, None, None)
