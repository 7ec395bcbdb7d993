-- Metrics. Every road (remote write, OTLP, the server's own) ends in points_in, from which samples, series and exemplars are fed.
-- Times are UTC by type, so that days are the same whatever the machine's time zone.

-- Times with jitter take 0.5 bytes by Delta and T64, 0.85 by DoubleDelta, and are read twice as fast; counters with uneven steps
-- take 1.2 bytes by Delta, 1.7 by Gorilla. A narrow query reads half as much from granules of half the usual size.
CREATE TABLE IF NOT EXISTS samples (
    series_id UInt64 CODEC(ZSTD(1)),
    timestamp DateTime64(3, 'UTC') CODEC(Delta, T64, ZSTD(1)),
    value Float64 CODEC(Delta(8), ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(timestamp)
ORDER BY (series_id, timestamp)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 4096, min_compress_block_size = 32768,
    max_compress_block_size = 65536;

-- A series is registered once for every day on which it has samples: a time range finds its series by day, and retention
-- drops whole partitions, without ever updating a row. No deduplication window here: a row inserted twice is one row by its
-- key, and a repeated group registers fewer series than its first try, so its blocks must not be told apart by number.
CREATE TABLE IF NOT EXISTS series (
    name LowCardinality(String),
    series_id UInt64,
    labels Map(LowCardinality(String), String),
    day Date,
    registered DateTime('UTC') DEFAULT now()
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(day)
ORDER BY (name, series_id);

-- What is registered already, as cityHash64(series_id, day). It only saves work: the writer fills it from series.
CREATE TABLE IF NOT EXISTS known_series (key UInt64) ENGINE = Set SETTINGS persistent = 0;

CREATE TABLE IF NOT EXISTS exemplars (
    series_id UInt64,
    timestamp DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    value Float64 CODEC(ZSTD(1)),
    labels Map(LowCardinality(String), String) CODEC(ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(timestamp)
ORDER BY (series_id, timestamp)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS metric_metadata (
    name String,
    type LowCardinality(String),
    help String,
    unit LowCardinality(String),
    seen DateTime('UTC') DEFAULT now()
) ENGINE = ReplacingMergeTree(seen)
ORDER BY (name, type, unit, help);

-- pairs: the labels, sorted by name, none empty, __name__ among them.
CREATE TABLE IF NOT EXISTS points_in (
    series_id UInt64,
    pairs Array(Tuple(name String, value String)),
    samples Array(Tuple(value Float64, timestamp Int64)),
    exemplars Array(Tuple(labels Array(Tuple(name String, value String)), value Float64, timestamp Int64))
) ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS samples_from_points TO samples AS
SELECT series_id, fromUnixTimestamp64Milli(sample.timestamp, 'UTC') AS timestamp, sample.value AS value
FROM points_in ARRAY JOIN samples AS sample;

CREATE MATERIALIZED VIEW IF NOT EXISTS series_from_points TO series AS
SELECT arrayFirst(pair -> pair.name = '__name__', pairs).value AS name,
       series_id,
       mapFromArrays(pairs.name, pairs.value) AS labels,
       day
FROM (
    SELECT series_id, pairs,
           arrayJoin(arrayDistinct(arrayMap(time -> toDate(fromUnixTimestamp64Milli(time, 'UTC')), samples.timestamp))) AS day
    FROM points_in
)
WHERE cityHash64(series_id, day) NOT IN known_series;

CREATE MATERIALIZED VIEW IF NOT EXISTS exemplars_from_points TO exemplars AS
SELECT series_id,
       fromUnixTimestamp64Milli(exemplar.timestamp, 'UTC') AS timestamp,
       exemplar.value AS value,
       mapFromArrays(exemplar.labels.name, exemplar.labels.value) AS labels
FROM points_in ARRAY JOIN exemplars AS exemplar
WHERE exemplar.timestamp BETWEEN 0 AND 4102444800000;

-- Prometheus remote write 1.0, one row a body. Braces stand for the columns of the .proto text of that name.
CREATE TABLE IF NOT EXISTS remote_write_in {{remote_write}} ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS points_from_remote_write TO points_in AS
SELECT cityHash64(pairs) AS series_id, pairs, samples, exemplars
FROM (
    SELECT arraySort(pair -> pair.name, arrayFilter(pair -> pair.value != '', one.labels)) AS pairs,
           one.samples AS samples, one.exemplars AS exemplars
    FROM (SELECT arrayJoin(timeseries) AS one FROM remote_write_in)
);

CREATE MATERIALIZED VIEW IF NOT EXISTS metadata_from_remote_write TO metric_metadata AS
SELECT one.metric_family_name AS name,
       transform(one.type, [1, 2, 3, 4, 5, 6, 7],
           ['counter', 'gauge', 'histogram', 'gaugehistogram', 'summary', 'info', 'stateset'], 'unknown') AS type,
       one.help AS help,
       one.unit AS unit
FROM (SELECT arrayJoin(metadata) AS one FROM remote_write_in);
