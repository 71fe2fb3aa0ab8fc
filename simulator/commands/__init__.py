"""The verbs of `unwind`, as the command line takes them and prints what comes out.

Each is a function that `simulator.cli` makes a command of. Modules load nothing heavy, so that the help lists all of
them at once: what a command needs is imported where it begins.
"""
