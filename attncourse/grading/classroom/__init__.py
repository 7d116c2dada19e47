"""Grading a class: which files are whose, results that survive a crash, tables and reports.

From the folder to the grade: `layouts` finds the files, `names`, `whose` and `sections` say whose
they are, `task` grades one, `schedule` hands them to processes, `journal` keeps every result,
`settings` what the teacher said. `assignment` and `scores` say what counts, `gradebook` counts,
`remarks` finds what to look at, `exports` and `pages` write. `run.grade_class` is all of it.
"""
