"""Pretraining on music without labels: a backbone learns a teacher's outputs, as a start for few labelled songs."""
