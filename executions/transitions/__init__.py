"""Every move of an execution or a component run: one function and one named SQL statement each.

Three rules hold in all of them:

* A move names the state (and attempt) that it leaves. No row moved means that somebody else was first.
* The execution row is locked before anything else is touched (`locked`, which the other parts read from), so
  concurrent moves of one execution queue up instead of deadlocking, and ledger numbers have no gaps.
* New values are computed in the row's own SET: a row that changed while its statement waited for the lock is
  then re-read by PostgreSQL. What a statement only SELECTs may be older than the lock; where that matters the
  lock is its own statement (`lock`), inside a transaction.

The statements run prepared on Django's own connection: the ORM costs about fifty times as much CPU here.
"""
