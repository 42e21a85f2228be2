"""`/api/v1/connectors`: the sources of data, and starting and stopping them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from market_scraper.api.answers import Answer, describe
from market_scraper.api.deps import ApiDeps, Deps
from market_scraper.api.errors import NoOperations, UnknownConnector
from market_scraper.api.guards import may_write
from market_scraper.api.orders import performer, until_shown
from market_scraper.domain.errors import UnknownThing
from market_scraper.schemas import connectors

ALIASES = {"trader_ws": "positions"}
KIND = "connector"

router = APIRouter(prefix="/api/v1/connectors", tags=["connectors"], default_response_class=Answer)


async def _name(
    deps: Deps, name: Annotated[str, Path(description="As listed, or the alias `trader_ws` for `positions`")]
) -> str:
    name = ALIASES.get(name, name)
    if name not in _names(deps):
        raise UnknownConnector(f"no connector is named {name[:40]!r}; there are {', '.join(_names(deps))}")
    return name


Name = Annotated[str, Depends(_name)]


@router.get("", summary="All connectors", responses=describe(list[connectors.Connector]))
async def all_connectors(deps: Deps) -> Response:
    """Each with the age of its data."""
    return Answer([_shown(deps, name) for name in _names(deps)])


@router.get(
    "/{name}",
    summary="One connector",
    responses=describe(connectors.Connector, e404="unknown_connector not_found"),
)
async def one_connector(deps: Deps, name: Name) -> Response:
    """Its state, the age of its data, and what fails."""
    return Answer(_shown(deps, name))


_ORDER = describe(
    connectors.Connector,
    e401="unauthorized",
    e403="write_forbidden",
    e404="unknown_connector not_found",
    e503="no_operations store_unavailable bus_unavailable",
)


@router.post("/{name}/start", summary="Start a connector", responses=_ORDER, dependencies=[Depends(may_write)])
async def start(deps: Deps, name: Name) -> Response:
    """Starting what runs changes nothing. The choice survives a restart."""
    return await _order(deps, name, running=True)


@router.post("/{name}/stop", summary="Stop a connector", responses=_ORDER, dependencies=[Depends(may_write)])
async def stop(deps: Deps, name: Name) -> Response:
    """Stopping what stands changes nothing. The choice survives a restart."""
    return await _order(deps, name, running=False)


async def _order(deps: ApiDeps, name: str, *, running: bool) -> Response:
    operations = performer(deps)
    try:
        await (operations.start_connector(name) if running else operations.stop_connector(name))
    except UnknownThing as error:
        # The name is right, it stood in the path check: nobody here runs that connector.
        raise NoOperations(str(error), retry_after_s=30) from error
    await until_shown(deps, lambda: _is_running(deps, name) is running)
    return Answer(_shown(deps, name))


def _is_running(deps: ApiDeps, name: str) -> bool:
    health = deps.views.health.get(name)
    return health is not None and health.report.running


def _names(deps: ApiDeps) -> list[str]:
    reported = [c.name for c in deps.views.health.components() if c.kind == KIND]
    return [*deps.connectors, *(name for name in reported if name not in deps.connectors)]


def _shown(deps: ApiDeps, name: str) -> connectors.Connector:
    health = deps.views.health.get(name)
    if health is None:
        return connectors.connector(name, None, status=None, age_s=None)
    return connectors.connector(name, health.report, status=health.status, age_s=health.age_s)
