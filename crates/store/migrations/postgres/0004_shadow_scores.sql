-- What challengers said of the events that the champion decided. No foreign keys: they would be looked up row by row.
CREATE TABLE shadow_scores (
    sequence  bigint NOT NULL, -- of decisions
    version   bigint NOT NULL, -- of versions: names the model
    score     double precision NOT NULL,
    PRIMARY KEY (sequence, version)
);
