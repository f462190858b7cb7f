"""One family of self-contained HTML pages: run report, feedback, instructor's page, audit."""
