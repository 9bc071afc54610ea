-- What was decided with: one row for each combination of detector, model and rules.
CREATE TABLE versions (
    id                   INTEGER PRIMARY KEY,
    detector             TEXT NOT NULL,
    feature_fingerprint  TEXT NOT NULL,
    rules_fingerprint    TEXT NOT NULL,
    model                TEXT,
    feature_names        TEXT NOT NULL, -- one name a line
    UNIQUE (detector, feature_fingerprint, rules_fingerprint, model)
) STRICT;

-- The log: every accepted transaction with its decision, in the order in which the engine saw it.
CREATE TABLE decisions (
    sequence       INTEGER PRIMARY KEY,
    id             TEXT    NOT NULL,
    key            TEXT,
    event_time_us  INTEGER NOT NULL,
    decided_at_us  INTEGER NOT NULL,
    latency_us     INTEGER NOT NULL,
    amount_minor   INTEGER NOT NULL,
    score          REAL,
    outcome        TEXT    NOT NULL,
    rules          TEXT    NOT NULL, -- names of the rules that fired, comma-separated
    timeliness     TEXT    NOT NULL, -- on_time, late, too_late
    version        INTEGER NOT NULL REFERENCES versions (id),
    synthetic      INTEGER NOT NULL,
    event          TEXT    NOT NULL, -- the event in its canonical JSON form
    features       BLOB    NOT NULL  -- doubles, little-endian, in the order of the version's feature names
) STRICT;
-- The idempotency key.
CREATE UNIQUE INDEX decisions_by_id ON decisions (id);
-- Few transactions are not approved, and those are looked for.
CREATE INDEX decisions_not_approved ON decisions (sequence, outcome) WHERE outcome <> 'approve';

-- Labels stand in the same log: sequence numbers are shared with decisions.
CREATE TABLE labels (
    sequence              INTEGER PRIMARY KEY,
    transaction_sequence  INTEGER NOT NULL REFERENCES decisions (sequence),
    fraud                 INTEGER NOT NULL,
    known_at_us           INTEGER NOT NULL
) STRICT;
CREATE INDEX labels_by_transaction ON labels (transaction_sequence);

-- What came in and was no transaction. The oldest go when there are too many.
CREATE TABLE rejections (
    id              INTEGER PRIMARY KEY,
    received_at_us  INTEGER NOT NULL,
    source          TEXT    NOT NULL, -- where it came from: http, or a file with its line
    reason          TEXT    NOT NULL,
    raw             TEXT    NOT NULL
) STRICT;

-- Running totals, written in the transaction that they count.
CREATE TABLE totals (
    name   TEXT PRIMARY KEY,
    value  INTEGER NOT NULL
) STRICT;
