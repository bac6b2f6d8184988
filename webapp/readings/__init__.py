"""Slides that several people read without seeing each other's verdicts, and what comes of it."""
