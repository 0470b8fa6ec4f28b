"""The client for threads. All modules here but `io` are written by `tools/make_sync.py`; change those of `_async`."""
