"""Own annotations, one file a program that they were drawn with; what becomes of them; the recipes beside them."""
