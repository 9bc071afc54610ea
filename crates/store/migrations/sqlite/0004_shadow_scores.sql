-- What challengers said of the events that the champion decided.
CREATE TABLE shadow_scores (
    sequence  INTEGER NOT NULL REFERENCES decisions (sequence),
    version   INTEGER NOT NULL REFERENCES versions (id), -- names the model
    score     REAL    NOT NULL,
    PRIMARY KEY (sequence, version)
) STRICT, WITHOUT ROWID;
