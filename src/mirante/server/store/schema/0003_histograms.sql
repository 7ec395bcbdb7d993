-- Native histograms beside the samples. They come in the same bodies, and go their own way from remote_write_in on: carried
-- along with the samples, their sixteen columns would make every small insert dearer by half.

-- A histogram counts in integers or, where it was computed, in floats (is_float): one pair of the columns below is then
-- zero or empty. Buckets stand as they were sent: spans of consecutive buckets, integer counts each as the difference to
-- the one before. A staleness marker is a histogram whose sum has the marker's bits.
CREATE TABLE IF NOT EXISTS histogram_samples (
    series_id UInt64 CODEC(ZSTD(1)),
    timestamp DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    is_float Bool CODEC(ZSTD(1)),
    reset_hint UInt8 CODEC(ZSTD(1)),
    schema Int8 CODEC(ZSTD(1)),
    zero_threshold Float64 CODEC(ZSTD(1)),
    sum Float64 CODEC(ZSTD(1)),
    count UInt64 CODEC(ZSTD(1)),
    count_float Float64 CODEC(ZSTD(1)),
    zero_count UInt64 CODEC(ZSTD(1)),
    zero_count_float Float64 CODEC(ZSTD(1)),
    positive_spans Array(Tuple(offset Int32, length UInt32)) CODEC(ZSTD(1)),
    positive_deltas Array(Int64) CODEC(ZSTD(1)),
    positive_counts Array(Float64) CODEC(ZSTD(1)),
    negative_spans Array(Tuple(offset Int32, length UInt32)) CODEC(ZSTD(1)),
    negative_deltas Array(Int64) CODEC(ZSTD(1)),
    negative_counts Array(Float64) CODEC(ZSTD(1)),
    custom_bounds Array(Float64) CODEC(ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(timestamp)
ORDER BY (series_id, timestamp)
SETTINGS non_replicated_deduplication_window = 1000;

DROP VIEW IF EXISTS points_from_remote_write;
DROP VIEW IF EXISTS metadata_from_remote_write;
DROP TABLE IF EXISTS remote_write_in;

CREATE TABLE IF NOT EXISTS remote_write_in {{remote_write}} ENGINE = Null;

-- Only what is named is unfolded, not the whole of each series.
CREATE MATERIALIZED VIEW IF NOT EXISTS points_from_remote_write TO points_in AS
SELECT cityHash64(pairs) AS series_id, pairs, samples, exemplars
FROM (
    SELECT arraySort(pair -> pair.name, arrayFilter(pair -> pair.value != '', one)) AS pairs, samples, exemplars
    FROM remote_write_in
    ARRAY JOIN timeseries.labels AS one, timeseries.samples AS samples, timeseries.exemplars AS exemplars
);

CREATE MATERIALIZED VIEW IF NOT EXISTS metadata_from_remote_write TO metric_metadata AS
SELECT one.metric_family_name AS name,
       transform(one.type, [1, 2, 3, 4, 5, 6, 7],
           ['counter', 'gauge', 'histogram', 'gaugehistogram', 'summary', 'info', 'stateset'], 'unknown') AS type,
       one.help AS help,
       one.unit AS unit
FROM (SELECT arrayJoin(metadata) AS one FROM remote_write_in);

CREATE TABLE IF NOT EXISTS histogram_points_in (
    series_id UInt64,
    pairs Array(Tuple(name String, value String)),
    h Tuple(
        count_int Nullable(UInt64), count_float Nullable(Float64), sum Float64, schema Int32, zero_threshold Float64,
        zero_count_int Nullable(UInt64), zero_count_float Nullable(Float64),
        negative_spans Array(Tuple(offset Int32, length UInt32)), negative_deltas Array(Int64), negative_counts Array(Float64),
        positive_spans Array(Tuple(offset Int32, length UInt32)), positive_deltas Array(Int64), positive_counts Array(Float64),
        reset_hint Int32, timestamp Int64, custom_values Array(Float64))
) ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS histogram_samples_from_points TO histogram_samples AS
SELECT series_id,
       fromUnixTimestamp64Milli(h.timestamp, 'UTC') AS timestamp,
       isNotNull(h.count_float) AS is_float,
       toUInt8(h.reset_hint) AS reset_hint,
       toInt8(h.schema) AS schema,
       h.zero_threshold AS zero_threshold,
       h.sum AS sum,
       ifNull(h.count_int, 0) AS count,
       ifNull(h.count_float, 0) AS count_float,
       ifNull(h.zero_count_int, 0) AS zero_count,
       ifNull(h.zero_count_float, 0) AS zero_count_float,
       h.positive_spans AS positive_spans,
       h.positive_deltas AS positive_deltas,
       h.positive_counts AS positive_counts,
       h.negative_spans AS negative_spans,
       h.negative_deltas AS negative_deltas,
       h.negative_counts AS negative_counts,
       h.custom_values AS custom_bounds
FROM histogram_points_in;

CREATE MATERIALIZED VIEW IF NOT EXISTS series_from_histogram_points TO series AS
SELECT DISTINCT
       arrayFirst(pair -> pair.name = '__name__', pairs).value AS name,
       series_id,
       mapFromArrays(pairs.name, pairs.value) AS labels,
       toDate(fromUnixTimestamp64Milli(h.timestamp, 'UTC')) AS day
FROM histogram_points_in
WHERE cityHash64(series_id, day) NOT IN known_series;

CREATE MATERIALIZED VIEW IF NOT EXISTS histogram_points_from_remote_write TO histogram_points_in AS
SELECT cityHash64(pairs) AS series_id, pairs, h
FROM (
    SELECT arraySort(pair -> pair.name, arrayFilter(pair -> pair.value != '', one.labels)) AS pairs, arrayJoin(one.histograms) AS h
    FROM (SELECT arrayJoin(arrayFilter(one -> notEmpty(one.histograms), timeseries)) AS one FROM remote_write_in)
);
