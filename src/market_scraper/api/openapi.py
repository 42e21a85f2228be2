"""The OpenAPI document: FastAPI's, with the shapes of our structs put in."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Make the document once, after all routes are in."""
    document = app.openapi()
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
