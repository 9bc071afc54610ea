-- What a person has to look at: transactions of one entity that were not approved, within one window. The id is the position
-- of the first of them.
CREATE TABLE alerts (
    id               INTEGER PRIMARY KEY,
    entity           TEXT    NOT NULL, -- the key, or the transaction's id where there is none
    state            TEXT    NOT NULL, -- open, assigned, closed
    version          INTEGER NOT NULL, -- counts up with every change
    opened_at_us     INTEGER NOT NULL, -- when its first transaction was decided
    first_event_us   INTEGER NOT NULL,
    last_event_us    INTEGER NOT NULL,
    transactions     INTEGER NOT NULL,
    declined         INTEGER NOT NULL,
    amount_minor     INTEGER NOT NULL,
    at_risk_minor    REAL    NOT NULL, -- amounts times scores
    score            REAL,             -- the greatest
    transaction_id   TEXT    NOT NULL, -- of the transaction with that score
    transaction_sequence INTEGER NOT NULL,
    mark             TEXT,             -- what made its first transaction, if it is synthetic
    assignee         TEXT,
    disposition      TEXT,             -- fraud, genuine
    closed_by        TEXT,
    closed_at_us     INTEGER,
    reopen_asked_by  TEXT
) STRICT;
-- The queue.
CREATE INDEX alerts_waiting ON alerts (at_risk_minor DESC, id DESC) WHERE state <> 'closed';
CREATE INDEX alerts_by_entity ON alerts (entity, id);

CREATE TABLE alert_transactions (
    alert     INTEGER NOT NULL REFERENCES alerts (id),
    sequence  INTEGER NOT NULL REFERENCES decisions (sequence),
    PRIMARY KEY (alert, sequence)
) STRICT, WITHOUT ROWID;

-- What people did with alerts.
CREATE TABLE alert_changes (
    alert    INTEGER NOT NULL REFERENCES alerts (id),
    version  INTEGER NOT NULL, -- the one that it made
    at_us    INTEGER NOT NULL,
    changed_by TEXT  NOT NULL,
    action   TEXT    NOT NULL, -- assign, note, close, reopen
    target   TEXT,             -- to whom it was assigned, or what it was closed as
    note     TEXT,
    PRIMARY KEY (alert, version)
) STRICT, WITHOUT ROWID;
