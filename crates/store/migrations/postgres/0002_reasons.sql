-- Why a decision looks suspicious: a JSON list, largest contribution first. NULL where nothing was to be explained.
ALTER TABLE decisions ADD COLUMN reasons text;
