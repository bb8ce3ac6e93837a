"""``tmgc-listen`` and its subcommands, one module for each."""
