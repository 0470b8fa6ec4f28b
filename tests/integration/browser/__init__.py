"""What people see of the platform, in a real browser."""
