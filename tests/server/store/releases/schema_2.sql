-- The store's schema at version 2, as the migrations of that time made it: a fixture, never changed.

CREATE TABLE IF NOT EXISTS schema_migrations (version UInt32, name String, applied DateTime('UTC') DEFAULT now()) ENGINE = MergeTree ORDER BY version;

CREATE TABLE IF NOT EXISTS samples (
    series_id UInt64 CODEC(ZSTD(1)),
    timestamp DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    value Float64 CODEC(Gorilla, ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(timestamp)
ORDER BY (series_id, timestamp)
SETTINGS non_replicated_deduplication_window = 1000;
CREATE TABLE IF NOT EXISTS series (
    name LowCardinality(String),
    series_id UInt64,
    labels Map(LowCardinality(String), String),
    day Date,
    registered DateTime('UTC') DEFAULT now()
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(day)
ORDER BY (name, series_id);
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
CREATE TABLE IF NOT EXISTS remote_write_in (timeseries Array(Tuple(labels Array(Tuple(name String, value String)), samples Array(Tuple(value Float64, timestamp Int64)), exemplars Array(Tuple(labels Array(Tuple(name String, value String)), value Float64, timestamp Int64)))), metadata Array(Tuple(type Int32, metric_family_name String, help String, unit String))) ENGINE = Null;
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

CREATE TABLE IF NOT EXISTS otel_logs (
    Timestamp DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    TimestampTime DateTime('UTC') DEFAULT toDateTime(Timestamp),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    TraceFlags UInt8,
    SeverityText LowCardinality(String) CODEC(ZSTD(1)),
    SeverityNumber UInt8,
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    Body String CODEC(ZSTD(1)),
    ResourceSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion LowCardinality(String) CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    LogAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    EventName String CODEC(ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_body Body TYPE text(tokenizer = 'splitByNonAlpha')
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(TimestampTime)
PRIMARY KEY (ServiceName, TimestampTime)
ORDER BY (ServiceName, TimestampTime, Timestamp)
SETTINGS non_replicated_deduplication_window = 1000;
CREATE TABLE IF NOT EXISTS otel_traces (
    Timestamp DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested (
        Timestamp DateTime64(9, 'UTC'),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Links Nested (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
SETTINGS non_replicated_deduplication_window = 1000;
CREATE TABLE IF NOT EXISTS otel_traces_trace_id_ts (
    TraceId String CODEC(ZSTD(1)),
    Start DateTime('UTC') CODEC(Delta, ZSTD(1)),
    End DateTime('UTC') CODEC(Delta, ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(Start)
ORDER BY (TraceId, Start)
SETTINGS non_replicated_deduplication_window = 1000;
CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_trace_id_ts_mv TO otel_traces_trace_id_ts AS
SELECT TraceId, toDateTime(min(Timestamp)) AS Start, toDateTime(max(Timestamp)) AS End
FROM otel_traces
WHERE TraceId != ''
GROUP BY TraceId;
CREATE TABLE IF NOT EXISTS otlp_traces_in (resource_spans Array(Tuple(resource Tuple(attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), array_value Tuple(values Array(Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String))))), bytes_value Nullable(String))))), scope_spans Array(Tuple(scope Tuple(name String, version String, attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), array_value Tuple(values Array(Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String))))), bytes_value Nullable(String))))), spans Array(Tuple(trace_id String, span_id String, trace_state String, parent_span_id String, name String, kind Int32, start_time_unix_nano UInt64, end_time_unix_nano UInt64, attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), array_value Tuple(values Array(Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String))))), bytes_value Nullable(String)))), events Array(Tuple(time_unix_nano UInt64, name String, attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), array_value Tuple(values Array(Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String))))), bytes_value Nullable(String)))))), links Array(Tuple(trace_id String, span_id String, trace_state String, attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), array_value Tuple(values Array(Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String))))), bytes_value Nullable(String)))))), status Tuple(message String, code Int32))), schema_url String)), schema_url String))) ENGINE = Null;
CREATE MATERIALIZED VIEW IF NOT EXISTS traces_from_otlp TO otel_traces AS
WITH
    (v -> multiIf(isNotNull(v.string_value), toJSONString(assumeNotNull(v.string_value)),
                  isNotNull(v.bytes_value), toJSONString(base64Encode(assumeNotNull(v.bytes_value))),
                  coalesce(toString(v.int_value), toString(v.double_value), toString(v.bool_value), 'null'))) AS json,
    (v -> multiIf(notEmpty(v.array_value.values), concat('[', arrayStringConcat(arrayMap(x -> json(x), v.array_value.values), ','), ']'),
                  notEmpty(v.kvlist_value.values), concat('{', arrayStringConcat(
                      arrayMap(x -> concat(toJSONString(x.key), ':', json(x.value)), v.kvlist_value.values), ','), '}'),
                  coalesce(v.string_value, toString(v.int_value), toString(v.double_value), toString(v.bool_value),
                           base64Encode(v.bytes_value), ''))) AS text,
    (pairs -> mapFromArrays(pairs.key, arrayMap(x -> text(x), pairs.value))) AS attributes
SELECT fromUnixTimestamp64Nano(toInt64(span.start_time_unix_nano), 'UTC') AS Timestamp,
       lower(hex(span.trace_id)) AS TraceId,
       lower(hex(span.span_id)) AS SpanId,
       lower(hex(span.parent_span_id)) AS ParentSpanId,
       span.trace_state AS TraceState,
       span.name AS SpanName,
       transform(span.kind, [1, 2, 3, 4, 5], ['Internal', 'Server', 'Client', 'Producer', 'Consumer'], 'Unspecified') AS SpanKind,
       ResourceAttributes['service.name'] AS ServiceName,
       ResourceAttributes,
       scope_name AS ScopeName,
       scope_version AS ScopeVersion,
       attributes(span.attributes) AS SpanAttributes,
       if(span.end_time_unix_nano > span.start_time_unix_nano, span.end_time_unix_nano - span.start_time_unix_nano, 0) AS Duration,
       transform(span.status.code, [1, 2], ['Ok', 'Error'], 'Unset') AS StatusCode,
       span.status.message AS StatusMessage,
       arrayMap(x -> fromUnixTimestamp64Nano(toInt64(least(x, 4611686018427387904)), 'UTC'), span.events.time_unix_nano) AS `Events.Timestamp`,
       span.events.name AS `Events.Name`,
       arrayMap(x -> attributes(x), span.events.attributes) AS `Events.Attributes`,
       arrayMap(x -> lower(hex(x)), span.links.trace_id) AS `Links.TraceId`,
       arrayMap(x -> lower(hex(x)), span.links.span_id) AS `Links.SpanId`,
       span.links.trace_state AS `Links.TraceState`,
       arrayMap(x -> attributes(x), span.links.attributes) AS `Links.Attributes`
FROM (
    SELECT ResourceAttributes, in_scope.scope.name AS scope_name, in_scope.scope.version AS scope_version, arrayJoin(in_scope.spans) AS span
    FROM (
        SELECT attributes(of_resource.resource.attributes) AS ResourceAttributes, arrayJoin(of_resource.scope_spans) AS in_scope
        FROM (SELECT arrayJoin(resource_spans) AS of_resource FROM otlp_traces_in)
    )
);
CREATE TABLE IF NOT EXISTS otlp_logs_in (resource_logs Array(Tuple(resource Tuple(attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), array_value Tuple(values Array(Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String))))), bytes_value Nullable(String))))), scope_logs Array(Tuple(scope Tuple(name String, version String, attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), array_value Tuple(values Array(Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String))))), bytes_value Nullable(String))))), log_records Array(Tuple(time_unix_nano UInt64, severity_number Int32, severity_text String, body Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), array_value Tuple(values Array(Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), array_value Tuple(values Array(Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String))))), bytes_value Nullable(String)))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), array_value Tuple(values Array(Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String))))), bytes_value Nullable(String))))), bytes_value Nullable(String)), attributes Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), array_value Tuple(values Array(Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String)))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64), double_value Nullable(Float64), bytes_value Nullable(String))))), bytes_value Nullable(String)))), flags UInt32, trace_id String, span_id String, observed_time_unix_nano UInt64, event_name String)), schema_url String)), schema_url String))) ENGINE = Null;
CREATE MATERIALIZED VIEW IF NOT EXISTS logs_from_otlp TO otel_logs AS
WITH
    (v -> multiIf(isNotNull(v.string_value), toJSONString(assumeNotNull(v.string_value)),
                  isNotNull(v.bytes_value), toJSONString(base64Encode(assumeNotNull(v.bytes_value))),
                  coalesce(toString(v.int_value), toString(v.double_value), toString(v.bool_value), 'null'))) AS json,
    (v -> coalesce(v.string_value, toString(v.int_value), toString(v.double_value), toString(v.bool_value),
                   base64Encode(v.bytes_value), '')) AS plain,
    (v -> multiIf(notEmpty(v.array_value.values), concat('[', arrayStringConcat(arrayMap(x -> json(x), v.array_value.values), ','), ']'),
                  notEmpty(v.kvlist_value.values), concat('{', arrayStringConcat(
                      arrayMap(x -> concat(toJSONString(x.key), ':', json(x.value)), v.kvlist_value.values), ','), '}'),
                  plain(v))) AS text,
    (v -> if(notEmpty(v.array_value.values) OR notEmpty(v.kvlist_value.values), text(v), json(v))) AS deep_json,
    (pairs -> mapFromArrays(pairs.key, arrayMap(x -> text(x), pairs.value))) AS attributes
SELECT fromUnixTimestamp64Nano(toInt64(multiIf(log.time_unix_nano > 0, log.time_unix_nano,
           log.observed_time_unix_nano > 0, log.observed_time_unix_nano, toUInt64(toUnixTimestamp64Nano(now64(9))))), 'UTC') AS Timestamp,
       lower(hex(log.trace_id)) AS TraceId,
       lower(hex(log.span_id)) AS SpanId,
       toUInt8(bitAnd(log.flags, 255)) AS TraceFlags,
       log.severity_text AS SeverityText,
       toUInt8(bitAnd(log.severity_number, 255)) AS SeverityNumber,
       ResourceAttributes['service.name'] AS ServiceName,
       multiIf(notEmpty(log.body.array_value.values),
               concat('[', arrayStringConcat(arrayMap(x -> deep_json(x), log.body.array_value.values), ','), ']'),
               notEmpty(log.body.kvlist_value.values),
               concat('{', arrayStringConcat(
                   arrayMap(x -> concat(toJSONString(x.key), ':', deep_json(x.value)), log.body.kvlist_value.values), ','), '}'),
               plain(log.body)) AS Body,
       resource_schema_url AS ResourceSchemaUrl,
       ResourceAttributes,
       scope_schema_url AS ScopeSchemaUrl,
       scope_name AS ScopeName,
       scope_version AS ScopeVersion,
       ScopeAttributes,
       attributes(log.attributes) AS LogAttributes,
       log.event_name AS EventName
FROM (
    SELECT ResourceAttributes, resource_schema_url, in_scope.schema_url AS scope_schema_url, in_scope.scope.name AS scope_name,
           in_scope.scope.version AS scope_version, attributes(in_scope.scope.attributes) AS ScopeAttributes,
           arrayJoin(in_scope.log_records) AS log
    FROM (
        SELECT attributes(of_resource.resource.attributes) AS ResourceAttributes, of_resource.schema_url AS resource_schema_url,
               arrayJoin(of_resource.scope_logs) AS in_scope
        FROM (SELECT arrayJoin(resource_logs) AS of_resource FROM otlp_logs_in)
    )
);

INSERT INTO schema_migrations (version, name) VALUES (1, '0001_metrics.sql'), (2, '0002_logs_and_traces.sql');
