"""Pandera models of all tables, the raw contract, and the feature registry.

A column's type, unit, bounds, description and sources are declared here and nowhere else.
Code that computes the columns belongs in the layer that makes the table.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
