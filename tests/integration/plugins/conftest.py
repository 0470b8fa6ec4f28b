"""The engine's fixtures, for workflows that use a plug-in."""

from tests.integration.executions.conftest import doorbells, only_legal_moves

__all__ = ["doorbells", "only_legal_moves"]
