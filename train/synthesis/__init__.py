"""Synthesis of sound with numpy: noise, plucked and sustained tones, percussion, voices, and negatives."""
