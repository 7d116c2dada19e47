"""What a class says, remembered: an addition around `judging`, which changes no result.

`replies` tells equal answers apart from others without reading them, `dialogues` knows what
checks ask and conclude, `outcomes` what the course's own functions give; `grading.Memory` is
what whoever grades a class holds.
"""
