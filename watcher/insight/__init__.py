"""What the numbers mean: pure functions over a task's fields."""
