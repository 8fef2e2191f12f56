"""Workflows: stages of work that survive the function they run in.

values        what is defined (Workflow, Stage) and what is known of one run (Run). No IO
transitions   how a run changes, and what is told of each change. No IO
records       where runs, their inputs and the list of unfinished ones are kept
hold          the lease: one runner at a time
journal       a run's record as its one runner writes it
stage         what a stage's work gets: progress, checkpoints, keys, input
runner        runs a run in one invocation, from where the last one left it
workflows     begin, ask, cancel, run again, sweep
"""
