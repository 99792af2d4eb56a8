"""The simulator: stages, schedules, timing engines, action counts, and energy."""
