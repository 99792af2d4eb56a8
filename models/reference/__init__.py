"""The integer reference: what every stage must compute, whole and column by column."""
