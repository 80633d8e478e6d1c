-- For DuckDB: the logs of a survey as tables, where logs/ is. Every column has
-- its type: guessed ones take labels for dates. What the columns mean:
-- imgsieve man log.
--
--   duckdb -init survey.sql -c "FROM images WHERE partitions >= 2"
CREATE OR REPLACE VIEW lines AS
SELECT *, row_number() OVER () AS line FROM read_json('logs/*.jsonl',
    format = 'newline_delimited', ignore_errors = true, filename = true, maximum_object_size = 2097152,
    timestampformat = '%Y-%m-%dT%H:%M:%SZ', columns = {
        ts: 'TIMESTAMP', stage: 'VARCHAR', run: 'VARCHAR', shard: 'VARCHAR', hash: 'VARCHAR', hash_bytes: 'VARCHAR',
        archive: 'VARCHAR', size_bytes: 'UBIGINT', mtime: 'VARCHAR', rank: 'UBIGINT', worker: 'UINTEGER',
        img: 'VARCHAR', img_bytes: 'VARCHAR', member: 'VARCHAR', ordinal: 'UINTEGER', partitions: 'UBIGINT',
        action: 'VARCHAR', path: 'VARCHAR', path_bytes: 'VARCHAR', verified: 'BOOLEAN', existing: 'BOOLEAN',
        allocated_bytes: 'UBIGINT', at_most_bytes: 'UBIGINT', reason: 'VARCHAR', message: 'VARCHAR',
        bytes_written: 'UBIGINT', verdict: 'VARCHAR', found: 'VARCHAR', rescued_pct: 'DOUBLE',
        unread_areas: 'UBIGINT[][]', scope: 'VARCHAR', imgs: 'UBIGINT', compressed_bytes: 'UBIGINT',
        content_bytes: 'UBIGINT', seconds: 'DOUBLE', total_archives: 'UBIGINT', dry_run: 'BOOLEAN', errors: 'UBIGINT',
        signal: 'VARCHAR', exit_status: 'INTEGER',
        "table": 'STRUCT(label VARCHAR, sector_size UBIGINT, gpt_copy VARCHAR, damaged BOOLEAN,
            damage STRUCT(code VARCHAR, message VARCHAR)[], container VARCHAR, fs VARCHAR, fs_label VARCHAR,
            fs_uuid VARCHAR, complete BOOLEAN)',
        partition_list: 'STRUCT("number" UINTEGER, start_bytes UBIGINT, size_bytes UBIGINT, "type" VARCHAR,
            "name" VARCHAR, kind VARCHAR, fs VARCHAR, fs_label VARCHAR, fs_uuid VARCHAR)[]'});

-- Each archive as the run that began it last found it, and how that ended.
CREATE OR REPLACE VIEW archives AS
WITH begun AS (
    SELECT hash, hash_bytes, run, shard, archive, size_bytes, ts AS began, filename, line FROM lines
    WHERE stage = 'archive_start'
    QUALIFY row_number() OVER (PARTITION BY coalesce(hash_bytes, hash) ORDER BY ts DESC, line DESC) = 1)
SELECT begun.*, ended.ts AS ended, ended.reason, ended.message,
    CASE ended.stage WHEN 'archive_complete' THEN 'complete' WHEN 'error' THEN 'error' END AS "end"
FROM begun LEFT JOIN lines AS ended ON ended.run = begun.run AND ended.hash = begun.hash
    AND ended.hash_bytes IS NOT DISTINCT FROM begun.hash_bytes AND ended.line > begun.line
    AND (ended.stage = 'archive_complete' OR ended.stage = 'error' AND ended.scope = 'archive');

-- The last verdict on each image: what that run said of the archive's images.
CREATE OR REPLACE VIEW images AS
SELECT lines.* EXCLUDE (stage, shard, archive, scope, signal, exit_status, imgs, errors, ordinal),
    coalesce(lines.ordinal, 1) AS ordinal, archives.archive
FROM lines JOIN archives ON lines.run = archives.run AND lines.hash = archives.hash
    AND lines.hash_bytes IS NOT DISTINCT FROM archives.hash_bytes AND lines.line > archives.line
WHERE lines.stage = 'partition_check';
