# The program in a small image: `docker compose up --build`.
FROM python:3.11-slim
ENV UV_LINK_MODE=copy UV_NO_CACHE=1 PYTHONUNBUFFERED=1 \
    PATH=/app/.venv/bin:$PATH API_HOST=0.0.0.0 STORAGE__PATH=/data/market_scraper.db
RUN pip install --no-cache-dir uv && useradd --system --uid 10001 app && mkdir /data && chown app /data
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY config config
RUN uv sync --no-dev
USER app
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=30s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/live', timeout=3)"]
CMD ["market-scraper", "server"]
