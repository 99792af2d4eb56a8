"""The mapper: the least hardware that is not late."""
