"""Exercises: finding them in a chapter, making student copies, running answers against the checks."""

from bookkit.teaching.copies import student_copy
from bookkit.teaching.exercises import Exercise, Task, exercises, tasks
from bookkit.teaching.grading import Outcome, grade, kind, run_exercise, run_exercises

__all__ = [
    "Exercise",
    "Outcome",
    "Task",
    "exercises",
    "grade",
    "kind",
    "run_exercise",
    "run_exercises",
    "student_copy",
    "tasks",
]
