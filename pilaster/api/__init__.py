"""The public interface in Python; its names are those of `pilaster` itself."""
