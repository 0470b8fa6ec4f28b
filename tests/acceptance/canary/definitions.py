"""The workflows of the sweep: every way that we know on which a secret may leave a component."""

from collections.abc import Mapping
from itertools import pairwise

from core.types import JSONObject, JSONValue
from executions.bounds import MAX_TEXT
from tests.acceptance.canary.kinds import Kind
from workflows.components.script import MAX_MESSAGE_CHARS, MAX_PRINTED_CHARS
from workflows.schemas import MAX_RECEIVED

# Secrets that components read as `secrets.NAME`, by the kind whose canary they hold.
BY_SECRET = (
    Kind.SECRET, Kind.ECHOED, Kind.ECHOED_ERROR, Kind.ENCODED, Kind.REDIRECTED, Kind.THROWN, Kind.EXPRESSION,
    Kind.UNFIT, Kind.UNFIT_SCHEMA, Kind.LOGGED, Kind.ITEM, Kind.CHILD, Kind.SIGNALLED, Kind.MAILED, Kind.QUERIED,
    Kind.KILLED, Kind.BROKEN_OFF, Kind.CUT_FAILURE, Kind.CUT_LOG, Kind.CUT_UNFIT, Kind.REPLACED_SECRET,
)  # fmt: skip
# Parameters of the execution that are secret: a script is given no others.
BY_PARAMETER = (
    Kind.SECRET_PARAMETER, Kind.RAISED, Kind.PRINTED, Kind.CUT_PRINT, Kind.CUT_RAISED, Kind.SIGNAL_VALUE,
)  # fmt: skip
# What the HTTP server at the far end is told.
SENT = (
    Kind.ECHOED, Kind.ECHOED_ERROR, Kind.ENCODED, Kind.REDIRECTED, Kind.ITEM, Kind.KILLED, Kind.BROKEN_OFF,
    Kind.SIGNAL, Kind.SIGNAL_VALUE, Kind.HEADER, Kind.AUTH, Kind.QUERY, Kind.BODY_FIELD, Kind.EARLIER,
    Kind.IMPORTED, Kind.IN_BULK, Kind.FILLED_IN,
)  # fmt: skip
_HALF = 20


def read(kind: Kind) -> str:
    """The expression that reads the kind's secret."""
    return f"{{{{ secrets.{kind.name} }}}}"


def parameters() -> list[JSONObject]:
    """What the workflows declare."""
    secret: list[JSONObject] = [{"name": kind.name.lower(), "type": "secret"} for kind in BY_PARAMETER]
    return [*secret, {"name": "sensitive_one", "type": "object", "sensitive": True}]


def ways_out(far: str, child_id: str) -> JSONObject:
    """Every component at once; most of them fail, in as many ways."""
    return {
        "components": [
            *_http(far),
            *_failures(),
            *_scripts(),
            part("log", "log", message=f"It is {read(Kind.LOGGED)}, {read(Kind.SECRET)}"),
            part("log_object", "log", message={"a": read(Kind.LOGGED), "b": [read(Kind.SECRET)]}, level="error"),
            # The line is cut in the middle of the secret.
            part("cut_log", "log", message=_filled(MAX_TEXT, 8) + read(Kind.CUT_LOG) + "." * 50),
            part("give", "transform", output={"plain": read(Kind.SECRET), "key": {read(Kind.SECRET): 1},
                 "parameters": "{{ parameters }}"}),
            part("loop", "for_each", items=[read(Kind.ITEM), "plain", {"deep": [read(Kind.ITEM)]}],
                 on_item_error="continue", components=[
                     part("tell", "log", message="{{ item }}"),
                     part("repeat", "http_request", url=f"{far}/echo", method="POST", body={"item": "{{ item }}"}),
                     part("stumble", "fail", message="{{ item }}"),
                 ]),
            part("child", "sub_workflow", workflow_id=child_id,
                 parameters={"plain": read(Kind.CHILD), "list": [{"a": read(Kind.CHILD)}], "token": read(Kind.CHILD)}),
            part("query", "database_query", connection="WAREHOUSE",
                 query="SELECT CAST(:value AS text) AS value", parameters={"value": read(Kind.QUERIED)}),
            part("bad_query", "database_query", connection="WAREHOUSE",
                 query="SELECT CAST(CAST(:value AS text) AS integer)", parameters={"value": read(Kind.QUERIED)}),
            part("no_database", "database_query", connection="NO_WAREHOUSE", query="SELECT 1", timeout=2),
            part("mail", "email", to="a@example.com", subject="s", body=read(Kind.MAILED)),
            part("bad_mail", "email", to=read(Kind.MAILED), subject="s"),
            part("wait", "wait_for_signal", signal=read(Kind.SIGNALLED), timeout_seconds=1),
        ],
        "parameters": parameters(),
        "settings": {"on_failure": "continue"},
    }  # fmt: skip


def _http(far: str) -> list[JSONObject]:
    return [
        part("echo", "http_request", url=f"{far}/echo", method="POST", body=[read(Kind.ECHOED)],
             headers={"X-Token": read(Kind.ECHOED)}),
        part("fails", "http_request", url=f"{far}/fail", method="POST", body=read(Kind.ECHOED_ERROR),
             auth={"type": "bearer", "token": read(Kind.ECHOED_ERROR)}),
        part("encode", "http_request", url=f"{far}/encode", method="POST", headers={"X-Token": read(Kind.ENCODED)}),
        part("redirect", "http_request", url=f"{far}/redirect", method="GET",
             auth={"type": "api_key", "name": "k", "value": read(Kind.REDIRECTED), "in": "query"}),
        part("redirect_query", "http_request", url=f"{far}/redirect", method="GET", query={"q": read(Kind.REDIRECTED)}),
        part("url", "http_request", url=f"{{{{ secrets.{Kind.URL_OF_SECRET.name} }}}}", method="GET"),
        part("refused", "http_request", url=f"http://10.0.0.1/?q={read(Kind.SECRET)}", method="GET", timeout=2),
    ]  # fmt: skip


def _failures() -> list[JSONObject]:
    return [
        part("throw", "fail", message=f"No: {read(Kind.THROWN)}"),
        part("cut_throw", "fail", message=_filled(MAX_TEXT, 8) + read(Kind.CUT_FAILURE) + "." * 50),
        part("number", "transform", output=f"{{{{ secrets.{Kind.EXPRESSION.name} | int }}}}"),
        part("json", "transform", output=f"{{{{ secrets.{Kind.EXPRESSION.name} | fromjson }}}}"),
        part("attribute", "transform", output=f"{{{{ secrets.{Kind.EXPRESSION.name}.length.more }}}}"),
        part("key", "transform", output=f"{{{{ components[secrets.{Kind.EXPRESSION.name}].output }}}}"),
        part("date", "transform", output=f"{{{{ secrets.{Kind.EXPRESSION.name} | date('%Y') }}}}"),
        part("unfit", "http_request", url=read(Kind.UNFIT), method="GET"),
        part("unfit_timeout", "delay", seconds=read(Kind.UNFIT)),
        part("cut_unfit", "http_request", url=_filled(MAX_RECEIVED, 1) + read(Kind.CUT_UNFIT), method="GET"),
        part("schema", "validate", value={"a": read(Kind.UNFIT_SCHEMA)},
             schema={"properties": {"a": {"const": 1}}, "additionalProperties": False}),
        part("unknown_field", "validate", value={read(Kind.UNFIT_SCHEMA): 1}, schema={"additionalProperties": False}),
        part("cut_schema", "validate", value={_filled(MAX_RECEIVED, 2) + read(Kind.CUT_UNFIT): 1},
             schema={"additionalProperties": False}),
        part("no_child", "sub_workflow", workflow_id=read(Kind.UNFIT)),
        part("cut_child", "sub_workflow", workflow_id=_filled(MAX_RECEIVED, 2) + read(Kind.CUT_UNFIT)),
    ]  # fmt: skip


def _scripts() -> list[JSONObject]:
    fill = MAX_MESSAGE_CHARS - _HALF - len("script failed: ValueError: ")
    return [
        part("print", "script", code="print('it is', parameters['printed'])\nresult = [parameters['printed']]"),
        part("raise", "script", code="raise ValueError(parameters['raised'])"),
        part("cut_print", "script", code=f"print('x' * {MAX_PRINTED_CHARS - _HALF} + parameters['cut_print'])"),
        part("cut_raise", "script", code=f"raise ValueError('x' * {fill} + parameters['cut_raised'] + '.' * 50)"),
        # Long enough to be seen beside the worker, and ended by its own limit.
        part("endless", "script", code="a = parameters['secret_parameter']\nwhile True: pass", timeout_seconds=1),
    ]  # fmt: skip


def child() -> JSONObject:
    """What the sub-workflow does with what it is given."""
    return {
        "components": [
            part("tell", "log", message="{{ plain }} {{ parameters }}"),
            part("stumble", "fail", message="{{ plain }}", code="VALIDATION_ERROR"),
            part("pass_on", "end", output={"back": "{{ plain }}", "token": "{{ token }}"}),
        ],
        "settings": {"on_failure": "continue"},
    }


def waiting(far: str) -> JSONObject:
    """Waits for two signals, passes the first on as it came, says what the second told, and fails."""
    steps = [
        part("hear_field", "wait_for_signal", signal="field", timeout_seconds=300),
        part("pass_on", "transform", output={"got": "{{ input }}"}),
        part("send_field", "http_request", url=f"{far}/take", method="POST", body="{{ hear_field.output }}"),
        part("hear", "wait_for_signal", signal="go", timeout_seconds=300),
        part("repeat", "log", message="{{ input }} {{ hear.output }}"),
        part("send", "http_request", url=f"{far}/echo", method="POST", body="{{ hear.output }}"),
        part("tell", "fail", message=f"{{{{ hear.output }}}} {read(Kind.REPLACED_SECRET)}"),
    ]
    return {"components": steps, "connections": _chain(steps), "parameters": parameters()}


def slow(far: str, kind: Kind, **more: object) -> JSONObject:
    """Holds a secret while somebody waits for the far end."""
    request = part("slow", "http_request", url=f"{far}/slow", method="POST", headers={"X-Token": read(kind)},
                   body=read(kind), **{"timeout": 60})  # fmt: skip
    return {"components": [{**request, **more}]}


def literals(values: Mapping[Kind, str], far: str) -> JSONObject:
    """Secrets that stand in the definition itself."""
    deep: JSONValue = values[Kind.BODY_FIELD]
    for level in range(20):
        deep = {"next": deep} if level % 2 else [deep]
    return {
        "components": [
            part("header", "http_request", url=f"{far}/echo", method="POST",
                 headers={"Authorization": f"Bearer {values[Kind.HEADER]}"}),
            part("auth", "http_request", url=f"{far}/fail", method="POST",
                 auth={"type": "bearer", "token": values[Kind.AUTH]}),
            part("query", "http_request", url=f"{far}/echo", method="POST", query={"api_key": values[Kind.QUERY]}),
            part("body", "http_request", url=f"{far}/echo", method="POST", body={"password": deep}),
            part("default", "log", message="{{ access_token }}"),
        ],
        "parameters": [{"name": "access_token", "type": "secret", "default_value": values[Kind.DEFAULT_VALUE]}],
        "settings": {"on_failure": "continue"},
    }  # fmt: skip


def refused(values: Mapping[Kind, str], far: str, user_info: str) -> JSONObject:
    """Literals where they do not fit, so that the answer could repeat what it got."""
    return {
        "components": [
            part("header", "http_request", url=f"{far}/", method="POST",
                 headers={"Authorization": [f"Bearer {values[Kind.HEADER]}"]}),
            part("auth", "http_request", url=f"{far}/", method="POST",
                 auth={"type": "bearer", "token": [values[Kind.AUTH]]}),
            part("kind", "http_request", url=f"{far}/", method="POST",
                 auth={"type": "barer", "token": values[Kind.AUTH]}),
            part("query", "http_request", url=f"{far}/", method="POST",
                 query={"api_key": {"value": values[Kind.QUERY]}}),
            part("url", "http_request", url=f"http://user:{user_info}@example.com/", method="GET"),
        ],
        "parameters": [{"name": "access_token", "type": "secret", "default_value": [values[Kind.DEFAULT_VALUE]]}],
    }  # fmt: skip


def part(id_: str, type_: str, **config: object) -> JSONObject:
    """A component."""
    return {"id": id_, "type": type_, "config": config}


def _chain(steps: list[JSONObject]) -> list[JSONObject]:
    return [{"source": one["id"], "target": other["id"]} for one, other in pairwise(steps)]


def _filled(limit: int, ending: int) -> str:
    """Text after which a secret stands half before and half after the place where `limit` cuts."""
    return "x" * (limit - ending - _HALF)
