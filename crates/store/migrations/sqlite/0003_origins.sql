-- Where a transaction stood in the topic that it came from. NULL for those that came over HTTP.
ALTER TABLE decisions ADD COLUMN origin_partition INTEGER;
ALTER TABLE decisions ADD COLUMN origin_offset INTEGER;
-- What came in over HTTP has no place that would tell it from the next; everything else is kept once.
CREATE INDEX rejections_by_place ON rejections (source) WHERE source <> 'http';
