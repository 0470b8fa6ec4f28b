"""The fault suite: real processes, killed and starved, and the invariants that must hold after each."""
