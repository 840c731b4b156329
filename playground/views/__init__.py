"""How things look: text tables here; pictures and widgets draw the same timeline."""
