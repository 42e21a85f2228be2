"""The OpenAPI document: FastAPI's, with the shapes of our structs put in."""

from functools import cache
from typing import Any

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Have the document made once, when it is first asked for: it takes longer than all else of the application."""
    made = app.openapi

    @cache
    def openapi() -> dict[str, Any]:
        document = made()
        _put_structs_in(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _put_structs_in(document: dict[str, Any]) -> None:
    components = document.setdefault("components", {}).setdefault("schemas", {})
    for path in document["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            # FastAPI promises a 422 wherever there is a parameter; ours that can be wrong in that way say so
            # themselves, with their codes.
            if "HTTPValidationError" in str(responses.get("422")):
                del responses["422"]
            for response in responses.values():
                components.update(response.pop("x-components", {}))
    components.pop("HTTPValidationError", None)
    components.pop("ValidationError", None)
