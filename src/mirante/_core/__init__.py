"""What every signal stands on: clock, guard, periodic work, disk spool, and the values that parts exchange."""
