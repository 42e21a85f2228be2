"""Bitcoin on-chain sources: each file knows one source's URL, words and units; `fetch` asks for all of them."""
