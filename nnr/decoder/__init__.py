"""What a bitstream means: units in, tensors out (normative)."""
