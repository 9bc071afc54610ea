-- Why a decision looks suspicious: a JSON list, largest contribution first. NULL where nothing was to be explained, and for
-- decisions made before there were reasons.
ALTER TABLE decisions ADD COLUMN reasons TEXT;
