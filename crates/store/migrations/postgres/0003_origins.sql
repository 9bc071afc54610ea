-- Where a transaction stood in the topic that it came from. NULL for those that came over HTTP.
ALTER TABLE decisions ADD COLUMN origin_partition integer;
ALTER TABLE decisions ADD COLUMN origin_offset bigint;
-- What came in over HTTP has no place that would tell it from the next; everything else is kept once.
CREATE UNIQUE INDEX rejections_by_place ON rejections (source) WHERE source <> 'http';
