"""Figures that take more time than a chapter has; each module computes one set into ``data/results``."""
