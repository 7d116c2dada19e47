"""Who sees whom is fixed beforehand: windows, blocks, strides, global tokens."""
