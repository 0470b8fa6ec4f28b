"""The admin above the accounts: its dashboard, and what operators do with it."""
