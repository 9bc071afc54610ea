-- What a person has to look at: transactions of one entity that were not approved, within one window. The id is the position
-- of the first of them.
CREATE TABLE alerts (
    id               bigint PRIMARY KEY,
    entity           text NOT NULL, -- the key, or the transaction's id where there is none
    state            text NOT NULL, -- open, assigned, closed
    version          bigint NOT NULL, -- counts up with every change
    opened_at_us     bigint NOT NULL, -- when its first transaction was decided
    first_event_us   bigint NOT NULL,
    last_event_us    bigint NOT NULL,
    transactions     bigint NOT NULL,
    declined         bigint NOT NULL,
    amount_minor     bigint NOT NULL,
    at_risk_minor    double precision NOT NULL, -- amounts times scores
    score            double precision,           -- the greatest
    transaction_id   text NOT NULL, -- of the transaction with that score
    transaction_sequence bigint NOT NULL,
    mark             text,             -- what made its first transaction, if it is synthetic
    assignee         text,
    disposition      text,             -- fraud, genuine
    closed_by        text,
    closed_at_us     bigint,
    reopen_asked_by  text
);
-- The queue.
CREATE INDEX alerts_waiting ON alerts (at_risk_minor DESC, id DESC) WHERE state <> 'closed';
CREATE INDEX alerts_by_entity ON alerts (entity, id);

CREATE TABLE alert_transactions (
    alert     bigint NOT NULL,
    sequence  bigint NOT NULL,
    PRIMARY KEY (alert, sequence)
);

-- What people did with alerts.
CREATE TABLE alert_changes (
    alert    bigint NOT NULL,
    version  bigint NOT NULL, -- the one that it made
    at_us    bigint NOT NULL,
    changed_by text NOT NULL,
    action   text NOT NULL, -- assign, note, close, reopen
    target   text,             -- to whom it was assigned, or what it was closed as
    note     text,
    PRIMARY KEY (alert, version)
);
