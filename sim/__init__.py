"""The machine in time: stages, schedules, engines, action counts and energy."""
