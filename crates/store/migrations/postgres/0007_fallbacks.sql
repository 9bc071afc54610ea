-- What the caller was told instead, because the deadline had passed before the decision was there: JSON. NULL where the
-- decision is what was answered.
ALTER TABLE decisions ADD COLUMN fallback text;
