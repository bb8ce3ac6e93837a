"""Decoders: libsndfile, ffmpeg and PCM from pipes, to blocks at the rate and with the channels of the source."""
