"""Mitosis detection on H&E slides as in Akram et al. 2018: train on HPFs, mine WSIs, retrain on both.

A library and a command line (`python -m detector`). `detector.slide` reads slides and needs no torch.
"""
