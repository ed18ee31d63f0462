"""Download reports: a form, a queued job that fetches every seller's report for every day, two tables, two files.

    form.py → views.py → tasks.download_reports → job.py → source.py → report.py → saving.py → files.py

What one report is: the figures of one seller on one day.
"""
