"""Boards a person can buy: what they hold, and bitstreams for them."""
