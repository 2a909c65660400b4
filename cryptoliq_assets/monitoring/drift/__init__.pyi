from .html import render_drift_markdown as render_drift_markdown, render_drift_page as render_drift_page
from .measure import summarize_drift as summarize_drift
from .report import drift_report_paths as drift_report_paths, make_drift_report as make_drift_report
