from .alert_kinds import (
    ALERT_KINDS as ALERT_KINDS,
    FEED_FAULT_KINDS as FEED_FAULT_KINDS,
    FEED_KINDS as FEED_KINDS,
    require_alert_kind as require_alert_kind,
)
from .alert_registry import (
    FAIL as FAIL,
    OK as OK,
    WARN as WARN,
    Level as Level,
)
from .collect import (
    collect_findings as collect_findings,
    read_report_findings as read_report_findings,
)
from .findings import (
    CheckResult as CheckResult,
    Finding as Finding,
    worst_finding_level as worst_finding_level,
)
from .isolation import (
    make_failure_finding as make_failure_finding,
    make_success_finding as make_success_finding,
    read_failures as read_failures,
    save_part_finding as save_part_finding,
)
from .performance import (
    BY_COIN_REPORT as BY_COIN_REPORT,
    check_coverage as check_coverage,
    check_skill as check_skill,
    measure_accuracy as measure_accuracy,
    read_accuracy_report as read_accuracy_report,
    retraining_run_key as retraining_run_key,
)
from .reports import (
    ACCURACY_REPORT as ACCURACY_REPORT,
    DRIFT_REPORT as DRIFT_REPORT,
    FAILURES_REPORT as FAILURES_REPORT,
    INCIDENTS_REPORT as INCIDENTS_REPORT,
    MONITOR_REPORTS as MONITOR_REPORTS,
    PREDICTION_REPORT as PREDICTION_REPORT,
    REPORTS as REPORTS,
    VERIFY_REPORT as VERIFY_REPORT,
    MonitorReport as MonitorReport,
)
