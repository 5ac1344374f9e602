"""Files in, Dataset out: reading, ids, splits, the doctor, the bundled data set."""
