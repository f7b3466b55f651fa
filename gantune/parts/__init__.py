"""Every part of a trial: its name and its options, typed, frozen and strict.

This layer imports no torch. The engine keeps a dictionary of implementations for each kind of part
under the same names; a test compares the two.
"""
