"""The one place that plugs the rooms together: `run.run` a server, `backfill.backfill` a store."""
