"""The reports of the monitor under reports/: the file of each, and whether it contains findings.

Add a report here; collection of findings, /metrics and the views read this list. What a report contains belongs in the module that
writes it.
"""

from dataclasses import dataclass
from pathlib import PurePath

ACCURACY_REPORT = "forecast_accuracy.json"
DRIFT_REPORT = "drift_report.json"
FAILURES_REPORT = "monitor_failures.json"
# Written by `alerting`; the settings declare its path.
INCIDENTS_REPORT = "incidents.json"
PREDICTION_REPORT = "prediction_metrics.json"
VERIFY_REPORT = "verify.json"


@dataclass(frozen=True)
class MonitorReport:
    """One report.

    Attributes:
        file: Name of the file under reports/.
        has_findings: Whether it contains findings, under the key `conditions`.
    """

    file: str
    has_findings: bool = True

    @property
    def name(self) -> str:
        """The label of the report on /metrics."""
        return PurePath(self.file).stem


MONITOR_REPORTS = (
    MonitorReport(DRIFT_REPORT),
    MonitorReport(ACCURACY_REPORT),
    MonitorReport(PREDICTION_REPORT),
    MonitorReport(VERIFY_REPORT),
    MonitorReport(FAILURES_REPORT),
    # Derived from the findings of all others.
    MonitorReport(INCIDENTS_REPORT, has_findings=False),
)
# Files of the reports with findings.
REPORTS = tuple(report.file for report in MONITOR_REPORTS if report.has_findings)
