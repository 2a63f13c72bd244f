"""Differences between the two machines that are not Berth's: each with the program kinds and the field it may show in, and the chapter that explains it."""

# (name, kinds, fields that may differ, a pattern that one of the program's lines of assembler must match, why)
ROWS = []
