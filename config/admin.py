"""Pages of the admin that no app's own `admin` module registers: Django imports this one when it looks for pages."""

from executions import trigger_admin as trigger_admin
