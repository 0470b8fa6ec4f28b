"""Every metric of the platform; docs/operations/monitoring.md has them in a table that a test holds against this.

Labels have few values: types of components, names of routes, outcomes; never an id, an address or a name that a user
gave. Where a metric is counted in processes it counts what happened since Valkey was last emptied, and may miss what
a killed process had not sent yet; what is a fact of PostgreSQL is exact.
"""

from core.metrics import SHORT_SECONDS, Counter, Fact, Histogram, Metric, ProcessGauge

ENDS = ("completed", "failed", "cancelled")
DELIVERIES = ("succeeded", "failed", "retried")

# --- executions and components
EXECUTIONS_ACCEPTED = Counter(
    "apg_executions_accepted_total",
    "Executions stored, by what started them",
    ("trigger",),
    {"trigger": ("manual", "schedule", "webhook", "event", "sub_workflow")},
)
EXECUTIONS_STARTED = Counter("apg_executions_started_total", "Executions whose first component was claimed")
EXECUTIONS_ENDED = Counter(
    "apg_executions_ended_total", "Executions that ended, by their status", ("status",), {"status": ENDS}
)
EXECUTION_SECONDS = Histogram(
    "apg_execution_seconds", "From an execution's start to its end", ("status",), {"status": ENDS}
)
COMPONENT_ATTEMPTS = Counter(
    "apg_component_attempts_total", "Attempts of components that a worker made, by what came of them",
    ("type", "outcome"),
)  # fmt: skip
COMPONENT_SECONDS = Histogram("apg_component_seconds", "How long a worker was busy with an attempt", ("type",))
QUEUE_WAIT_SECONDS = Histogram(
    "apg_queue_wait_seconds", "From queued to claimed, of component runs that were queued", ("queue", "priority")
)
RESCUES = Counter("apg_rescues_total", "Attempts taken over from a process or a worker that was gone")
OUTPUTS_NOT_STORED = Counter(
    "apg_outputs_not_stored_total",
    "Attempts whose large outputs went into their rows because the store of outputs was away",
)
SWEEP_FINDS = Counter("apg_sweep_finds_total", "What sweeps moved on, by the sweep", ("sweep",))

# --- schedules
SCHEDULE_SLOTS = Counter("apg_schedule_slots_total", "Slots of schedules: started, or why not", ("outcome",))
SCHEDULE_LATENESS_SECONDS = Histogram(
    "apg_schedule_lateness_seconds", "From a slot's time to the start of its execution"
)

# --- webhooks, outbound calls
WEBHOOK_ATTEMPTS = Counter(
    "apg_webhook_attempts_total", "Attempts to deliver to webhooks, by what came of them", ("outcome",),
    {"outcome": DELIVERIES},
)  # fmt: skip
WEBHOOK_SECONDS = Histogram("apg_webhook_seconds", "How long an attempt to deliver took", bounds=SHORT_SECONDS)
WEBHOOKS_OFF = Counter("apg_webhooks_turned_off_total", "Webhooks turned off by the platform", ("reason",))
OUTBOUND_REQUESTS = Counter(
    "apg_outbound_requests_total", "Calls to addresses of users, by the class of the status or the kind of the error",
    ("outcome",),
)  # fmt: skip
OUTBOUND_SECONDS = Histogram("apg_outbound_seconds", "How long calls to addresses of users took", bounds=SHORT_SECONDS)

# --- requests
HTTP_REQUESTS = Counter(
    "apg_http_requests_total", "Requests answered, by method, route and status", ("method", "route", "status")
)
HTTP_SECONDS = Histogram(
    "apg_http_request_seconds", "How long requests took, by route", ("route",), bounds=SHORT_SECONDS
)
RATE_REFUSALS = Counter("apg_rate_limit_refusals_total", "Requests refused for a rate, by the limit", ("limit",))

# --- sockets: of each web process
WEB_PROCESSES = ProcessGauge("apg_web_processes", "Web processes that have said something within 15 seconds")
SOCKETS = ProcessGauge("apg_sockets_open", "WebSockets that are open")
SUBSCRIPTIONS = ProcessGauge("apg_socket_subscriptions", "What open sockets watch")
LIVE_LOOK_AGE_SECONDS = ProcessGauge(
    "apg_live_look_age_seconds", "Since live views last saw the ledger's end; 0 where nobody watches", merge="max"
)
SOCKET_SEND_SECONDS = ProcessGauge(
    "apg_socket_slowest_send_seconds", "How long the slowest client has kept a message waiting", merge="max"
)

# --- what PostgreSQL knows
EXECUTIONS = Fact("apg_executions", "Executions that have not ended, by status", ("status",))
RUNS = Fact("apg_component_runs", "Component runs that run, wait, or are held by max_parallel", ("status",))
QUEUE_DEPTH = Fact("apg_queue_depth", "Component runs that want a worker", ("queue", "priority"))
QUEUE_OLDEST_SECONDS = Fact("apg_queue_oldest_seconds", "How long the longest of them has wanted one", ("queue",))
WORKERS = Fact("apg_workers", "Workers whose heart has beaten within 15 seconds")
QUEUE_WORKERS = Fact("apg_queue_workers", "How many of them serve a queue", ("queue",))
WORKER_PROCESSES = Fact("apg_worker_processes", "Processes of these workers, or threads where they have those")
BUSY_PROCESSES = Fact("apg_worker_processes_busy", "Processes that hold a component run")
MAINTENANCE = Fact("apg_maintenance", "1 while maintenance mode holds new executions back")
LEDGER_LAG = Fact("apg_ledger_lag_events", "Rows of the ledger that a follower has not dealt with", ("follower",))
LEDGER_LAG_SECONDS = Fact("apg_ledger_lag_seconds", "How old the oldest of them is", ("follower",))
DELIVERIES_OPEN = Fact(
    "apg_webhook_deliveries", "Deliveries that are due, wait for their next attempt, are under way, or are held",
    ("state",),
)  # fmt: skip
DELIVERY_DUE_SECONDS = Fact("apg_webhook_oldest_due_seconds", "How long the longest of those due has been due")
SCHEDULES_DUE = Fact("apg_schedules_due", "Schedules with a slot that is due")
SCHEDULE_DUE_SECONDS = Fact("apg_schedule_oldest_due_seconds", "How long the longest of them has been due")
DATABASE_BYTES = Fact("apg_database_size_bytes", "What the database takes on PostgreSQL's disk")
CONNECTIONS = Fact("apg_database_connections", "Connections to PostgreSQL, of everybody's")
CONNECTIONS_MAX = Fact("apg_database_connections_max", "How many PostgreSQL accepts")

# --- what the web process that answers knows
UP = Fact("apg_up", "Whether a part answered in time; without it, what it knows is missing here", ("part",))
ANSWER_SECONDS = Fact("apg_answer_seconds", "How long a part took to tell what it knows", ("part",))
DISK_USED = Fact("apg_disk_used_ratio", "Of the disk that the data folder of the web process is on, 0 to 1")
BUILD = Fact("apg_build_info", "1, with the version of the platform and of Python", ("version", "python"))

ALL: dict[str, Metric] = {value.name: value for value in list(vars().values()) if isinstance(value, Metric)}
