"""Grading a class: which files are whose, results that survive a crash, tables and reports.

From the folder to the grade: `layouts` finds the files, `task` grades one, `schedule` hands them
to processes, `journal` keeps every result, `gradebook` counts, `exports` and `pages` write.
`run.grade_class` is all of it.
"""
