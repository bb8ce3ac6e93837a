"""Genres of a whole library of songs, in Parquet files; and what is done with them."""
