"""Deletes subtract from what is counted in advance; what is inserted into a sealed day unseals all."""

from django.db import migrations

_FORWARDS = """
CREATE FUNCTION executions_first_id(moment timestamp without time zone) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT rpad(lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid $$;

CREATE FUNCTION executions_day_of(id uuid) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT date '1970-01-01'
      + ((('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint) / 86400000)::int $$;

CREATE FUNCTION executions_tally_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    until date;
BEGIN
    -- Until this transaction ends no day is sealed: it would be counted with what is being deleted. And nobody else
    -- subtracts, perhaps from the same rows in another order.
    SELECT sealed_until INTO until FROM executions_tallystate FOR UPDATE;
    IF until IS NULL THEN
        RETURN NULL;
    END IF;
    UPDATE executions_executiontally AS tally SET count = tally.count - less.count FROM (
        SELECT kind, day, status, count(*) AS count FROM (
            SELECT 'made' AS kind, executions_day_of(id) AS day, status FROM gone
            WHERE id < executions_first_id(until)
            UNION ALL
            SELECT 'started', (started_at AT TIME ZONE 'UTC')::date, status FROM gone
            WHERE id < executions_first_id(until) AND started_at IS NOT NULL
        ) AS sealed GROUP BY kind, day, status
    ) AS less
    WHERE tally.kind = less.kind AND tally.day = less.day AND tally.status = less.status;
    UPDATE workflows_workflowtally AS tally SET completed = tally.completed - less.completed,
        failed = tally.failed - less.failed, cancelled = tally.cancelled - less.cancelled
    FROM (
        SELECT workflow_id, count(*) FILTER (WHERE status = 'completed') AS completed,
               count(*) FILTER (WHERE status = 'failed') AS failed,
               count(*) FILTER (WHERE status = 'cancelled') AS cancelled
        FROM gone WHERE id < executions_first_id(until) GROUP BY workflow_id
    ) AS less
    WHERE tally.workflow_id = less.workflow_id;
    RETURN NULL;
END $$;
CREATE TRIGGER execution_tally_deleted AFTER DELETE ON executions_execution
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION executions_tally_deleted();

CREATE FUNCTION executions_tally_unseal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    until date;
BEGIN
    SELECT sealed_until INTO until FROM executions_tallystate FOR UPDATE;
    IF until IS NOT NULL AND NEW.id < executions_first_id(until) THEN
        UPDATE executions_tallystate SET sealed_until = NULL;
        DELETE FROM executions_executiontally;
        DELETE FROM workflows_workflowtally;
    END IF;
    RETURN NULL;
END $$;
-- No execution of the engine's own comes so late; restored ones and moved ones do.
CREATE TRIGGER execution_tally_late AFTER INSERT ON executions_execution
FOR EACH ROW WHEN (NEW.created_at < now() - interval '12 hours') EXECUTE FUNCTION executions_tally_unseal();
-- An end that is changed by hand. Whatever the engine does to an execution, it does before its end.
CREATE TRIGGER execution_tally_changed AFTER UPDATE OF id, workflow_id, status, started_at ON executions_execution
FOR EACH ROW WHEN (OLD.completed_at IS NOT NULL
                   AND (OLD.id, OLD.workflow_id, OLD.status, OLD.started_at)
                       IS DISTINCT FROM (NEW.id, NEW.workflow_id, NEW.status, NEW.started_at))
EXECUTE FUNCTION executions_tally_unseal();
"""
_BACKWARDS = """
DROP TRIGGER execution_tally_changed ON executions_execution;
DROP TRIGGER execution_tally_late ON executions_execution;
DROP TRIGGER execution_tally_deleted ON executions_execution;
DROP FUNCTION executions_tally_unseal();
DROP FUNCTION executions_tally_deleted();
DROP FUNCTION executions_day_of(uuid);
DROP FUNCTION executions_first_id(timestamp without time zone);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('executions', '0009_execution_tally'),
        ('workflows', '0005_workflow_tally'),
    ]

    operations = [migrations.RunSQL(_FORWARDS, _BACKWARDS)]
