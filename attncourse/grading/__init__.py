"""Grading submissions, which may be hostile: a map.

The processes, each started by the one above it::

    attncourse grade --out       classroom.run: files in, the journal, the gradebook out
      fork server                classroom.preload: has imported what judges need, has no thread
        judge, one a core        classroom.schedule, classroom.task: grades submission by submission
          zygote                 confined.zygote, in bubblewrap where that is: has imported PyTorch
            worker               confined.child, confined.worker: confined, runs one submission
            twin                 a fork of the zygote, for exercises that forbid functions
              worker             confined, runs one submission, where those are refused
            twin                 another, in which no submission is ever loaded
              worker             repeats what the other recorded, and counts what it costs

`pytest --grade` and `attncourse check` are judges themselves. On a cluster each of Dask's workers
is one. Reading a submission takes a worker too, which ends when it has parsed the text.

Who holds what, and believes whom:

=========== ============================================ =====================================
process     holds                                        believes
=========== ============================================ =====================================
run         all files, the secret, the journal           a judge's records
judge       exercises, answers, the secret, one file     the zygote; a counting worker's numbers;
                                                         of any other no word, it compares values
zygote,     what `sandbox.mounts` shows, no secret       the judge
twins
worker      one submission, the inputs it is asked on    the judge, since it has nothing to lose
counting    a record, as plain data, and its inputs      the judge; of the record nothing: it calls
worker                                                   PyTorch's operators, none that opens files
=========== ============================================ =====================================

The rooms: `judge` asks, compares and concludes (`judge.memory` remembers what a class said);
`confined` is the other end, where modules of the same names answer; `wire` is what both ends know;
`sandbox` confines a process; `parsing` reads hostile texts; `classroom` is all around a class.
`plugin`, `table` and `items` are pytest's way in. Import contracts hold that `confined` reaches no
exercise, no answer and no judge, and that no judge imports `confined`.

To begin, read `judge.judging`, where an exercise is graded, and `course.checking` below it; then
`wire.protocol`, and its two ends `judge.worker` and `confined.worker`, `judge.zygote` and
`confined.zygote`; then how a child is confined, `sandbox.entrance`; last a class, from
`classroom.task` to `classroom.run`. `judge.memory` can be left out until speed matters. What must
hold whatever is changed is in tests/grading/redteam.
"""
