"""What the library costs, measured beside something else in the same run. See docs/benchmarks.md."""
