"""How small the parts of runs are in workers under test; see engine.py."""

GROUP_ROWS, SHARD_ROWS, PART_SHARDS = 2, 4, 2
PART_PAIRS = 10
