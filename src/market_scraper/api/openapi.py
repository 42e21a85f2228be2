"""The OpenAPI document: FastAPI's, with the shapes of our structs put in."""

from typing import Any

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Make the document once, after all routes are in."""
    document = app.openapi()
    components = document.setdefault("components", {}).setdefault("schemas", {})
    for path in document["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                components.update(response.pop("x-components", {}))
    for unused in ("HTTPValidationError", "ValidationError"):  # ours are `Problem`s
        if not _is_used(document["paths"], unused):
            components.pop(unused, None)


def _is_used(part: Any, name: str) -> bool:
    if isinstance(part, dict):
        return part.get("$ref") == f"#/components/schemas/{name}" or any(_is_used(v, name) for v in part.values())
    if isinstance(part, list):
        return any(_is_used(v, name) for v in part)
    return False
