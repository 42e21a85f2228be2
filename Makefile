.PHONY: check lint format types imports test proof demo

check: lint types imports test  ## what CI says, without the long proofs

lint:
	uv run ruff check .
	uv run ruff format --check .

format:
	uv run ruff check --fix .
	uv run ruff format .

types:
	uv run mypy

imports:
	uv run lint-imports

test:
	uv run pytest

proof:  ## long; PROOF_SCALE=0.1 shortens it
	uv run pytest -m proof -n 0

demo:
	uv run market-scraper demo
