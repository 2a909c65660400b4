from .asset_metadata import (
    column_schema_metadata as column_schema_metadata,
    frame_metadata as frame_metadata,
    make_pandera_type as make_pandera_type,
)
from .dead_runs import (
    PROCESS_TAG as PROCESS_TAG,
    fail_dead_runs as fail_dead_runs,
    mark_run_alive as mark_run_alive,
    process_mark as process_mark,
)
from .definitions import build_definitions as build_definitions
from .jobs import (
    INGEST_JOB as INGEST_JOB,
    MONITOR_JOB as MONITOR_JOB,
    PREPROCESS_JOB as PREPROCESS_JOB,
    REJECTED_TAG as REJECTED_TAG,
    AssetJob as AssetJob,
    count_tagged_runs as count_tagged_runs,
    hidden_tag as hidden_tag,
    read_tag as read_tag,
    select_assets as select_assets,
)
from .partitions import (
    clip_ranges as clip_ranges,
    make_months_definition as make_months_definition,
    month_range_tags as month_range_tags,
)
from .report_runs import run_check as run_check, run_report as run_report
from .run_findings import (
    MONITOR_GROUP as MONITOR_GROUP,
    RUN_RECORDS_PART as RUN_RECORDS_PART,
    make_run_finding as make_run_finding,
    try_read_run_findings as try_read_run_findings,
)
from .runner import RunFailedError as RunFailedError, Runner as Runner
from .step_labels import STEP_LABELS as STEP_LABELS
from .table_assets import (
    BACKTEST_IO as BACKTEST_IO,
    CANDIDATES_IO as CANDIDATES_IO,
    CHAMPION_IO as CHAMPION_IO,
    DAILY as DAILY,
    OWNERS as OWNERS,
    TABLES_IO as TABLES_IO,
    WEEKLY as WEEKLY,
    all_months_dep as all_months_dep,
    materialize_table as materialize_table,
    table_asset as table_asset,
    upstream_months_dep as upstream_months_dep,
    yield_table as yield_table,
)
