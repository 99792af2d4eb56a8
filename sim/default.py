"""A machine for any network: the smallest folds found that keep up with the columns."""
