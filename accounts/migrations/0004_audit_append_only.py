"""The database itself keeps entries of the audit log as they were written."""

from django.db import migrations

# Old entries may be pruned by who says so in the same transaction: SET LOCAL apg.prune_audit = 'on'.
FORWARDS = """
CREATE FUNCTION accounts_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('apg.prune_audit', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'entries of the audit log are not changed or deleted' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON accounts_auditentry
FOR EACH ROW EXECUTE FUNCTION accounts_audit_append_only();
"""
BACKWARDS = """
DROP TRIGGER audit_append_only ON accounts_auditentry;
DROP FUNCTION accounts_audit_append_only();
"""


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0003_api_keys_audit"),
    ]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
