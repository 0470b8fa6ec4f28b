"""Entries of the audit log may go when they are old, and the database itself records that they went."""

from django.db import migrations

# Whatever deletes, for whatever reason it was allowed to: the entry is made here, in the same statement. What is
# younger than thirty days goes for no reason.
FORWARDS = """
CREATE OR REPLACE FUNCTION accounts_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('apg.prune_audit', true) = 'on'
       AND OLD.at < clock_timestamp() - interval '30 days' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'entries of the audit log are not changed or deleted' USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION accounts_audit_pruned() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_auditentry (id, at, actor, credential, request_id, action, object_type, object_id, details)
    SELECT uuidv7(), clock_timestamp(), '', '', '', 'audit.pruned', 'audit_entry', '', jsonb_build_object(
        'entries', count(*), 'first_at', min(at), 'last_at', max(at),
        'sha256', encode(sha256(convert_to(string_agg(gone::text, E'\\n' ORDER BY id), 'UTF8')), 'hex'))
    FROM gone HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_pruned AFTER DELETE ON accounts_auditentry
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION accounts_audit_pruned();
"""
BACKWARDS = """
DROP TRIGGER audit_pruned ON accounts_auditentry;
DROP FUNCTION accounts_audit_pruned();
CREATE OR REPLACE FUNCTION accounts_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('apg.prune_audit', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'entries of the audit log are not changed or deleted' USING ERRCODE = 'restrict_violation';
END $$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0006_audit_lists"),
    ]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
