"""The client for asyncio. Of the modules here, all but `io` are what `tools/make_sync.py` makes `_sync` of."""
