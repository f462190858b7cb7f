"""Graded assignments: from a lab to starter files, from submissions to a gradebook."""
