-- What made a synthetic transaction: a simulator or a generator. NULL for real ones, as synthetic = false says.
ALTER TABLE decisions ADD COLUMN mark text;
-- Until now only simulators made any.
UPDATE decisions SET mark = 'simulator' WHERE synthetic;
-- Where there are few, they are looked for.
CREATE INDEX decisions_synthetic ON decisions (sequence, mark) WHERE mark IS NOT NULL;
ALTER TABLE totals ADD COLUMN synthetic_approve bigint NOT NULL DEFAULT 0;
ALTER TABLE totals ADD COLUMN synthetic_review bigint NOT NULL DEFAULT 0;
ALTER TABLE totals ADD COLUMN synthetic_decline bigint NOT NULL DEFAULT 0;
UPDATE totals SET
    synthetic_approve = (SELECT count(*) FROM decisions WHERE mark IS NOT NULL AND outcome = 'approve'),
    synthetic_review = (SELECT count(*) FROM decisions WHERE mark IS NOT NULL AND outcome = 'review'),
    synthetic_decline = (SELECT count(*) FROM decisions WHERE mark IS NOT NULL AND outcome = 'decline');
