"""What a number is: its name, unit and direction, and what must be equal to compare two."""
