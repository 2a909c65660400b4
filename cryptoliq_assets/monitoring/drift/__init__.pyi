from .html import drift_markdown as drift_markdown, drift_page as drift_page
from .measure import overall as overall
from .report import make_report as make_report, report_paths as report_paths
