"""`/health`: what is alive, ready, and well, as the data's age says."""

from fastapi import APIRouter
from starlette.responses import Response

from market_scraper.api.answers import Answer, body_of, describe
from market_scraper.api.deps import Deps
from market_scraper.schemas import health
from market_scraper.schemas.times import moment

RETRY_AFTER_S = 2

router = APIRouter(prefix="/health", tags=["health"], default_response_class=Answer)


@router.get("/live", summary="Liveness probe", responses=describe(health.Alive))
async def live() -> Response:
    """The process answers."""
    return Answer(health.Alive())


@router.get(
    "/ready",
    summary="Readiness probe",
    responses=describe(health.Ready) | {503: body_of(health.NotReady, "Something that this process needs is missing")},
)
async def ready(deps: Deps) -> Response:
    """200 when the roles of this process have what they need."""
    checks = deps.views.health.checks()
    if all(checks.values()):
        return Answer(health.Ready(ready=True, checks=checks))
    missing = ", ".join(name for name, well in checks.items() if not well)
    answer = health.NotReady(ready=False, checks=checks, detail=f"not ready: {missing}", code="not_ready")
    return Answer(answer, status_code=503, headers={"Retry-After": str(RETRY_AFTER_S)})


@router.get("/status", summary="Every component's health", responses=describe(health.Status))
async def status(deps: Deps) -> Response:
    """Always 200: `status` says how the system is."""
    view = deps.views.health
    components = {
        component.name: health.Component(
            kind=component.kind,
            status=component.status,
            age_s=component.age_s,
            last_success=moment(component.report.last_success_ms),
            errors=component.report.errors,
            reason=component.report.reason,
            since=moment(component.report.failing_since_ms),
            detail=component.report.detail,
        )
        for component in view.components()
    }
    return Answer(
        health.Status(
            status=view.overall(),
            version=deps.version,
            timestamp=moment(deps.clock.now_ms()),
            symbols=deps.symbols,
            roles=deps.roles,
            backends=dict(deps.backends),
            components=components,
        )
    )
