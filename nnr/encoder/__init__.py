"""How to say a model well: a toolbox, not normative."""
