"""`python -m market_scraper` is the same program as `market-scraper`."""

from market_scraper.cli import main

if __name__ == "__main__":
    main()
