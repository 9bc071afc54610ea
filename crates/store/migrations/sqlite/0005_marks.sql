-- What made a synthetic transaction: a simulator or a generator. NULL for real ones, as synthetic = 0 says.
ALTER TABLE decisions ADD COLUMN mark TEXT;
-- Until now only simulators made any.
UPDATE decisions SET mark = 'simulator' WHERE synthetic = 1;
-- Where there are few, they are looked for.
CREATE INDEX decisions_synthetic ON decisions (sequence, mark) WHERE mark IS NOT NULL;
INSERT INTO totals (name, value)
    SELECT 'synthetic_' || outcome, count(*) FROM decisions WHERE mark IS NOT NULL GROUP BY outcome;
