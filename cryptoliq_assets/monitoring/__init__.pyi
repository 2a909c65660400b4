from .collect import REPORTS as REPORTS, collect_findings as collect_findings, report_conditions as report_conditions
from .findings import (
    FAIL as FAIL,
    KINDS as KINDS,
    OK as OK,
    WARN as WARN,
    Check as Check,
    Finding as Finding,
    Level as Level,
    incident_id as incident_id,
    worst as worst,
    worst_level as worst_level,
)
from .isolation import (
    FAILURES_REPORT as FAILURES_REPORT,
    broken_condition as broken_condition,
    failures as failures,
    record as record,
    working_condition as working_condition,
)
from .performance import (
    ACCURACY_REPORT as ACCURACY_REPORT,
    BY_COIN as BY_COIN,
    check_coverage as check_coverage,
    check_skill as check_skill,
    measure_accuracy as measure_accuracy,
    read_report as read_report,
    training_asked as training_asked,
)
