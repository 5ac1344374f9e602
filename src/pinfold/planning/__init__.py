"""What a job will need, before it begins: memory, disk and seconds by stage, on one machine and on many."""
