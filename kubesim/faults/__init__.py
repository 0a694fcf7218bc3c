"""What can go wrong, by name: each fault has a time, a duration and a seed (``kinds/``), and a scenario is a file of them."""
