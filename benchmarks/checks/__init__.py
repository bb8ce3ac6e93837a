"""Speed and memory of one part at a time, each a ratio that was measured in one run: ``tmgc-bench check``."""
